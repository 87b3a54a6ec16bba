"""Asking the sources, and publishing what they said."""
