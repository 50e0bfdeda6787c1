"""What products and people report of a line, until it becomes a batch."""
