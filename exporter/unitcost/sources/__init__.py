"""Where costs, usage and revenue come from; one module each, listed in table.py."""
