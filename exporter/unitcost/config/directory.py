"""The tenant directory: a CSV that gives ids a name, a plan, a budget, a status and other spellings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from unitcost.errors import SourceError
from unitcost.facts import RESERVED
from unitcost.names import Names
from unitcost.names import fold as fold_name
from unitcost.sources.csv_file import Mistakes, Table
from unitcost.sources.values import amount

BUDGET_LIMIT = Decimal(10) ** 12
"""The largest budget, in dollars a month: the ledger's decimals end soon after, sums included."""

COLUMNS = ("id", "name", "plan", "budget_dollars", "aliases", "status")


@dataclass(frozen=True, slots=True)
class Tenant:
    """One line of the directory. budget_dollars is per calendar month."""

    id: str
    name: str
    plan: str
    status: str
    budget_dollars: Decimal | None
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Directory:
    """Every known tenant, and which other spellings mean it."""

    tenants: Sequence[Tenant] = ()
    path: Path | None = field(default=None, compare=False)

    def aliases(self) -> list[tuple[str, str]]:
        """Return (spelling, tenant id) pairs, the ids' own spelling among them."""
        return [(spelt, tenant.id) for tenant in self.tenants for spelt in (tenant.id, *tenant.aliases)]

    def names(self, fold: Literal["case", "none"]) -> Names:
        """Return which spelling means which tenant. fold: tenants.fold."""
        return Names(self.aliases(), folding=fold == "case")

    def clashes(self) -> list[str]:
        """Return a mistake for each spelling that means two tenants once names fold."""
        owners: dict[str, tuple[str, str]] = {}
        wrong = []
        for spelt, tenant in self.aliases():
            before, owner = owners.setdefault(fold_name(spelt), (spelt, tenant))
            if owner != tenant:
                wrong.append(
                    f"{self.path}: {before!r} of {owner!r} and {spelt!r} of {tenant!r} are one name under tenants.fold:"
                    " case; make them one tenant with aliases, or set fold: none"
                )
        return wrong

    @classmethod
    def read(cls, path: Path, fold: Literal["case", "none"] = "none") -> tuple[Directory, list[str]]:
        """Read the CSV; return the directory and every mistake in it, each with its line. fold: tenants.fold.

        Columns: id (required), name, plan, budget_dollars, aliases (separated by ;), status; others are ignored.
        """
        mistakes: list[str] = []
        tenants: list[Tenant] = []
        misfits = Mistakes(str(path))
        try:
            table = Table(path, (), COLUMNS, {})
            if "id" not in table:
                return cls(), [f"{path}: has no column id; its first line must name the columns"]
            for number, row in table.lines(misfits, may_be_empty=True):
                if shifted := _shifted(row):
                    misfits.add(number, f"{shifted!r} begins with a space: remove it, or quote values that hold commas")
                    continue
                tenant = _tenant(row, f"{path} line {number}", mistakes)
                if tenant is not None:
                    tenants.append(tenant)
        except SourceError as error:
            mistakes.append(str(error))
        mistakes += [f"{path} line {number}: {text}" for number, text in misfits.named()]
        owners: dict[str, str] = {}
        for tenant in tenants:
            for spelling in (tenant.id, *tenant.aliases):
                if spelling in owners:
                    mistakes.append(
                        f"{path}: {spelling!r} stands for {owners[spelling]!r} and again for {tenant.id!r};"
                        " an id or alias may stand in one line only"
                    )
                owners.setdefault(spelling, tenant.id)
        directory = cls(tuple(tenants), path)
        return directory, mistakes + (directory.clashes() if fold == "case" else [])


def _shifted(row: Mapping[str, str]) -> str | None:
    """Return a cell that looks like the rest of a name with an unquoted comma: Acme, Inc."""
    if row.get("name", "")[:1].isspace():
        return None  # a file with a space behind every comma
    return next((row[name] for name in ("plan", "status", "aliases") if row.get(name, "")[:1].isspace()), None)


def _tenant(row: Mapping[str, str], where: str, mistakes: list[str]) -> Tenant | None:
    values = {column: row.get(column, "").strip() for column in COLUMNS}
    if not values["id"]:
        mistakes.append(f"{where}: has no id")
        return None
    if values["id"] in RESERVED:
        mistakes.append(f"{where}: {values['id']!r} is a reserved name; give the tenant another id")
    budget = None
    if values["budget_dollars"]:
        try:
            budget = amount(values["budget_dollars"], BUDGET_LIMIT)
        except ValueError:
            budget = Decimal(0)
        if not budget:
            mistakes.append(
                f"{where}: budget_dollars {values['budget_dollars']!r} is no amount above 0 and up to"
                f" {BUDGET_LIMIT:,}; leave it empty for the plan's budget"
            )
    return Tenant(
        id=values["id"],
        name=values["name"] or values["id"],
        plan=values["plan"],
        status=values["status"] or "active",
        budget_dollars=budget,
        aliases=tuple(part.strip() for part in values["aliases"].split(";") if part.strip()),
    )
