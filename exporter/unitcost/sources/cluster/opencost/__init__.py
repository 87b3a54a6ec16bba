"""OpenCost: a running server, or its recorded answers."""
