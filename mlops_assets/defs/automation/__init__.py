"""What keeps the whole platform tidy, beside the sensors that every line has."""
