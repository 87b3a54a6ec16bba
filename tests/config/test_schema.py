"""The JSON schema of unitcost.yaml is no liar: it takes what is loaded, and names the same key where it refuses."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from pydantic import BaseModel, SecretStr

from tests.config.test_config_wrong import CASES
from tests.fakes.shown import put, shown
from unitcost import sample
from unitcost.cli.main import main
from unitcost.config.load import MESSAGES, load
from unitcost.config.model import Config
from unitcost.config.schema import schema
from unitcost.errors import ConfigError
from unitcost.sources.registry import TYPES
from unitcost.yaml_file import read_yaml

SCHEMA = schema()
CHECK = Draft202012Validator(SCHEMA)

WHOLE = """
tenants: {key: [tenant, customer], fold: case, directory: tenants.csv}
refresh: {every: 5m, restate_days: 3}
history: 90d
state_dir: ./state
copies: {every: 1d, keep: 2}
currency: {code: USD, rates: {EUR: 1.08}, as_of: 2026-11-01}
sources:
  cluster: {type: opencost, url: "http://opencost:9003", tenant: ["label:tenant", namespace], billed_by: [bill],
            partial_guard: 0.5, by_node: true, timeout: 30, body_size_limit: 100MB, headers: {X-Scope-OrgID: cluster-7}}
  bill: {type: focus, path: "s3://billing/focus", delivery: aws, cost: EffectiveCost, missing_days: zero,
         store: {region: eu-west-1, access_key_id: id, secret_access_key: hidden, timeout: 60}, cache: {size: 10GB},
         components: {Datadog: other}, scopes: [{scope: bedrock/prod, match: {service: Bedrock}}], clusters: true}
  table: {type: focus, clusters: false,
          engine: {type: trino, url: "https://trino", table: a.b.c, user: u, password: hidden, every: 6h, timeout: 30m}}
  aws: {type: aws_cost_explorer, tenant: none, cost: amortized, cluster_tag: eks, request_budget: 100, every: 24h,
        record_types: apart, region: us-east-1, role_arn: "arn:aws:iam::123456789012:role/cost", external_id: x}
  tokens: {type: ai_tokens, url: "http://p", preset: litellm, selector: 'job="gateway"', labels: {feature: team},
           first_samples: true, providers: [openai], accounts: {openai: acme}}
  more: {type: csv_tokens, path: tokens.csv, columns: {day: date}, provider: azure, providers: [azure]}
  openai: {type: openai, admin_key: hidden, account: acme, tenants: {proj_1: acme}}
  anthropic: {type: anthropic, admin_key_file: key, tenant_pattern: "(?P<tenant>.*)-prod", required: false}
  revenue: {type: csv_revenue, path: mrr.csv, rows: snapshots, columns: {mrr: amount}}
  counted: {type: csv_usage, path: usage.csv}
  usage: {type: prometheus, url: "https://p", measures: {requests: "x[$window]"}, username: u, password: hidden}
sharing:
  - {match: {component: idle, source: cluster}, by: direct_cost}
  - {match: {service: Route53}, by: requests}
  - {match: {feature: chat}, by: {fixed: {acme: 0.6, beta: 0.4}}}
plans: {pro: {price: 49, target_margin: 0.6}}
budgets: {default: {share_of_mrr: 0.3}, pro: {dollars: 50}}
dimensions: [feature, environment]
components: {AmazonRoute53: network}
windows: [1d, 30d, mtd]
months: 3
limits: {tenants: 2000, models: 50}
web: {listen: "0.0.0.0:9488", external_url: "https://unitcost", config_file: web.csv, enable_lifecycle: true}
alerts: {owners: {money: finance}, wait: 15m, disabled: [UnitcostBudgetUsed], margin: {window: 30d, loss_dollars: 5},
         budget: {levels: {50: info}, forecast_ratio: 1.1}, burn: {fast: {window: 1d, rate: 3}}, data: {incomplete: 2d}}
