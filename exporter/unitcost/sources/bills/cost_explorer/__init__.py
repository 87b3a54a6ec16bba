"""AWS Cost Explorer as a bill."""
