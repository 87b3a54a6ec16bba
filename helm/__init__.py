"""The Helm chart: `python -m helm` writes what of it is made from the configuration's own models and the bundle."""
