"""How much of what was used."""
