"""The ledger: one DuckDB file with what the sources said and what was derived from it, day by day."""