ai:
  prices: [{model: gpt-4o, provider: azure, from: 2026-01-01, prices: {input: 2.5}, discount: 0.1}]
  routing: [{feature: chat, from: gpt-4o, to: gpt-4o-mini, tokenizer_ratio: 1, fallback_share: 0.1}]
  cacheable_share: {chat: 0.5}
  semantic_cache: {embedding_tokens: requests, embedding_model: text-embedding-3-small}
"""
"""A configuration with a bit of everything, every type of source among it.

No secret in it is a part of a key: load() would hide it where it names the key.
"""


def places(given: object) -> set[str]:
    """Return every key that the schema refuses, or that it lacks, with its path as load() writes it."""
    return {" ".join(".".join(map(str, path)).split()) for error in CHECK.iter_errors(given) for path in _paths(error)}


def _paths(error: Any) -> Iterator[tuple[object, ...]]:
    at = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from ((*at, key) for key in error.instance if key not in error.schema["properties"])
    elif error.validator == "required":
        yield from ((*at, key) for key in error.validator_value if key not in error.instance)
    elif error.validator == "propertyNames" or (error.parent is not None and error.parent.validator == "propertyNames"):
        yield (*at, error.instance)
    else:
        yield at
    for one in error.context:
        yield from _paths(one)


STRUCTURE = re.compile(
    r"unknown key|Field required|must be a number|.* is none of ai_tokens.*"
    r"|Input should be (?!greater|less|a finite).*|" + "|".join(map(re.escape, MESSAGES.values()))
)
"""What load() says where a key, a type or a choice is wrong: all of it is the schema's to say too."""


def structural(path: Path) -> set[str]:
    """Load a file; return the keys of which it says that, with their paths. Raises ConfigError where it says others."""
    try:
        load(path)
    except ConfigError as error:
        said = [line.removeprefix(f"{path}: ").partition(": ")[::2] for line in error.mistakes]
        found = {key for key, text in said if STRUCTURE.fullmatch(text)}
        if not found:
            raise
        return found
    return set()


def missed(refused: set[str], by_schema: set[str]) -> list[str]:
    """Return what load() refuses and the schema does not, there or just above (`key` of one is `key.0` to load())."""
    return [key for key in refused if not {key, key.rpartition(".")[0]} & by_schema]


# ------------------------------------------------------------------------------- what is right is taken


