"""unitcost.yaml and the files it names."""
