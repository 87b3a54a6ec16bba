"""The pages as written: what a current Grafana takes as it is, and what daily money needs of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units

from dashboards.__main__ import OUTPUT, main, minified, rendered
from dashboards.grafana import Row, column, row, section
from dashboards.grafana import page as whole_page
from dashboards.panels import Query, bar_gauge, stat
from dashboards.queries import EVERYONE, info
from dashboards.style import COMPONENT_COLOURS, Settings
from tests.fakes.pages import UIDS, Json, asked, filled, page, panel, panels
from tests.fakes.promql_names import Reading, everything
from unitcost.facts import COMPONENTS
from unitcost.metrics.external import label_names

register_default_plugins()

MODERN = {"timeseries", "stat", "table", "bargauge", "text", "row"}
KNOWN_UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
ANY_VALUE = {
    "tenant": "acme",
    "dimension": "feature",
    "plan": "pro",
    "measure": "requests",
    "period": "30d",
    "month": "2026-10",
}

CONFIG_MAP = 262_144
"""Bytes of an annotation, in which `kubectl apply` keeps what it applied."""
LONGEST = 620
"""Characters of an expression."""

each_page = pytest.mark.parametrize("uid", UIDS)


# files


def test_the_tracked_pages_are_what_the_sources_make() -> None:
    made = rendered(Settings())
    tracked = {path.name: path.read_text(encoding="utf-8") for path in OUTPUT.glob("*.json")}
    assert tracked == made, "run make dashboards"


def test_the_same_sources_make_the_same_bytes_with_keys_in_order() -> None:
    assert rendered(Settings()) == rendered(Settings())
    for text in rendered(Settings()).values():
        assert text.endswith("}\n")
        assert minified(json.loads(text)) + "\n" == text
        assert len(text.encode()) < CONFIG_MAP


def test_writing_removes_pages_of_ours_that_are_no_more_and_nothing_else(tmp_path: Path) -> None:
    for name in ("unitcost-old.json", "mine.json"):
        (tmp_path / name).write_text("{}")
    assert main(["--output", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {*(f"{uid}.json" for uid in UIDS), "mine.json"}


CONFIG = """
currency: {code: %s}
tenants: {key: customer-id}
sources: {money: {type: csv_revenue, path: mrr.csv}}
"""


@pytest.mark.parametrize(
    ("code", "unit", "header"), [("EUR", "currencyEUR", "Cost €"), ("XAU", "currency:XAU ", "Cost XAU")]
)
def test_the_configured_currency_is_on_every_page(tmp_path: Path, code: str, unit: str, header: str) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,mrr,from\n")
    config = tmp_path / "unitcost.yaml"
    config.write_text(CONFIG % code)
    assert main(["--config", str(config), "--output", str(tmp_path / "out")]) == 0
    text = "".join(path.read_text() for path in (tmp_path / "out").glob("*.json"))
    assert unit in text
    assert header in text
    assert "currencyUSD" not in text
    for name in re.findall(r'"(?:title|options)": "([^"]*)"', text):
        assert name.startswith("/") or not re.search(r"\$(?![\w{])", name), name


def test_a_wrong_configuration_is_told_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "unitcost.yaml"
    config.write_text("curency: {}\n")
    assert main(["--config", str(config), "--output", str(tmp_path / "out")]) == 2
    assert "curency: unknown key" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# what Grafana is given


@each_page
def test_a_page_is_ready_for_a_current_grafana(uid: str) -> None:
    board = page(uid)
    assert board["uid"] == uid
    assert board["schemaVersion"] == 42, "Grafana 12 would migrate it"
    assert board["timezone"] == "utc", "days are UTC"
    assert board["refresh"] == "5m", "daily figures need no faster one"
    assert board["graphTooltip"] == 1
    assert board["time"]["from"].startswith("now-")
    assert board["time"]["to"] == "now"
    assert board["tags"] == ["unitcost"]
    assert board["editable"] is False, (
        "what is edited is lost with the next version: docs/dashboards.md says how to copy"
    )
    assert board["description"]
    (menu,) = board["links"]
    assert (menu["type"], menu["tags"]) == ("dashboards", ["unitcost"])
    assert menu["keepTime"] is True
    assert menu["includeVars"] is True
    assert not {"rows", "style", "hideControls", "sharedCrosshair", "gnetId", "__inputs", "id"} & board.keys()


@each_page
def test_panels_are_of_types_that_grafana_does_not_replace(uid: str) -> None:
    assert {panel["type"] for panel in page(uid)["panels"]} <= MODERN


@each_page
def test_queries_say_nothing_that_changes_their_step(uid: str) -> None:
    """intervalFactor 2, which grafanalib writes, makes the step 2 days: a legend's total is then half of the truth."""
    for one in panels(page(uid)):
        for target in one.get("targets", []):
            assert not {"intervalFactor", "step", "metric", "target", "query"} & target.keys(), one["title"]
            assert target["instant"] is not target["range"]


