"""The rules and pages in the chart: made once with marks in place of what the configuration decides.

The templates fill the marks from `config` when the chart is rendered, so that a threshold in values.yaml is the
threshold in the alert. To find where a setting shows, the bundle is made from a configuration whose every number is
one that occurs nowhere else; each place where it is found becomes a mark, with the form that it is written in there.
What decides more than a text (which windows, which levels of budgets) stays as the defaults have it: the templates
refuse a `config` that says otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from dashboards.__main__ import rendered
from dashboards.style import GRAFANA_KNOWS, Settings
from helm.text import plain
from rules.__main__ import rule_files
from rules.alerts import Runbooks
from rules.expressions import number
from rules.write import operator
from unitcost.config.model import Config
from unitcost.days import DEFAULT_WINDOWS
from unitcost.figures import SYMBOLS, sign
from unitcost.metrics.recorded import ALERT_RULES

FIRST = 70_001
"""Settings are numbers of five digits from here on, as no expression of ours has them otherwise."""
KEY, CLUSTER, CODE, GRAFANA, RUNBOOKS = (
    "unitcost_key", "unitcost_cluster", "UCC", "https://unitcost.grafana", "https://unitcost.runbooks",
)  # fmt: skip
OF_STRUCTURE = ("window", "baseline", "levels", "incomplete_windows")
"""Settings of alerts that decide more than a text in a rule."""
ELSEWHERE = ("disabled", "runbooks", "cluster_label", "grafana", "grafana_datasource")
"""Settings of alerts that are no marks by themselves."""
DAY_SECONDS = 86_400
ALERTMANAGER = Path(__file__).parents[1] / "rules" / "alertmanager" / "alertmanager.yml"


@dataclass(frozen=True)
class Mark:
    """A place to fill. path: in `config`; form: how its value is written there; default: what counts without it."""

    path: str
    form: str
    default: Any

    def __str__(self) -> str:
        """Return what stands in the files."""
        return f"@@{self.path}|{self.form}@@"

    def entry(self) -> dict[str, Any]:
        """Return it as the templates read it."""
        return {"mark": str(self), "path": self.path.split("."), "form": self.form, "default": self.default}


FORMS: Mapping[str, Callable[[float], str]] = {
    "days": lambda value: number(value * DAY_SECONDS),
    "percent": lambda value: f"{value:.0%}",
    "thousands": lambda value: f"{value:,}",
    "number": number,
}
"""How a number may be written: in seconds of so many days, in percent, with commas, as it is."""


def files() -> dict[str, str]:
    """Return path below the chart's folder → content: rules, pages, marks and currencies.

    Raises ValueError where a setting shows nowhere, so that it would have no effect.
    """
    config, of_rules = _spelt_out()
    resources = {file.name: yaml.safe_load(operator(file)) for file in rule_files(config)}
    rules = {f"files/rules/{name}.json": _json(resource["spec"]) for name, resource in resources.items()}
    settings = Settings(currency=CODE, cluster_label=CLUSTER, runbooks=Runbooks(f"{RUNBOOKS}/"))
    pages = {f"files/dashboards/{name}": text for name, text in rendered(settings).items()}
    of_pages = {CLUSTER: of_rules[CLUSTER], **{text: _of_currency(form) for form, text in _written(CODE).items()}}
    del of_pages[_written(CODE)["gap"]]
    used: dict[str, Mark] = {}
    made = {path: _marked(text, of_rules, used) for path, text in rules.items()}
    made |= {path: _marked(text, of_pages, used) for path, text in pages.items()}
    if lost := {mark.path for mark in of_rules.values()} - {mark.path for mark in used.values()}:
        raise ValueError(f"settings that show nowhere in the bundle: {', '.join(sorted(lost))}")
    marks = [mark.entry() for _, mark in sorted(used.items())]
    fixed = list(_fixed(config.alerts, "alerts"))
    of_structure = {"fixed": fixed, "windows": list(DEFAULT_WINDOWS), "count": ALERT_RULES.name}
    made["files/marks.yaml"] = _yaml({**of_structure, "marks": marks})
    made["files/inhibit.yaml"] = _yaml(list(_inhibitions()))
    known = {code: _written(code) for code in sorted(GRAFANA_KNOWS | SYMBOLS.keys())}
    made["files/currencies.yaml"] = _yaml({"known": known, "other": _written("CODE")})
    return made


def _inhibitions() -> Iterator[dict[str, Any]]:
    """Yield which alerts silence others, as AlertmanagerConfig has it, from the example for Alertmanager."""
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        matches = {side: [_matcher(text) for text in rule[f"{side}_matchers"]] for side in ("source", "target")}
        made = {f"{side}Match": matchers for side, matchers in matches.items()}
        yield made | ({"equal": rule["equal"]} if "equal" in rule else {})


def _matcher(text: str) -> dict[str, str]:
    name, kind, value = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', text.strip()).groups()  # type: ignore[union-attr]
    return {"name": name, "matchType": kind, "value": value}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=120, allow_unicode=True)


def _of_currency(form: str) -> Mark:
    return Mark("currency.code", form, Config(sources={}).currency.code)


def _written(code: str) -> dict[str, str]:
    """Return how a currency is written, the longest form first: Grafana's two units, before a number, by itself."""
    settings = Settings(currency=code)
    return {"exact": settings.exact, "money": settings.money, "gap": sign(code, " "), "sign": settings.sign}


