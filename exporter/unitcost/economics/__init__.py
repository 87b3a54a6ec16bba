"""The questions: what lines, usage and revenue come to."""
