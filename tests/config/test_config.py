"""Every mistake in unitcost.yaml is reported at once, with its path; no secret ever shows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from unitcost.config.alerts import Alerts
from unitcost.config.load import load
from unitcost.config.model import settings_digest
from unitcost.errors import ConfigError
from unitcost.run.setup import counting
from unitcost.sources.base import Section


def write(folder: Path, text: str) -> Path:
    path = folder / "unitcost.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert all(line.startswith(f"{path}: ") for line in caught.value.mistakes)
    return [line.removeprefix(f"{path}: ") for line in caught.value.mistakes]


MINIMAL = """
    sources:
      revenue: {type: csv_revenue, path: mrr.csv}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,5000\n", encoding="utf-8")
    (tmp_path / "bill.csv").write_text("BilledCost\n", encoding="utf-8")
    return tmp_path


def test_ten_lines_are_enough_and_the_rest_has_defaults(folder: Path) -> None:
    config, directory = load(write(folder, MINIMAL))
    assert config.tenants.key == ("tenant",)
    assert config.refresh.every == timedelta(minutes=5)
    assert config.windows == ("1d", "30d", "mtd", "last_month")
    assert config.state_dir == folder / "state"
    assert directory.tenants == ()


def test_the_configuration_of_the_design_is_accepted(folder: Path) -> None:
    (folder / "tenants.csv").write_text("id,name,plan,budget_dollars,aliases\nacme,Acme,pro,,Acme-Corp\n")
    path = write(
        folder,
        """
        tenants: {key: tenant, directory: tenants.csv}
        refresh: {every: 5m, restate_days: 3}
        history: 90d
        state_dir: ./state
        currency: {code: USD, rates: {EUR: 1.08}, as_of: 2026-11-01}
        sources:
          cluster: {type: opencost, url: "http://opencost.opencost:9003"}
          bill: {type: focus, path: bill.csv, cost: EffectiveCost}
          revenue: {type: csv_revenue, path: mrr.csv}
          usage: {type: prometheus, url: "http://prometheus:9090",
                  measures: {requests: 'sum by (tenant) (increase(http_requests_total[$window]))'}}
        sharing:
          - {match: {component: database}, by: requests}
          - {match: {component: idle}, by: direct_cost}
          - {match: {service: AmazonRoute53}, by: even}
          - {match: {component: support}, by: {fixed: {acme: 0.6, beta: 0.4}}}
        plans: {starter: {price: 49, target_margin: 0.6}}
        budgets: {default: {share_of_mrr: 0.3}}
        dimensions: [feature, environment, cost-center]
        limits: {tenants: 2000}
        web: {listen: "0.0.0.0:9488"}
        """,
    )
    config, directory = load(path)
    assert len(config.sharing) == 4
    assert str(config.currency.all_rates()["EUR"]) == "1.08"
    assert directory.aliases() == [("acme", "acme"), ("Acme-Corp", "acme")]


@pytest.mark.parametrize(
    "apart",
    [
        ("providers: [openai]", "providers: [anthropic, azure]"),
        ("selector: 'job=\"a\"'", "selector: 'job!=\"a\"'"),
        ("compare_only: false", "compare_only: true"),
    ],
)
def test_sources_of_tokens_may_be_told_apart(apart: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "unitcost.yaml"
    one, two = (f"{{type: ai_tokens, url: 'http://p', preset: plain, {which}}}" for which in apart)
    path.write_text(f"sources: {{a: {one}, b: {two}}}")
    config, _ = load(path)
    assert set(config.sources) == {"a", "b"}


def test_a_source_that_is_only_compared_counts_nothing_and_is_asked_for_the_same(tmp_path: Path) -> None:
    path = tmp_path / "unitcost.yaml"
    tokens = "{type: ai_tokens, url: 'http://p', preset: litellm, compare_only: %s}"
    digests = set()
    for compared in ("true", "false"):
        path.write_text(f"sources: {{b: {tokens % compared}, u: {{type: csv_usage, path: {tmp_path / 'u.csv'}}}}}")
        (tmp_path / "u.csv").touch()
        config, directory = load(path)
        model = counting(config, directory.names("none"))
        assert ("b" in {name for name, _, _ in model.sources}) == (compared == "false")
        assert ("b" in {name for name, _ in model.settings}) == (compared == "false")
        digests.add(settings_digest(config, "b"))
    assert len(digests) == 1


def test_all_mistakes_are_reported_at_once_each_with_its_path(folder: Path) -> None:
    path = write(
        folder,
        """
        tenant: {key: x}
        tenants: {key: tenant, directory: none.csv}
        refresh: {every: soon}
        currency: {code: usd, rates: {EUR: 1.08}}
        sources:
          cluster: {type: opencost, url: "${NOT_SET_ANYWHERE}"}
          bill: {type: focus, path: missing.parquet, cost: Cost}
          other: {type: kubecost}
          revenue: {type: csv_revenue, path: mrr.csv, colour: red}
        sharing:
          - {match: {component: databases}, by: requests}
          - {match: {component: support}, by: {fixed: {acme: 0.6, beta: 0.3}}}
        """,
    )
    found = "\n".join(mistakes(path))
    for expected in (
        "tenant: unknown key",
        f"tenants.directory: {folder / 'none.csv'} does not exist",
        "refresh.every: must be a duration such as 30s, 5m, 2h or 90d",
        "currency.code:",
        "sources.cluster.url: the environment variable NOT_SET_ANYWHERE is not set",
        f"sources.bill.path: {folder / 'missing.parquet'} does not exist",
        "sources.bill.cost:",
        "sources.other.type: 'kubecost' is none of ai_tokens, anthropic, aws_cost_explorer, csv_revenue, csv_tokens,",
        "sources.revenue.colour: unknown key",
        "sharing.0: match.component 'databases' is none of compute",
        "fixed shares sum to 0.9, must be exactly 1",
    ):
        assert expected in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sources: [", "is not YAML (line 1): expected the node content"),
        ("sources:\n  a: {type: focus}\n  a: {type: focus}\n", "is not YAML (line 3): the key a stands there twice"),
        ("- a\n- b\n", "must be a mapping with at least `sources`"),
        ("{}", "sources: name at least one source"),
        ("sources: {}", "sources: name at least one source"),
        ("sources: {a: 3}", "sources.a: must be a mapping with a type"),
        (MINIMAL + "    windows: [fortnight]\n", "fortnight: must be Nd"),
        (MINIMAL + "    currency: {rates: {EUR: 1.08}}\n", "rates need as_of"),
        (MINIMAL + "    currency: {rates: {EUR: -1}, as_of: 2026-11-01}\n", "currency.rates.EUR"),
        (MINIMAL + "    budgets: {gold: {dollars: 5}}\n", "budgets.gold: is neither `default` nor one of the plans"),
        (MINIMAL + "    sharing: [{match: {colour: red}, by: even}]\n", "sharing.0.match.colour: unknown"),
        (MINIMAL + "    sharing: [{match: {component: idle}, by: magic}]\n", "'magic' is neither a method nor"),
        (MINIMAL + "    limits: {tenants: 0}\n", "limits.tenants"),
    ],
)
def test_a_mistake_says_where_it_is(folder: Path, text: str, expected: str) -> None:
    assert expected in "\n".join(mistakes(write(folder, text)))


