"""Engines that hold a FOCUS table: a bill's first stage runs there, and only its sums come back."""
