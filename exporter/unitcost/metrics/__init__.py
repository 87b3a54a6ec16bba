"""The catalogue of metrics, and what fills them."""
