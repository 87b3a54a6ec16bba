"""Grafana pages, made from the catalogue: `python -m dashboards`."""