def test_what_is_said_of_a_source_that_is_wrong_itself_is_no_further_mistake(folder: Path) -> None:
    path = write(
        folder,
        """
        sources:
          cluster: {type: opencost, url: "http://c:9003", billed_by: [bill, revenue]}
          bill: {type: focus, path: missing.parquet}
          revenue: {type: csv_revenue, path: mrr.csv}
        sharing: [{match: {component: idle}, by: requests}, {match: {component: idle}, by: 3}]
        """,
    )
    assert mistakes(path) == [
        (
            f"sources.bill.path: {folder / 'missing.parquet'} does not exist; "
            "give a path relative to the configuration file, or absolute"
        ),
        "sharing.1.by: must be text; write a number or true in quotes",
    ]
    path.write_text(path.read_text().replace(", {match: {component: idle}, by: 3}", ""))
    assert [line.split(":")[0] for line in mistakes(path)] == ["sources.bill.path", "sources.cluster.billed_by"]


def test_a_file_that_is_not_utf8_is_a_mistake_and_not_a_crash(folder: Path) -> None:
    path = folder / "unitcost.yaml"
    path.write_bytes(b"sources: {a\xff: 1}")
    assert "is not UTF-8" in "\n".join(mistakes(path))


def test_a_measure_keeps_its_window_and_variables_are_filled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROM_HOST", "prometheus.example:9090")
    path = write(
        folder,
        """
        sources:
          usage: {type: prometheus, url: "http://${PROM_HOST}",
                  measures: {requests: 'sum by (tenant) (increase(r_total[$window]))'}}
        """,
    )
    settings = load(path)[0].settings("usage")
    assert settings.model_dump()["url"] == "http://prometheus.example:9090"
    assert "[$window]" in settings.model_dump()["measures"]["requests"]


def test_no_secret_shows_in_an_error_or_a_repr(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t-value")
    text = """
        sources:
          cluster: {type: opencost, url: "http://c:9003", bearer_token: "${TOKEN}", %s}
    """
    config, _ = load(write(folder, text % "timeout: 5"))
    assert "s3cr3t-value" not in repr(config) + str(config.settings("cluster"))
    assert "s3cr3t-value" not in "\n".join(mistakes(write(folder, text % "username: x, password: y, colour: red")))
    assert "s3cr3t" not in "\n".join(mistakes(write(folder, "sources: {a: {type: opencost, password: s3cr3t: x}")))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("acme,Acme\nacme,Acme again\n", "'acme' stands for 'acme' and again for 'acme'"),
        ("acme,Acme\n,nobody\n", "line 3: has no id"),
        ("__idle__,x\n", "'__idle__' is a reserved name"),
    ],
)
def test_the_directory_names_each_tenant_once(folder: Path, lines: str, expected: str) -> None:
    (folder / "tenants.csv").write_text("id,name\n" + lines, encoding="utf-8")
    assert expected in "\n".join(mistakes(write(folder, MINIMAL + "    tenants: {directory: tenants.csv}\n")))


def test_an_alias_may_mean_one_tenant_only(folder: Path) -> None:
    (folder / "tenants.csv").write_text("id,aliases\nacme,Corp;A\nbeta,Corp\n", encoding="utf-8")
    found = "\n".join(mistakes(write(folder, MINIMAL + "    tenants: {directory: tenants.csv}\n")))
    assert "'Corp' stands for 'acme' and again for 'beta'" in found


def keys_of(section: Section) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each key below a section as a file would give it by itself, with its default."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from (({name: inner}, f"{name}.{where}") for inner, where in keys_of(value))
        else:
            yield {name: value}, name


@pytest.mark.parametrize(("given", "key"), list(keys_of(Alerts())), ids=str)
def test_a_key_set_to_its_default_changes_no_other_of_its_section(given: dict[str, Any], key: str) -> None:
    assert Alerts.model_validate(given) == Alerts(), key
