"""Recording and alert rules for Prometheus, made from the catalogue: `python -m rules`."""