@each_page
def test_graphs_of_days_have_a_point_per_day(uid: str) -> None:
    for one in panels(page(uid)):
        if "timeFrom" in one:
            continue
        if any(target["range"] for target in one.get("targets", [])):
            assert one["interval"] == "1d", one["title"]


AHEAD = {"1d": 24, "30d": 24, "mtd": 0, "": 0}
"""Window → how many hours after a day's midnight the day begins in which it speaks of that day."""

WEEK = 7 * 24
"""Hours: some graphs show a week before, beside it or taken from it."""


@each_page
def test_graphs_put_figures_on_the_day_they_are_of(uid: str) -> None:
    """What a window says of day D is said during D + 1: a graph has to look a day further than the day's end."""
    for one in panels(page(uid)):
        for target in one.get("targets", []):
            if target["instant"] or "timeFrom" in one:
                continue
            read = re.findall(r"(\w+)\{([^{}]*)\}[^{}\[]*(\[\w+(?::\w+)?\][^)]*)", target["expr"])
            assert read, one["title"]
            for metric, labels, how in read:
                ahead = AHEAD[(re.findall(r'window="(\w+)"', labels) or [""])[0]]
                hours, span = (2, "[1h]") if 'job=""' in labels else (23, "[22h30m:1h]")
                told = [f"{span} offset {-(ahead - before) - hours}h" for before in (0, WEEK)]
                assert how.strip() in told or "@ end(" in how, (one["title"], metric, how)


@each_page
def test_figures_and_tables_are_of_the_period_and_graphs_are_not(uid: str) -> None:
    for one in panels(page(uid)):
        for target in one.get("targets", []):
            windows = set(re.findall(r'window="([^"]+)"', target["expr"]))
            if target["range"]:
                assert not windows & {"$period", "prev_$period", "$month"}, one["title"]
            elif uid != "unitcost-close":
                of_the_month = {"mtd", "last_month"} if "month" in one["title"].lower() else set()
                assert windows <= {"$period", "prev_$period"} | of_the_month, (one["title"], windows)
        text = f"{one.get('title')} {one.get('description')}"
        if one["type"] != "timeseries":
            assert not re.search(r"\b30[ -]days?\b", text), (one["title"], "one page shows one period")


@each_page
def test_figures_are_of_now_whatever_the_time_range_and_graphs_are_of_it(uid: str) -> None:
    for one in panels(page(uid)):
        targets = one.get("targets", [])
        if targets and all(target["instant"] for target in targets):
            assert (one["timeFrom"], one["hideTimeOverride"]) == ("1h", True), one["title"]
        else:
            assert "hideTimeOverride" not in one, one["title"]


@each_page
def test_expressions_are_short(uid: str) -> None:
    for query in asked(page(uid)):
        assert len(query.expr) <= LONGEST, (query.panel, len(query.expr))


