"""A line beside its challenger: a language model, or another of its versions (002)."""