def test_the_schema_is_one_of_both_drafts_without_noise() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft7Validator.check_schema(SCHEMA)
    found = [node for node in nodes(SCHEMA) if {"title", "$id", "$schema", "patternProperties", "oneOf"} & node.keys()]
    assert found == []
    patterns = [node["pattern"] for node in nodes(SCHEMA) if "pattern" in node]
    assert [pattern for pattern in patterns if re.search(r"\(\?(?!:)", pattern)] == []  # not every engine looks ahead
    references = {node["$ref"] for node in nodes(SCHEMA) if "$ref" in node}
    assert references == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema in a schema."""
    yield node
    for key in ("properties", "$defs"):
        for one in node.get(key, {}).values():
            yield from nodes(one)
    for key in ("items", "additionalProperties", "propertyNames", "if", "then"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key])
    for key in ("anyOf", "allOf"):
        for one in node.get(key, ()):
            yield from nodes(one)


def test_the_schema_is_the_same_each_time_and_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    printed = capsys.readouterr().out
    assert json.dumps(json.loads(printed)) == json.dumps(SCHEMA) == json.dumps(schema())
    assert printed.endswith("}\n")


def test_every_default_is_what_the_file_may_hold() -> None:
    defaults = [node for node in nodes(SCHEMA) if "default" in node]
    assert len(defaults) > 80
    wrong = [node["default"] for node in defaults if not CHECK.evolve(schema=node).is_valid(node["default"])]
    assert wrong == []
    assert SCHEMA["properties"]["history"]["default"] == "93d"
    assert SCHEMA["$defs"]["CacheSettings"]["properties"]["size"]["default"] == "10GB"
    assert SCHEMA["$defs"]["Route"]["properties"]["tokenizer_ratio"]["default"] == 1


def test_sections_and_keys_are_told_of_as_their_classes_do() -> None:
    assert all(section["description"] for section in SCHEMA["$defs"].values())
    focus = SCHEMA["$defs"]["FocusSettings"]
    assert focus["description"].startswith("A FOCUS export: one file, a folder, ")
    assert focus["properties"]["engine"]["description"] == "whose table it is, instead of a path."
    assert focus["properties"]["required"]["description"].startswith("whether a window that lacks a day")
    assert SCHEMA["$defs"]["Route"]["properties"]["from"]["description"].startswith("only what models of this name")
    assert SCHEMA["properties"].keys() == Config.model_fields.keys()
    assert all("description" in key for key in SCHEMA["properties"].values())


@pytest.mark.parametrize("name", shown())
def test_every_configuration_that_a_page_shows_is_right(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(shown()[name], tmp_path, monkeypatch)
    load(path)
    assert places(read_yaml(path)) == set()


def test_the_sample_is_right(tmp_path: Path) -> None:
    assert places(read_yaml(sample.write(tmp_path, datetime(2026, 11, 23, 12, tzinfo=UTC)))) == set()


def test_a_configuration_with_everything_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(WHOLE, tmp_path, monkeypatch)
    config, _ = load(path)
    assert places(read_yaml(path)) == set()
    assert config.model_fields_set == set(Config.model_fields)
    assert {config.settings(name).type for name in config.sources} == set(TYPES)


def test_editors_that_know_draft_7_only_read_it_as_well() -> None:
    older = Draft7Validator(SCHEMA)
    assert older.is_valid(yaml.safe_load("sources: {r: {type: csv_revenue, path: mrr.csv}}"))
    assert [error.message for error in older.iter_errors({"sources": {"r": {"type": "stripe"}}})]


@pytest.mark.parametrize(
    "part",
    [
        "refresh: {restate_days: '${NUMBER}'}",
        "limits: {tenants: '${NUMBER}000'}",
        "web: {enable_lifecycle: '${NUMBER}'}",
        "history: '${NUMBER}d'",
        "tenants: {fold: '${FOLD}'}",
        "currency: {code: '${CODE}', as_of: '${DAY}', rates: {EUR: '${NUMBER}'}}",
        "sharing: [{match: {component: '${COMPONENT}'}, by: {fixed: {acme: '${NUMBER}'}}}]",
        "components: {Datadog: '${COMPONENT}'}",
        "windows: ['${NUMBER}d']",
        "plans: {pro: {price: '${NUMBER}', target_margin: '0.${NUMBER}'}}",
        "alerts: {wait: '${NUMBER}m', margin: {window: '${NUMBER}d', loss_dollars: '${NUMBER}'}}",
        "ai: {prices: [{model: '*', from: '${DAY}', discount: '${NUMBER}'}]}",
        "sources: {r: {type: '${TYPE}', path: mrr.csv, rows: '${ROWS}', required: '${NUMBER}'}}",
        "sources: {c: {type: opencost, url: '${URL}', timeout: '${NUMBER}', body_size_limit: '${NUMBER}MB'}}",
        "sources: {t: {type: ai_tokens, url: '${URL}', preset: '${PRESET}'}}",
        "sources: {b: {type: focus, path: 's3://bucket', store: {role_arn: '${ROLE}'}}}",
        f"sources: {{o: {{type: openai, admin_key: '${{URL}}', account: '{'${NONE}' * 20}'}}}}",
    ],
)
def test_a_variable_may_stand_where_a_number_or_a_choice_does(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(
        part if part.startswith("sources") else f"sources: {{r: {{type: csv_revenue, path: mrr.csv}}}}\n{part}",
        tmp_path,
        monkeypatch,
    )
    values = {
        "NUMBER": "1",
        "FOLD": "case",
        "CODE": "EUR",
        "DAY": "2026-11-01",
        "COMPONENT": "idle",
        "NONE": "",
        "TYPE": "csv_revenue",
        "ROWS": "changes",
        "URL": "http://c",
        "PRESET": "plain",
        "ROLE": "arn:aws:iam::123456789012:role/x",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    if "EUR" in part:
        monkeypatch.setenv("CODE", "USD")
    load(path)
    assert places(read_yaml(path)) == set()


# ------------------------------------------------------------------------------ what is wrong is refused


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_key_type_or_choice_is_refused_where_it_stands(name: str, tmp_path: Path) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,5000\n", encoding="utf-8")
    text = CASES[name][0]
    path = tmp_path / "unitcost.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        refused = structural(path)
        wrong = read_yaml(path)
    except ConfigError:
        return  # not YAML, or what only the whole file or the machine tells
    assert missed(refused, places(wrong)) == []


READ = yaml.safe_load(WHOLE.replace("2026-11-01", "'2026-11-01'").replace("2026-01-01", "'2026-01-01'"))
READ["alerts"]["budget"]["levels"] = {"50": "info"}
PARTS = [None, True, 5, -1, 0.5, "text", "5", "5m", "", "${NUMBER}", [], {}, ["a"], [1], {"a": "b"}, {"type": "focus"}]


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[Any, bool]:
    """Return WHOLE with one value replaced or one key added, and whether a variable is in the place of it."""
    whole = copy.deepcopy(READ)
    node, ways = whole, draw(st.integers(1, 5))
    for _ in range(ways):
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        inner = [key for key in keys if isinstance(node[key], (dict, list)) and node[key]]
        if not inner:
            break
        node = node[draw(st.sampled_from(inner))]
    part = copy.deepcopy(draw(st.sampled_from(PARTS)))
    added = "colour" if isinstance(node, dict) else None
    key = draw(st.sampled_from([*sorted(node), *([added] if added else [])] if added else list(range(len(node)))))
    node[key] = part
    return whole, part == "${NUMBER}"


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of WHOLE, beside the files that it names."""
    monkeypatch.setenv("NUMBER", "7")
    return put(WHOLE, tmp_path, monkeypatch)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoilt=spoilt())