@each_page
def test_a_filled_area_starts_at_0(uid: str) -> None:
    for one in panels(page(uid)):
        if one["type"] == "timeseries" and one["fieldConfig"]["defaults"]["custom"]["fillOpacity"]:
            bars_around_0 = one["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars"
            assert one["fieldConfig"]["defaults"].get("min") == 0 or bars_around_0, one["title"]


@each_page
def test_every_panel_asks_the_chosen_data_source(uid: str) -> None:
    board = page(uid)
    assert board["templating"]["list"][0]["name"] == "datasource"
    assert board["templating"]["list"][0]["type"] == "datasource"
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    for one in panels(board):
        for target in one.get("targets", []):
            assert one["datasource"] == target["datasource"] == wanted
    asking = [one for one in board["templating"]["list"][1:] if one["type"] == "query"]
    assert all(variable["datasource"] == wanted for variable in asking)


@each_page
def test_every_panel_with_figures_says_what_they_are_and_what_an_empty_one_means(uid: str) -> None:
    for one in panels(page(uid)):
        if one["type"] == "text":
            continue
        assert len(one["description"].split()) >= 6, one["title"]
        assert re.search(r"[.?] From \w+", one["description"]), one["title"]
        assert one["fieldConfig"]["defaults"]["noValue"], one["title"]
        assert one["title"] or one["gridPos"]["h"] <= 2, "only a word beside the introduction goes without a title"


@each_page
def test_panels_fit_the_grid_and_do_not_overlap(uid: str) -> None:
    places = [panel["gridPos"] for panel in page(uid)["panels"]]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        assert place["h"] >= 1
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


@each_page
def test_ids_count_the_panels_and_ref_ids_the_queries(uid: str) -> None:
    every = page(uid)["panels"]
    assert [panel["id"] for panel in every] == list(range(1, len(every) + 1))
    for one in every:
        letters = [target["refId"] for target in one.get("targets", [])]
        assert letters == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(letters)])


def fields(one: Json) -> Iterator[dict[str, Any]]:
    """Return the settings of a panel's fields: the defaults, then each override's."""
    config = one.get("fieldConfig", {"defaults": {}, "overrides": []})
    yield config["defaults"]
    for override in config["overrides"]:
        yield {prop["id"]: prop["value"] for prop in override["properties"]}


@each_page
def test_units_are_known_to_grafana(uid: str) -> None:
    for one in panels(page(uid)):
        for said in fields(one):
            unit = said.get("unit", "none")
            assert unit in KNOWN_UNITS or unit.startswith(("suffix:", "prefix:", "currency:", "time:")), (
                one["title"],
                unit,
            )


@each_page
def test_money_in_tables_is_not_shortened(uid: str) -> None:
    """currencyUSD without decimals reads $3K for $3,487."""
    for one in panels(page(uid)):
        if one["type"] == "table":
            units_of = {str(said.get("unit", "")) for said in fields(one)}
            assert not [unit for unit in units_of if re.match("currency(?!:financial:)", unit)], one["title"]


@each_page
def test_every_bar_has_a_length_that_means_something(uid: str) -> None:
    """Without a maximum each bar over an instant query is full; a column of a table has one, its own."""
    for one in panels(page(uid)):
        defaults = one.get("fieldConfig", {"defaults": {}})["defaults"]
        if one["type"] == "bargauge":
            assert "min" in defaults, one["title"]
            assert "max" in defaults or one["options"]["reduceOptions"]["values"], one["title"]
        for said in fields(one):
            if said.get("custom.cellOptions", {}).get("type") == "gauge":
                assert "min" in said, one["title"]


def colours(uid: str) -> Iterator[tuple[str, str, str]]:
    for one in panels(page(uid)):
        for override in one.get("fieldConfig", {}).get("overrides", []):
            for prop in override["properties"]:
                if prop["id"] == "color" and override["matcher"]["options"] in COMPONENTS:
                    yield one["title"], override["matcher"]["options"], prop["value"]["fixedColor"]


