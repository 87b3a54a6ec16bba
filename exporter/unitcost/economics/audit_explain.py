"""Why a provider's bill of a day is another than what counters and price book say: causes that sum to the difference.

From the counters to the bill in two steps, each exact by itself. First from what was counted to what the provider
reports, in tokens, each valued at the book's price; then from the report, at these prices, to what was billed. Where no
provider reports, the second step begins with what was counted. What is concluded of what is said at each conclusion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from operator import itemgetter

from unitcost.economics.audit_bill import of_no_model, unlike_report
from unitcost.economics.audit_causes import (
    ALL_MODELS,
    CACHED,
    CACHED_AS_INPUT,
    CACHED_TWICE,
    DIGITS,
    NOT_METERED,
    NOT_REPORTED,
    TWO_NAMES,
    ZERO,
    ByModel,
    Cause,
    Explained,
    Seen,
    Step,
    Units,
)


def explain(seen: Seen) -> list[Explained]:
    """Return each model of the day with the causes of its difference, sorted by name."""
    with localcontext(prec=DIGITS):
        seen = _of_units(seen)
        steps = list(_steps(seen))
        money = [] if seen.bill is None else list(unlike_report(seen, seen.bill, steps))
        return list(_rows(seen, steps, money))


def _of_units(seen: Seen) -> Seen:
    """Return the same where what the bill sells by a unit of no model (searches) is of no model in all that is said."""
    units = sorted({row.unit for row in seen.bill or () if row.unit is not None and not row.model})
    if not units:
        return seen

    def moved(said: ByModel) -> ByModel:
        found = {model: {u: n for u, n in of.items() if u not in units} for model, of in said.items()}
        sums = {unit: sum((of.get(unit, ZERO) for of in said.values()), ZERO) for unit in units}
        return {**found, "": {**found.get("", {}), **sums}}

    known = {unit: price for (_, unit), price in sorted(seen.prices.items(), key=itemgetter(0)) if price is not None}
    return replace(
        seen,
        counted=moved(seen.counted),
        reported=None if seen.reported is None else moved(seen.reported),
        batch=moved(seen.batch),
        prices={**seen.prices, **{("", unit): known.get(unit) for unit in units}},
    )


def _rows(seen: Seen, steps: Sequence[Step], money: Sequence[tuple[str, Cause]]) -> Iterator[Explained]:
    whole = of_no_model(seen)
    found: dict[str, list[Cause]] = {}
    for step in steps:
        tokens = step.quantity if step.unit in seen.token_units else ZERO
        cause = Cause(step.kind, tokens, None if seen.bill is None else step.dollars, step.about or step.unit)
        if whole:
            found.setdefault(ALL_MODELS, []).append(replace(cause, tokens=ZERO))
            cause = replace(cause, dollars=None)
        found.setdefault(step.model, []).append(cause)
    for model, cause in money:
        found.setdefault(model, []).append(cause if seen.reported is not None else replace(cause, tokens=None))
    reported = seen.reported or {}
    billed: dict[str, Decimal] = {}
    for row in seen.bill or ():
        model = ALL_MODELS if whole else row.model
        billed[model] = billed.get(model, ZERO) + row.amount
    booked = {
        model: sum((seen.worth(model, unit, count) for unit, count in units.items()), ZERO)
        for model, units in seen.counted.items()
    }
    if whole:
        booked[ALL_MODELS] = sum(booked.values(), ZERO)
    for model in sorted({*seen.counted, *reported, *billed, *found}):
        apart = seen.bill is not None and (not whole or model == ALL_MODELS)
        yield Explained(
            model,
            _tokens(seen, seen.counted.get(model, {})),
            None if seen.reported is None else _tokens(seen, reported.get(model, {})),
            booked.get(model, ZERO),
            billed.get(model, ZERO) if apart else None,
            found.get(model, []),
        )


def _tokens(seen: Seen, units: Units) -> Decimal:
    return sum((count for unit, count in units.items() if unit in seen.token_units), ZERO)


def _steps(seen: Seen) -> Iterator[Step]:
    """Yield what leads from each unit that was counted to what is reported of it."""
    if seen.reported is None:
        return
    named = dict(_two_names(seen.counted, seen.reported))
    for model in sorted({*seen.counted, *seen.reported}):
        counted, reported = seen.counted.get(model, {}), seen.reported.get(model, {})
        at = dict(counted)
        for kind, unit, more in _differences(counted, reported):
            before = at.get(unit, ZERO)
            at[unit] = before + more
            dollars = seen.worth(model, unit, at[unit]) - seen.worth(model, unit, before)
            other = named.get(model)
            if other is None:
                yield Step(kind, model, unit, more, dollars)
            else:
                yield Step(TWO_NAMES, model, unit, more, dollars, f"also {other}")


def _differences(counted: Units, reported: Units) -> Iterator[tuple[str, str, Decimal]]:
    """Yield cause, unit and how much more the provider reports of it.

    Input that is counted beyond the provider's, and cached input that it reports beyond what is counted, are the same
    tokens. Of what is left, cached input is counted as input too where the counters have at least as much more input as
    the provider reports to be read from caches (or read and written): so much of it, never more.
    """
    more = {unit: reported.get(unit, ZERO) - counted.get(unit, ZERO) for unit in [*counted, *reported]}
    beyond = max(-more.get("input", ZERO), ZERO)
    moved = ZERO
    for unit in CACHED:
        same = min(beyond, max(more.get(unit, ZERO), ZERO))
        if same:
            yield CACHED_AS_INPUT, "input", -same
            yield CACHED_AS_INPUT, unit, same
            more["input"] += same
            more[unit] -= same
            beyond -= same
            moved += same
    cached = sum((reported.get(unit, ZERO) for unit in CACHED), ZERO) - moved
    read = min(reported.get("cache_read", ZERO), cached)
    twice = cached if beyond >= cached else read if beyond >= read else ZERO
    if twice:
        yield CACHED_TWICE, "input", -twice
        more["input"] += twice
    for unit, rest in more.items():
        if rest:
            yield NOT_METERED if rest > 0 else NOT_REPORTED, unit, rest


def _two_names(counted: ByModel, reported: ByModel) -> Iterator[tuple[str, str]]:
    """Yield models that only the counters know and one that only the provider knows, with the same tokens, both ways.

    Where several have the same tokens none can be told.
    """
    ours, theirs = _alone(counted, reported), _alone(reported, counted)
    for tokens, names in ours.items():
        others = theirs.get(tokens, [])
        if len(names) == len(others) == 1:
            yield names[0], others[0]
            yield others[0], names[0]


def _alone(these: ByModel, those: ByModel) -> dict[frozenset[tuple[str, Decimal]], list[str]]:
    """Return tokens → the models of these that are not among those; cached input as input, as counters may have it."""
    found: dict[frozenset[tuple[str, Decimal]], list[str]] = {}
    for model, units in these.items():
        if any(those.get(model, {}).values()):
            continue
        sums: dict[str, Decimal] = {}
        for unit, count in units.items():
            name = "input" if unit in CACHED else unit
            if unit != "requests" and count:
                sums[name] = sums.get(name, ZERO) + count
        if sums:
            found.setdefault(frozenset(sums.items()), []).append(model)
    return found
