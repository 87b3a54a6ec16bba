"""The sample company in a real Prometheus and Alertmanager: `make demo`."""