def test_a_component_has_one_colour_on_all_pages() -> None:
    said = [found for uid in UIDS for found in colours(uid)]
    assert said
    assert set(COMPONENT_COLOURS) == set(COMPONENTS)
    assert len(set(COMPONENT_COLOURS.values())) == len(COMPONENTS)
    assert {(name, colour) for _, name, colour in said} <= set(COMPONENT_COLOURS.items())


@each_page
def test_a_graph_by_component_gives_every_component_its_colour(uid: str) -> None:
    for one in panels(page(uid)):
        if any(target.get("legendFormat") == "{{component}}" for target in one.get("targets", [])):
            named = {override["matcher"]["options"] for override in one["fieldConfig"]["overrides"]}
            assert set(COMPONENTS) <= named, one["title"]


def urls(value: Any) -> Iterator[str]:
    """Return every link below a value."""
    if isinstance(value, dict):
        if isinstance(value.get("url"), str) and value["url"]:
            yield value["url"]
        for inner in value.values():
            yield from urls(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from urls(inner)


@each_page
def test_links_lead_to_our_pages_and_carry_time_data_source_and_customer(uid: str) -> None:
    for url in urls(page(uid)["panels"]):
        target = re.match(r"/d/([\w-]+)\?", url)
        assert target, url
        assert target[1] in UIDS
        assert "${__url_time_range}" in url
        assert "var-datasource=${datasource:percentencode}" in url
        if target[1] == "unitcost-tenant":
            assert re.search(r"var-tenant=\$\{__(data\.fields|field\.labels)|\$\{tenant:queryparam\}", url), url


@each_page
def test_whatever_a_link_carries_is_encoded_for_it(uid: str) -> None:
    # Else Grafana leaves &, + and # as they are, and the links of `R&D Labs`, `C+Soft`, `Tim #2` open other customers.
    for url in urls(page(uid)["panels"]):
        for name, form in re.findall(r"\$\{([^}:]+):?(\w*)\}", url):
            assert name == "__url_time_range" or form in {"percentencode", "queryparam"}, url
        assert not re.search(r"\$\w|\[\[", url)


def test_customers_names_lead_to_their_page() -> None:
    for uid, title in (
        ("unitcost-economics", "Customers"),
        ("unitcost-economics", "Who loses money: the ten worst"),
    ):
        (link,) = set(urls(panel(page(uid), title)))
        assert link.startswith("/d/unitcost-tenant?")


@each_page
def test_variables_are_defined_where_they_are_used_and_used_where_they_are_defined(uid: str) -> None:
    board = page(uid)
    text = json.dumps(board["panels"])
    used = set(re.findall(r"\$\{?([A-Za-z]\w*)", text))
    defined = {variable["name"] for variable in board["templating"]["list"]}
    assert used == defined


@each_page
def test_all_customers_are_a_short_expression(uid: str) -> None:
    for variable in page(uid)["templating"]["list"]:
        if variable["name"] == "tenant":
            assert variable["query"] == f"query_result({info('name')})"
            assert variable["multi"] is True
            assert variable["includeAll"] is True
            assert variable["allValue"] == ".*", "2,000 names in every query would be refused"
    assert '=\\"$tenant\\"' not in json.dumps(page(uid)).replace('=~\\"$tenant', "")


# Grafana's own model


def missing(given: Any, back: Any, where: str = "") -> Iterator[str]:
    """Return what a value had and its copy has not; what the copy says on top are defaults that Grafana adds."""
    if isinstance(given, dict) and isinstance(back, dict):
        for key in given:
            if key not in back:
                yield f"{where}.{key} is lost"
            else:
                yield from missing(given[key], back[key], f"{where}.{key}")
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for number, (one, other) in enumerate(zip(given, back, strict=True)):
            yield from missing(one, other, f"{where}.{number}")
    elif given != back:
        yield f"{where}: {given!r} became {back!r}"


def through_grafanas_model(board: Json) -> Json:
    read: Json = json.loads(JSONEncoder().encode(model.Dashboard.from_json(board)))
    return read


NOT_IN_THE_MODEL = re.compile(
    r".*(\.hideTimeOverride|\.options\.enablePagination) is lost"
    r"|\.annotations\.list\.\d+\.(step|textFormat|useValueForTime|target\.\w+) is lost"
)
"""Grafana 12 writes and reads them; the published model lacks the first, knows the second by its old place, and nothing
of what the data source adds to an annotation."""


def lost(board: Json) -> list[str]:
    return [loss for loss in missing(board, through_grafanas_model(board)) if not NOT_IN_THE_MODEL.fullmatch(loss)]


@each_page
def test_grafanas_own_model_reads_a_page_without_loss(uid: str) -> None:
    assert lost(page(uid)) == []


def test_the_model_would_show_a_loss() -> None:
    board = page("unitcost-economics")
    board["panels"][1]["fieldConfig"]["defaults"]["unti"] = "none"
    assert lost(board) == [".panels.1.fieldConfig.defaults.unti is lost"]


# names


@each_page
def test_every_metric_and_label_of_every_query_is_in_the_catalogue(uid: str) -> None:
    # Where All is chosen, series without a tenant are asked for one: only .* matches them.
    of_all = EVERYONE.metrics.values()
    known = everything() | {metric.name: replace(metric, labels=(*metric.labels, "tenant")) for metric in of_all}
    problems = [
        f"{query.panel}: {problem}"
        for query in asked(page(uid), ANY_VALUE)
        for problem in Reading(query.expr, known).problems
    ]
    assert problems == []


@each_page
def test_variables_ask_for_labels_that_their_metrics_have(uid: str) -> None:
    for variable in page(uid)["templating"]["list"][1:]:
        found = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["query"])
        if found:
            assert found[2] in everything()[found[1]].labels
        elif variable["type"] == "query":
            asked_for = re.fullmatch(r"query_result\((.*)\)", variable["query"])
            assert asked_for, variable["query"]
            named = {"window"} if variable["name"] == "month" else {"tenant", "name"}
            assert Reading(asked_for[1], everything()).labels >= named


