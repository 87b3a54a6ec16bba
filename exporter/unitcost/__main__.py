"""`python -m unitcost`."""

from unitcost.cli import script

script()