def _spelt_out() -> tuple[Config, dict[str, Mark]]:
    """Return a configuration in which every setting has a text of its own, and what these texts stand for."""
    config = Config(sources={})
    spelt: dict[str, Mark] = {}
    numbers = count(FIRST, 2)
    alerts = _with_own_values(config.alerts, "alerts", numbers, spelt)
    alerts = alerts.model_copy(update={"cluster_label": CLUSTER, "grafana": GRAFANA, "runbooks": RUNBOOKS})
    tenants = next(numbers)
    spelt |= {
        f"{tenants:,}": Mark("limits.tenants", "thousands", config.limits.tenants),
        CLUSTER: Mark("alerts.cluster_label", "text", config.alerts.cluster_label),
        GRAFANA: Mark("alerts.grafana", "url", config.alerts.grafana),
        f"label_{KEY}": Mark("tenants.key", "label", config.tenants.key[0]),
        sign(CODE, " "): _of_currency("gap"),
    }
    limits = config.limits.model_copy(update={"tenants": tenants})
    tenants_key = config.tenants.model_copy(update={"key": (KEY,)})
    currency = config.currency.model_copy(update={"code": CODE})
    update = {"alerts": alerts, "limits": limits, "tenants": tenants_key, "currency": currency}
    return config.model_copy(update=update), spelt


P = TypeVar("P", bound=BaseModel)


def _with_own_values(part: P, path: str, numbers: Iterator[int], spelt: dict[str, Mark]) -> P:
    """Return a section of alerts with texts and numbers of its own, and note what each may look like in a file."""
    update: dict[str, Any] = {}
    for name in type(part).model_fields:
        value, where = getattr(part, name), f"{path}.{name}"
        if name in OF_STRUCTURE or (path == "alerts" and name in ELSEWHERE):
            continue
        if isinstance(value, BaseModel):
            update[name] = _with_own_values(value, where, numbers, spelt)
        elif isinstance(value, str) and re.fullmatch(r"[0-9]+[smhd]", value):
            own = next(numbers)
            update[name] = f"{own}s"
            spelt |= {f"{own}s": Mark(where, "text", value), str(own): Mark(where, "seconds", value)}
        elif isinstance(value, str):
            update[name] = f"unitcost.{where}"
            spelt[f"unitcost.{where}"] = Mark(where, "text", value)
        else:
            own = next(numbers)
            update[name] = type(value)(own)
            spelt |= {write(update[name]): Mark(where, form, value) for form, write in FORMS.items()}
    return part.model_copy(update=update)


def _marked(text: str, spelt: Mapping[str, Mark], used: dict[str, Mark]) -> str:
    """Put marks in place of the texts that stand for settings, and note which were used."""
    text = re.sub(rf"{re.escape(RUNBOOKS)}/(.*?)\.md", rf"{RUNBOOK}\1{RUNBOOK_END}", text)
    for own in sorted(spelt, key=len, reverse=True):
        mark = spelt[own]
        text, found = re.subn(rf"(?<![0-9.]){re.escape(own)}(?![0-9]|\.[0-9])", str(mark), text)
        if found:
            used[str(mark)] = mark
    return text


def _of_json(value: Any) -> Any:
    """Return a default as JSON has it, whose keys are texts."""
    return json.loads(json.dumps(plain(value)))


RUNBOOK, RUNBOOK_END = Mark("runbooks", "before", ""), Mark("runbooks", "after", "")
"""No settings: the templates work out where the runbooks are."""


def _fixed(part: BaseModel, path: str) -> Iterator[dict[str, Any]]:
    """Yield the settings of alerts that the templates cannot fill in, with what the bundle is made for."""
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from _fixed(value, f"{path}.{name}")
        elif name in OF_STRUCTURE:
            yield {"path": [*path.split("."), name], "value": _of_json(value)}
