"""The answer of a Prometheus API to an instant query: a number per tenant, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from unitcost.errors import SourceError
from unitcost.sources import values
from unitcost.sources.http import Answer

HINTS = {
    "bad_data": "Correct the PromQL of this measure",
    "execution": "Correct the PromQL of this measure, or make it lighter with a recording rule",
    "timeout": "Make the query lighter with a recording rule, or raise the server's query timeout",
}
"""What to do about each errorType of the API."""

URL_HINT = "Check that the url is what comes before /api/v1 (Mimir: …/prometheus)"
OK = 200
INFO = "PromQL info:"
"""How Prometheus 2.48 to 2.54 start warnings that are mere remarks; later ones have `infos` for them."""


def read_vector(answer: Answer, labels: Sequence[str], where: str) -> dict[str | None, Decimal]:
    """Return the sum per tenant, in the ledger's 12 decimals; None holds what had none.

    labels: of these the first that a series has names its tenant.
    Raises SourceError: `query` (the server refused it), `http`, `format`, `partial`, `value`, `label`.
    """
    body = _body(answer, where)
    given = body.get("warnings") or []
    texts = [str(text) for text in given] if isinstance(given, list) else [str(given)]
    warnings = [text for text in texts if not text.startswith(INFO)]
    if warnings or body.get("isPartial") is True:
        text = "; ".join(warnings) or "isPartial"
        raise SourceError("partial", where, f"the answer is partial: {text}", "See which store did not answer")
    data = body.get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    # No set: a list cannot be looked up in one.
    if kind in ("scalar", "string", "matrix"):
        raise SourceError("format", where, f"the answer is a {kind}, not a vector", _by(labels[0]))
    series = data.get("result") if isinstance(data, dict) else None
    if kind != "vector" or not isinstance(series, list):
        raise _unreadable(where, answer)
    found: dict[str | None, Decimal] = {}
    for one in series:
        if not isinstance(one, dict) or not isinstance(one.get("metric"), dict):
            raise _unreadable(where, answer)
        if "histogram" in one:
            raise SourceError(
                "format", where, "the answer holds native histograms", "Use histogram_count() or histogram_sum()"
            )
        tenant = _tenant(one["metric"], labels, where)
        found[tenant] = values.EXACT.add(found.get(tenant, Decimal(0)), _number(one, tenant, where, answer))
    if found.keys() == {None}:
        raise SourceError(
            "label", where, f"no series names a tenant in the label {' or '.join(labels)}", _by(labels[0])
        )
    return found


def _body(answer: Answer, where: str) -> Mapping[str, Any]:
    """Return the body of a successful answer; the API says `error` with many a status, 200 among them."""
    ok = answer.status == OK
    try:
        body = answer.json()
    except SourceError as error:
        if ok:
            raise SourceError(error.reason, where, f"{error.where} {error.text}", error.hint) from error
        body = None  # an error page of a proxy; its status says more
    status = body.get("status") if isinstance(body, dict) else None
    if status == "error":
        kind = str(body.get("errorType"))
        raise SourceError(
            "query" if kind in HINTS else "http",
            where,
            f"answered {answer.status} {kind}: {body.get('error')}",
            HINTS.get(kind, "See the server's log"),
        )
    if not ok:
        raise SourceError("http", where, f"{answer.url} answered {answer.status}: {answer.text}", URL_HINT)
    if status != "success":
        raise _unreadable(where, answer)
    found: Mapping[str, Any] = body
    return found


def _tenant(given: Mapping[str, Any], labels: Sequence[str], where: str) -> str | None:
    for label in labels:
        spelt = given.get(label, "")
        try:
            if not isinstance(spelt, str):
                raise ValueError(f"is a {type(spelt).__name__}, not a text")  # noqa: TRY301, TRY004 - told below
            values.plain(spelt)
        except ValueError as error:
            raise SourceError("format", where, f"the label {label} {error}", "Rename it where it is written") from error
        try:
            return values.tenant(spelt)
        except ValueError:  # empty or a reserved name: nobody's
            continue
    return None


def _number(one: Mapping[str, Any], tenant: str | None, where: str, answer: Answer) -> Decimal:
    sample = one.get("value")
    if not isinstance(sample, list) or len(sample) != len(("time", "value")) or not isinstance(sample[1], str):
        raise _unreadable(where, answer)
    try:
        return values.quantity(sample[1])
    except ValueError as error:
        whose = f"tenant {values.shown(tenant)}" if tenant is not None else "a series without tenant"
        raise SourceError(
            "value", where, f"{whose}: {error}", "Usage is a finite number, zero or more; change the query"
        ) from error


def _by(label: str) -> str:
    return f"Ask for one number per tenant: sum by ({label}) (…)"


def _unreadable(where: str, answer: Answer) -> SourceError:
    return SourceError(
        "format",
        where,
        f"{answer.url} answered {answer.status} and not as the Prometheus API does: {answer.text!r}",
        URL_HINT,
    )
