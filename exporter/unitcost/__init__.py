"""What each customer, request and AI token costs, as Prometheus metrics."""

__version__ = "0.1.0"
