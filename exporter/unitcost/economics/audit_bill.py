"""From what a provider reports of a day, at the book's prices, to what it bills: the causes of that difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from unitcost.economics.audit_causes import (
    ALL_MODELS,
    BATCH,
    BLOCKED,
    CENT,
    NOT_BILLED,
    NOT_METERED,
    NOT_TOKENS,
    PRICE,
    PRICE_OR_BLOCKED,
    REPORTS_BLOCKED,
    ROUNDING,
    UNKNOWN,
    UNPRICED,
    USED,
    ZERO,
    BillRow,
    ByModel,
    Cause,
    Seen,
    Step,
)


@dataclass
class _Group:
    """What of a day has one amount on the bill: a model in one unit, a model, or all. model: whose row it is."""

    model: str
    cells: Sequence[tuple[str, str]]
    rows: int = 0
    amount: Decimal = ZERO


def unlike_report(seen: Seen, bill: Sequence[BillRow], steps: list[Step]) -> Iterator[tuple[str, Cause]]:
    """Yield model and cause of what is billed beyond the report, or below; steps that were not billed are renamed."""
    used = seen.counted if seen.reported is None else seen.reported
    known = {model for by in (seen.counted, seen.reported or {}) for model in by if model}
    groups: dict[tuple[str, str], _Group] = {}
    whole = of_no_model(seen)
    by_model = {row.model for row in bill if row.charge == USED and row.unit is None and row.model in known}
    for row in bill:
        if row in whole:
            continue
        of_model = row.model in known if row.unit is None else row.unit in seen.token_units or _is_used(used, row)
        if row.charge != USED or not of_model:
            what = row.charge if row.charge != USED else row.unit or ""
            if row.amount:
                yield ALL_MODELS if whole else row.model, Cause(NOT_TOKENS, ZERO, row.amount, what)
            continue
        group = _group(groups, row.model, row.unit or "", by_model, used)
        group.rows += row.rows
        group.amount += row.amount
    if whole:
        cells = [(model, unit) for model, units in used.items() for unit in units]
        yield from _rest(
            seen, _Group(ALL_MODELS, cells, sum(r.rows for r in whole), sum((r.amount for r in whole), ZERO)), steps
        )
        return
    for model, units in used.items():
        for unit in units:
            _group(groups, model, unit, by_model, used)
    for group in groups.values():
        yield from _rest(seen, group, steps)


def of_no_model(seen: Seen) -> list[BillRow]:
    """Return the rows of a bill that tells no model apart: they are of all that was used."""
    known = {*seen.counted, *(seen.reported or {})} - {""}
    usage = [row for row in seen.bill or () if row.charge == USED]
    if any(row.unit is not None or row.model in known for row in usage):
        return []
    return [row for row in usage if not row.model or seen.reported is None]


def _is_used(used: ByModel, row: BillRow) -> bool:
    return bool(row.unit and used.get(row.model, {}).get(row.unit))


def _group(
    groups: dict[tuple[str, str], _Group], model: str, unit: str, by_model: Iterable[str], used: ByModel
) -> _Group:
    key, cells = (model, unit), [(model, unit)]
    if model in by_model:
        key, cells = (model, ""), [(model, unit) for unit in used.get(model, {})]
    return groups.setdefault(key, _Group(model, cells))


def _rest(seen: Seen, group: _Group, steps: list[Step]) -> Iterator[tuple[str, Cause]]:
    used = seen.counted if seen.reported is None else seen.reported
    worth = {cell: seen.worth(*cell, used.get(cell[0], {}).get(cell[1], ZERO)) for cell in group.cells}
    value = sum(worth.values(), ZERO)
    rest = group.amount - value
    batch = {cell: seen.batch.get(cell[0], {}).get(cell[1], ZERO) for cell in group.cells}
    if abs(rest) >= CENT * max(group.rows, 1) and not any(batch.values()) and seen.bill:
        rest = _blocked(seen, group, steps, rest)
    about = group.cells[0][1] if len(group.cells) == 1 else ""
    lowered = sum(
        (worth[c] - seen.worth(*c, used[c[0]][c[1]] - n * (1 - seen.share(c[0]))) for c, n in batch.items() if n), ZERO
    )
    if lowered and abs(rest + lowered) < abs(rest):  # else the bill does not show it
        yield group.model, Cause(BATCH, ZERO, -lowered, about)
        rest += lowered
    if rest:
        kind, said = _of_price(seen, group, value - lowered, rest, used)
        yield group.model, Cause(kind, ZERO, rest, ", ".join(filter(None, (about, said))))


def _blocked(seen: Seen, group: _Group, steps: list[Step], rest: Decimal) -> Decimal:
    """Rename what is reported beyond the counters where the bill is just of what these counted; return what is left.

    Only one provider reports what it does not bill. Elsewhere, and where the bill is of anything else, nobody can tell.
    """
    beyond = [step for step in steps if (step.model, step.unit) in group.cells and step.dollars]
    value = sum((step.dollars for step in beyond), ZERO)
    if seen.provider != REPORTS_BLOCKED or any(step.kind != NOT_METERED for step in beyond) or not beyond:
        return rest
    if abs(rest + value) >= CENT * max(group.rows, 1):
        return rest
    for step in beyond:
        step.kind, step.dollars = BLOCKED, ZERO
    return rest + value


def _of_price(seen: Seen, group: _Group, value: Decimal, rest: Decimal, used: ByModel) -> tuple[str, str]:
    """Return the cause of what is left of a group when its tokens are accounted for, and what can be said of it."""
    if group.rows and abs(rest) < CENT * group.rows:
        return ROUNDING, ""
    quantities = [cell for cell in group.cells if used.get(cell[0], {}).get(cell[1])]
    if any(seen.prices.get(cell) is None for cell in quantities):
        return UNPRICED, ""
    if not group.rows:
        return NOT_BILLED, ""
    if not quantities:
        return (NOT_METERED, "") if seen.reported is None else (UNKNOWN, "billed, not reported")
    if seen.reported is None or value <= 0 or group.amount < 0:
        return UNKNOWN, "" if seen.reported is not None else "the provider reports no tokens"
    ratio = f"{group.amount / value:.3f} of the book's"
    return (PRICE_OR_BLOCKED if rest < 0 and seen.provider == REPORTS_BLOCKED else PRICE), ratio