def test_what_is_loaded_is_taken_and_what_is_wrong_is_refused_at_the_same_key(
    spoilt: tuple[Any, bool], everything: Path
) -> None:
    given, variable = spoilt
    path = everything
    path.write_text(json.dumps(given), encoding="utf-8")
    wrong = read_yaml(path)
    try:
        refused = structural(path)
    except ConfigError:
        return  # what only the whole file or the machine tells
    if not refused:
        assert places(wrong) == set()
    elif not variable:
        assert missed(refused, places(wrong)) == []


# ----------------------------------------------------------------------------------------------- secrets


def secrets(section: type[BaseModel]) -> set[str]:
    """Return the keys of a section that are secrets, or hold some."""
    return {name for name, field in section.model_fields.items() if "SecretStr" in str(field.annotation)}


def test_every_secret_can_be_found_in_the_schema() -> None:
    found = 0
    for name, definition in SCHEMA["$defs"].items():
        marked = {
            key
            for key, value in definition.get("properties", {}).items()
            if any(node.get("writeOnly") and node["format"] == "password" for node in nodes(value))
        }
        cls = next((cls for cls in sections(BaseModel) if cls.__name__ == name), None)
        assert name == "Source" or cls is not None
        assert marked == (set() if cls is None else secrets(cls)), name
        found += len(marked)
    assert found > 20
    assert SecretStr.__name__ in str(TYPES["openai"].settings.model_fields["admin_key"].annotation)


def sections(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield every class of unitcost that is a section of the file."""
    for cls in base.__subclasses__():
        if cls.__module__.startswith("unitcost."):
            yield cls
        yield from sections(cls)
