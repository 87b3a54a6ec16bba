"""Where pods' labels and a bill's tags name different tenants for one node or disk: what a person can mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from unitcost.ledger.files import statements
from unitcost.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class Conflict:
    """A resource that a bill's tag gives to a tenant, and pods of others used.

    resource: the cloud's id, in lower case; what: node, disk or load_balancer. amount: what the bill charges with that
    tag, in its own currency, on the days that both speak of. users: tenant → its part of what the cluster's meter says
    all tenants cost there, the largest first; these count.
    """

    resource: str
    what: str
    tag: str
    currency: str
    amount: Decimal
    users: Sequence[tuple[str, float]]


def conflicts(ledger: Ledger) -> list[Conflict]:
    """Return them, the dearest first, as of the last derivation."""
    with ledger.transaction() as connection:
        connection.execute(statements("labels", "economics"))
        found = connection.execute("SELECT * FROM label_conflict").fetchall()
    return [
        Conflict(resource, what, tag, currency, amount, [*zip(tenants, shares, strict=True)])
        for resource, what, tag, currency, amount, tenants, shares in found
    ]
