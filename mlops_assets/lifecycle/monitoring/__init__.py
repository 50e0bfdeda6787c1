"""Looks at what serves: what they keep, what they find, and what follows."""
