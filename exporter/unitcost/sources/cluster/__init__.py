"""Meters of clusters."""
