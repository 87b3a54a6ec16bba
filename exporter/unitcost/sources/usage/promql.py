"""The answer of a Prometheus API to an instant query: a number per tenant, or any series, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from unitcost.errors import SourceError
from unitcost.sources import values
from unitcost.sources.http import AGAIN, Answer
from unitcost.sources.json_pieces import Opened

HINTS = {
    "bad_data": "Correct the PromQL of this measure",
    "execution": "Correct the PromQL of this measure, or make it lighter with a recording rule",
    "timeout": "Make the query lighter with a recording rule, or raise the server's query timeout",
}
"""What to do about each errorType of the API."""

URL_HINT = "Check that the url is what comes before /api/v1 (Mimir: …/prometheus)"
BUSY_HINT = "See the server's log and limits; the next refresh asks again"
OK = 200
REMARKS = ("PromQL info:", "PromQL warning:")
"""How remarks of the engine begin: what it thinks of the query, over all the data. Prometheus since 2.48, Mimir and
Thanos write them so; until 2.54 infos stood among the warnings. Any other warning is about data that are missing
(Thanos: a store that did not answer, Prometheus: a remote read) or may be, so that the number may be too low."""
OPENED = {(), ("data",), ("data", "result")}
READ = {"status", "errorType", "error", "warnings", "infos", "isPartial", "data.resultType", "data.result"}
RESULT = len(("data", "result", 0))


@dataclass
class Vector:
    """What an instant query said. sums: tenant → the sum of its series, None: those without; remarks: of PromQL."""

    sums: dict[str | None, Decimal] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_vector(answer: Answer, labels: Sequence[str], where: str) -> Vector:
    """Return the sum per tenant, in the ledger's 12 decimals, a series at a time.

    labels: of these the first that a series has names its tenant.
    Raises SourceError: `query` (the server refused it), `http`, `format`, `partial`, `value`, `label`.
    """
    vector = Vector()

    def take(found: Mapping[str, Any], value: str) -> None:
        tenant = _tenant(found, labels, where)
        try:
            vector.sums[tenant] = values.EXACT.add(vector.sums.get(tenant, Decimal(0)), values.quantity(value))
        except ValueError as error:
            whose = f"tenant {values.shown(tenant)}" if tenant is not None else "a series without tenant"
            raise SourceError("value", where, f"{whose}: {error}", VALUE_HINT) from error

    vector.remarks = read_series(answer, where, take, _by(labels[0]))
    if vector.sums.keys() == {None}:
        raise SourceError(
            "label", where, f"no series names a tenant in the label {' or '.join(labels)}", _by(labels[0])
        )
    return vector


VALUE_HINT = "Usage is a finite number, zero or more; change the query"


def read_series(
    answer: Answer, where: str, take: Callable[[Mapping[str, Any], Any], None], hint: str, kind: str = "vector"
) -> list[str]:
    """Hand every series to `take`, its labels and its value, of a matrix its values; return what PromQL remarks.

    take raises SourceError for what is wrong with a series; the first is told once the whole answer is read. hint: what
    to do where the answer is not of this kind. Raises SourceError as read_vector() does.
    """
    body, wrong = _read(answer, where, take, kind)
    _refuse_failed(body, where, answer)
    remarks = _remarks(body, where)
    found = body.get("data.resultType")
    if found != kind and found in ("scalar", "string", "matrix", "vector"):  # no set: a list cannot be looked up in one
        raise SourceError("format", where, f"the answer is a {found}, not a {kind}", hint)
    if found != kind or body.get("data.result") is not Opened.LIST:
        raise _unreadable(where, answer)
    if wrong is not None:
        raise wrong
    return remarks


def _read(
    answer: Answer, where: str, take: Callable[[Mapping[str, Any], Any], None], kind: str
) -> tuple[dict[str, Any], SourceError | None]:
    """Hand over the series; return what stands around them, and the first thing that is wrong with one of them."""
    body: dict[str, Any] = {}
    wrong: SourceError | None = None
    try:
        for path, value in answer.pieces(OPENED.__contains__):
            if len(path) == RESULT:
                wrong = wrong or _wrong_with(value, where, take, answer, kind)
            elif (name := ".".join(map(str, path))) in READ:
                body[name] = value
    except SourceError as error:
        if answer.status == OK:
            raise SourceError(error.reason, where, f"{error.where} {error.text}", error.hint) from error
        return {}, None  # an error page of a proxy; its status says more
    return body, wrong


def _refuse_failed(body: Mapping[str, Any], where: str, answer: Answer) -> None:
    """Raise what an answer says of its failure; the API says `error` with many a status, 200 among them."""
    status = body.get("status")
    if status == "error":
        kind = str(body.get("errorType"))
        raise SourceError(
            "query" if kind in HINTS else "http",
            where,
            f"answered {answer.status} {kind}: {body.get('error')}",
            HINTS.get(kind, "See the server's log"),
        )
    if answer.status != OK:
        hint = BUSY_HINT if answer.status in AGAIN else URL_HINT
        raise SourceError("http", where, f"{answer.url} answered {answer.status}: {answer.text}", hint)
    if status != "success":
        raise _unreadable(where, answer)


def _remarks(body: Mapping[str, Any], where: str) -> list[str]:
    """Return what PromQL remarks. Raises SourceError `partial` where data are missing, or may be."""
    warnings, infos = (_texts(body.get(key)) for key in ("warnings", "infos"))
    lacking = [text for text in warnings if not text.startswith(REMARKS)]
    if lacking or body.get("isPartial") is True:
        text = "; ".join(lacking) or "isPartial"
        raise SourceError("partial", where, f"the answer is partial: {text}", "See which store did not answer")
    return [*warnings, *infos]


def _texts(given: object) -> list[str]:
    return [str(text) for text in given] if isinstance(given, list) else [str(given)] if given else []


def _wrong_with(
    one: Any, where: str, take: Callable[[Mapping[str, Any], Any], None], answer: Answer, kind: str
) -> SourceError | None:
    """Hand a series over, or return what is wrong with it."""
    if not isinstance(one, dict) or not isinstance(one.get("metric"), dict):
        return _unreadable(where, answer)
    if "histogram" in one or "histograms" in one:
        hint = "Use histogram_count() or histogram_sum()"
        return SourceError("format", where, "the answer holds native histograms", hint)
    samples = one.get("values") if kind == "matrix" else [one.get("value")]
    if not isinstance(samples, list) or not all(_is_sample(sample) for sample in samples):
        return _unreadable(where, answer)
    told = [sample[1] for sample in samples]
    try:
        take(one["metric"], told if kind == "matrix" else told[0])
    except SourceError as error:
        return error
    return None


def _is_sample(sample: object) -> bool:
    return isinstance(sample, list) and len(sample) == len(("time", "value")) and isinstance(sample[1], str)


def text_of(given: Mapping[str, Any], label: str, where: str) -> str:
    """Return a label's value, "" where a series has none. Raises SourceError `format` for what is no text."""
    spelt = given.get(label, "")
    try:
        if not isinstance(spelt, str):
            raise ValueError(f"is {values.spelt(spelt)}, not a text")  # noqa: TRY301, TRY004 - told below
        return values.plain(spelt)
    except ValueError as error:
        raise SourceError("format", where, f"the label {label} {error}", "Rename it where it is written") from error


def _tenant(given: Mapping[str, Any], labels: Sequence[str], where: str) -> str | None:
    for label in labels:
        if (tenant := values.tenant_or_nobody(text_of(given, label, where))) is not None:
            return tenant
    return None


def _by(label: str) -> str:
    return f"Ask for one number per tenant: sum by ({label}) (…)"


def _unreadable(where: str, answer: Answer) -> SourceError:
    return SourceError(
        "format",
        where,
        f"{answer.url} answered {answer.status} and not as the Prometheus API does: {answer.text!r}",
        URL_HINT,
    )