@each_page
def test_tables_and_legends_show_only_labels_that_their_queries_have(uid: str) -> None:
    for one in panels(page(uid)):
        for target in one.get("targets", []):
            labels = Reading(filled(target["expr"], ANY_VALUE), everything()).labels
            shown = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            assert shown <= labels, (one["title"], shown - labels)


def test_the_tenant_label_of_the_configuration_is_asked_of_the_cluster() -> None:
    text = "".join(rendered(Settings(tenant_key="customer-id")).values())
    assert "label_tenant" not in text
    for name in label_names("customer-id"):
        assert (name in text) == ("label_tenant" in "".join(rendered(Settings()).values()))


# the framework


def test_panels_that_do_not_fit_are_an_error_where_the_page_is_written() -> None:
    note = stat("", "Nothing.", [Query("vector(1)")], unit="none")
    with pytest.raises(ValueError, match="26 wide"):
        row(4, (13, note), (13, note))
    with pytest.raises(ValueError, match="a column is 5 high in a row of 4"):
        row(4, (6, column((3, note), (2, note))))


def test_places_follow_from_the_order() -> None:
    note = stat("a", "Nothing.", [Query("vector(1)")], unit="none")
    rows: list[Row] = [section("One"), row(5, (6, note), (18, column((3, note), (2, note)))), row(2, (24, note))]
    board = whole_page("x", "X", "x", rows)
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in board["panels"]]
    assert places == [(0, 0, 24, 1), (0, 1, 6, 5), (6, 1, 18, 3), (6, 4, 18, 2), (0, 6, 24, 2)]


def test_a_description_ends_with_the_metrics_that_are_shown() -> None:
    bars = bar_gauge(
        "Up", "Which is up.", [Query('sum(window_complete{window="up"}) or up')], unit="none", bounds=(0, 1)
    )
    (made,) = whole_page("x", "X", "x", [row(4, (24, bars))])["panels"]
    assert made["description"] == "Which is up. From window_complete, up."
