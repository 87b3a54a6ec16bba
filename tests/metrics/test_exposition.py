"""Both exposition formats mean what prometheus_client would have written, and the snapshot holds them whole."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from unitcost.metrics import catalogue
from unitcost.metrics.exposition import Family, render
from unitcost.metrics.metric import Metric
from unitcost.web.snapshot import Current, Snapshot

parse_openmetrics: Callable[[str], Iterable[Any]] = openmetrics_parser.text_string_to_metric_families
generate_openmetrics: Callable[[CollectorRegistry], bytes] = openmetrics_exposition.generate_latest

COST = Metric("tenant_cost_dollars", "What a tenant cost.", ("tenant", "window"), unit="dollars")
ERRORS = Metric("unitcost_source_errors_total", 'Errors by "reason".\nTwo \\ lines.', ("source",), type="counter")
READY = Metric("unitcost_ready", "No labels at all.")

finite = st.floats(allow_nan=False, allow_infinity=False)
label = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['"', "\\", "\n", '\\"', "\\n", "a\\\nb", "", "}", ",", "=", "#", "é", "\r", "\x85", "\u2028"]
)


class Collected:
    """The same families, handed to prometheus_client."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Any]:
        for family in self._families:
            metric = family.metric
            kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
            made = kind(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
            for row in family.rows:
                made.add_metric(row[:-1], row[-1])
            if family.rows:
                yield made


def meaning(families: Iterable[Any]) -> dict[str, Any]:
    """What a parser read: names, types, units, help and samples, without their order."""
    return {
        family.name: (
            family.type,
            family.unit,
            family.documentation,
            sorted((sample.name, sorted(sample.labels.items()), sample.value) for sample in family.samples),
        )
        for family in families
    }


@given(
    st.dictionaries(st.tuples(label, label), finite, max_size=6),
    st.dictionaries(label, st.floats(min_value=0, allow_infinity=False), max_size=3),
    finite,
)
def test_both_formats_mean_what_prometheus_client_writes(
    costs: dict[tuple[str, str], float], errors: dict[str, float], ready: float
) -> None:
    families = [
        Family(COST, [(*labels, value) for labels, value in costs.items()]),
        Family(ERRORS, list(errors.items())),
        Family(READY, [(ready,)]),
    ]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected(families))

    written = render(families)

    assert meaning(parse_text(written.text.decode())) == meaning(parse_text(generate_latest(registry).decode()))
    assert meaning(parse_openmetrics(written.openmetrics.decode())) == meaning(
        parse_openmetrics(generate_openmetrics(registry).decode())
    )


def test_the_formats_differ_in_their_header_lines_only() -> None:
    written = render([Family(COST, [("acme", "30d", 1.5)]), Family(ERRORS, [("bill", 2)])])

    assert written.text.decode() == (
        "# HELP tenant_cost_dollars What a tenant cost.\n"
        "# TYPE tenant_cost_dollars gauge\n"
        'tenant_cost_dollars{tenant="acme",window="30d"} 1.5\n'
        '# HELP unitcost_source_errors_total Errors by "reason".\\nTwo \\\\ lines.\n'
        "# TYPE unitcost_source_errors_total counter\n"
        'unitcost_source_errors_total{source="bill"} 2.0\n'
    )
    assert written.openmetrics.decode() == (
        "# HELP tenant_cost_dollars What a tenant cost.\n"
        "# TYPE tenant_cost_dollars gauge\n"
        "# UNIT tenant_cost_dollars dollars\n"
        'tenant_cost_dollars{tenant="acme",window="30d"} 1.5\n'
        '# HELP unitcost_source_errors Errors by \\"reason\\".\\nTwo \\\\ lines.\n'
        "# TYPE unitcost_source_errors counter\n"
        'unitcost_source_errors_total{source="bill"} 2.0\n'
        "# EOF\n"
    )


def test_every_metric_of_the_catalogue_can_be_written_and_read_in_both_formats() -> None:
    families = [Family(metric, [(*("x" for _ in metric.labels), 1.0)]) for metric in catalogue.ALL]

    written = render(families)

    read = [sample.name for family in parse_openmetrics(written.openmetrics.decode()) for sample in family.samples]
    assert read == [metric.name for metric in catalogue.ALL]
    read = [sample.name for family in parse_text(written.text.decode()) for sample in family.samples]
    assert read == [metric.name for metric in catalogue.ALL]


def test_order_is_kept_and_a_family_without_rows_leaves_no_line() -> None:
    written = render([Family(READY, [(1,)]), Family(ERRORS, []), Family(COST, [("b", "1d", 2), ("a", "1d", 1)])])

    lines = [line.split("{")[0] for line in written.text.decode().splitlines() if not line.startswith("#")]
    assert lines == ["unitcost_ready 1.0", "tenant_cost_dollars", "tenant_cost_dollars"]
    assert written.text.index(b'"b"') < written.text.index(b'"a"')
    assert b"unitcost_source_errors" not in written.text + written.openmetrics


def test_no_families_at_all_are_two_valid_answers() -> None:
    written = render([])

    assert (written.text, written.openmetrics) == (b"", b"# EOF\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_refused_and_the_row_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=r"tenant_cost_dollars: \('acme', '30d', .*\) has no finite value"):
        render([Family(COST, [("fine", "30d", 1.0), ("acme", "30d", value)])])


@pytest.mark.parametrize(
    ("family", "said"),
    [
        (Family(COST, [("acme", 1.0)]), "1 label values for the labels"),
        (Family(COST, [("acme", "30d", "x", 1.0)]), "3 label values for the labels"),
        (Family(COST, [("acme", "30d", 1.0), ("beta", 1.0)]), "rows of different lengths"),
        (Family(Metric("errors", "", type="counter"), [(1.0,)]), "must end in _total"),
        (Family(Metric("cost", "", unit="dollars"), [(1.0,)]), "must end in its unit dollars"),
    ],
)
def test_a_family_that_does_not_fit_its_metric_is_refused(family: Family, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        render([family])


def test_a_family_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="unitcost_ready was given twice"):
        render([Family(READY, [(1.0,)]), Family(READY, [(1.0,)])])


def test_a_label_value_that_is_not_text_is_refused() -> None:
    with pytest.raises(TypeError, match="the label value None is not text"):
        render([Family(COST, [(None, "30d", 1.0)])])


def test_half_a_surrogate_pair_in_a_name_does_not_end_the_exposition() -> None:
    assert b'tenant="a?b"' in render([Family(COST, [("a\ud800b", "30d", 1.0)])]).text


def test_a_snapshot_holds_the_same_bytes_plain_and_compressed() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)

    snapshot = Snapshot.of([Family(COST, [("acme", "30d", 1.0)])], "<p>é</p>", at)

    assert snapshot.made_at == at
    assert b'tenant="acme"' in snapshot.text
    assert gzip.decompress(snapshot.text_gzip) == snapshot.text
    assert gzip.decompress(snapshot.openmetrics_gzip) == snapshot.openmetrics
    assert gzip.decompress(snapshot.page_gzip) == snapshot.page == "<p>é</p>".encode()
    assert Snapshot.of([Family(COST, [("acme", "30d", 1.0)])], "<p>é</p>", at) == snapshot


def test_the_current_snapshot_is_none_until_the_first_and_then_the_newest() -> None:
    current = Current()
    assert current.get() is None
    first, second = (Snapshot.of([Family(READY, [(value,)])], "", datetime.now(UTC)) for value in (1, 2))

    current.publish(first)
    held = current.get()
    current.publish(second)

    assert held is first
    assert current.get() is second
