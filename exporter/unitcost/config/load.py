"""Reads unitcost.yaml; every mistake is reported at once, with its path in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.config.sections import METHODS
from unitcost.config.variables import fill_variables
from unitcost.errors import ConfigError
from unitcost.facts import MATCH_FIELDS
from unitcost.sources.registry import TYPES
from unitcost.yaml_file import read_yaml


def load(path: Path) -> tuple[Config, Directory]:
    """Read the configuration and the tenant directory it names.

    Raises ConfigError with every mistake: YAML, unknown keys, types, unset $VARS, missing files, shares.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise ConfigError([f"{path}: must be a mapping with at least `sources`"])
    mistakes: list[str] = []
    filled = fill_variables(raw, "", mistakes)
    folder = path.absolute().parent  # of the name: what a link points to may be taken away, as in a mounted ConfigMap
    sources = _load_sources(filled.get("sources"), folder, mistakes)
    config = None
    try:
        config = Config.model_validate({**filled, "sources": sources}, context={"folder": folder})
    except ValidationError as error:
        mistakes += _lines(error, "")
    directory = Directory()
    if config is not None:
        mistakes += _cross_checks(config)
        if config.tenants.directory is not None:
            directory, wrong = Directory.read(config.tenants.directory, config.tenants.fold)
            mistakes += wrong
    if mistakes or config is None:
        raise ConfigError([f"{path}: {mistake}" for mistake in mistakes])
    return config, directory


def _load_sources(raw: object, folder: Path, mistakes: list[str]) -> dict[str, Any]:
    """Validate each source by its own type, so that one bad source does not hide the next one's mistakes."""
    if not isinstance(raw, dict) or not raw:
        mistakes.append("sources: name at least one source, each with its type")
        return {}
    loaded: dict[str, Any] = {}
    for name, given in raw.items():
        where = f"sources.{name}"
        loaded[str(name)] = None
        if not isinstance(given, dict):
            mistakes.append(f"{where}: must be a mapping with a type")
            continue
        kind = given.get("type")
        if not isinstance(kind, str) or kind not in TYPES:
            mistakes.append(f"{where}.type: {kind!r} is none of {', '.join(sorted(TYPES))}")
            continue
        try:
            loaded[str(name)] = TYPES[kind].settings.model_validate(given, context={"folder": folder})
        except ValidationError as error:
            mistakes += _lines(error, where)
    return loaded


def _cross_checks(config: Config) -> list[str]:
    """Return what is wrong between parts of the file that are right by themselves."""
    wrong = []
    kinds = config.kinds()
    broken = config.sources.keys() - kinds.keys()  # what is said of a source that is wrong itself cannot be judged
    measures: set[str] | None = None if broken else set()
    for name in (name for name in kinds if "usage" in config.brings(name)):
        named = getattr(config.settings(name), "measures", None)
        # Only a file knows the measures it has.
        measures = None if named is None or measures is None else measures | set(named)
    for number, rule in enumerate(config.sharing):
        where = f"sharing.{number}"
        allowed = (*MATCH_FIELDS, *config.dimensions)
        wrong += [
            f"{where}.match.{key}: unknown; match by {', '.join(allowed)}" for key in rule.match if key not in allowed
        ]
        if isinstance(rule.by, str) and rule.by not in METHODS and measures is not None and rule.by not in measures:
            known = ", ".join((*METHODS, *sorted(measures)))
            wrong.append(f"{where}.by: {rule.by!r} is neither a method nor a measure of a usage source ({known})")
    for name, settings in config.sources.items():
        for bill in getattr(settings, "billed_by", None) or ():
            if bill not in broken and kinds.get(bill) != "bill":
                wrong.append(f"sources.{name}.billed_by: {bill!r} is no bill among the sources")
            elif bill not in broken and kinds.get(name) == "cluster" and bill not in config.bills_of_clusters():
                why = "has clusters: false, for" if config.settings(bill).of_clusters else "charges for models, and for"
                wrong.append(f"sources.{name}.billed_by: {bill!r} {why} no cluster")
    wrong += _counted_twice(config)
    unfit = {name: config.settings(name).unfit(config.context()) for name in kinds}
    wrong += [f"sources.{name}: {text}" for name, text in unfit.items() if text]
    wrong += _divided_twice(config)
    wrong += _wrong_of_ai(config)
    wrong += [
        f"budgets.{name}: is neither `default` nor one of the plans"
        for name in config.budgets
        if name != "default" and name not in config.plans
    ]
    return wrong


def _counted_twice(config: Config) -> list[str]:
    """Return which clusters' nodes would count twice: a bill has them, and cannot say which of its charges they are."""
    clusters = [name for name, kind in config.kinds().items() if kind == "cluster"]
    return [
        f"sources.{name}: {bill} cannot tell this cluster's nodes from other machines, so that they would count twice;"
        f" set sources.{bill}.cluster_tag to the tag that names a node's cluster (aws:eks:cluster-name, say), or"
        f" sources.{name}.billed_by to the bills that do hold this cluster ([] if none does)"
        for name in clusters
        for bill in config.billed_by(name)
        if config.sources.get(bill) is not None and not config.settings(bill).charges_apart()
    ]


def _divided_twice(config: Config) -> list[str]:
    """Return which bills divide nodes among their pods that a meter of the same clusters divides too."""
    bills = [
        name for name in config.bills_of_clusters() if getattr(config.settings(name), "split_cost_allocation", False)
    ]
    meters = [name for name, kind in config.kinds().items() if kind == "cluster"]
    return [
        f"sources.{bill}.split_cost_allocation: {meter} divides the nodes of this bill already; remove one of the two,"
        f" or set sources.{meter}.billed_by to the bills that hold other clusters, [] for none"
        for bill in bills
        for meter in meters
        if bill in config.billed_by(meter)
    ]


def _wrong_of_ai(config: Config) -> list[str]:
    kinds = config.kinds()
    wrong = _told_twice(config)
    if "tokens" in kinds.values() and "USD" not in config.currency.all_rates():
        wrong.append("currency.rates: the prices of AI are in dollars; give the rate of USD")
    counted = [name for name in kinds if name not in config.compared()]
    gateways = [name for name in counted if getattr(config.settings(name), "preset", None) == "litellm"]
    for name in kinds:
        for number, rule in enumerate(getattr(config.settings(name), "scopes", ())):
            if gateways and rule.scope.startswith("litellm/"):
                wrong.append(
                    f"sources.{name}.scopes.{number}: LiteLLM's export holds the tokens that {gateways[0]} counts;"
                    " keep one of the two"
                )
    return wrong


def _told_twice(config: Config) -> list[str]:
    """Return which sources of token counters would count the same tokens: nothing tells their series apart."""
    compared = config.compared()
    counters = [name for name, kind in config.kinds().items() if kind == "tokens" and name not in compared]
    wrong = []
    for at, name in enumerate(counters):
        for other in counters[:at]:
            one, two = (config.settings(each) for each in (name, other))
            apart = set(getattr(one, "providers", ())), set(getattr(two, "providers", ()))
            if all(apart) and not apart[0] & apart[1]:
                continue
            selected = getattr(one, "selector", ""), getattr(two, "selector", "")
            if all(selected) and selected[0] != selected[1]:
                continue
            wrong.append(
                f"sources.{name}: counts tokens that {other} may count as well; give each of them `providers` that the"
                " other has not, or a `selector` of its own, or count but one of them (`compare_only: true`)"
            )
    return wrong


def _lines(error: ValidationError, where: str) -> list[str]:
    """Return a line for each mistake: its path in the file, and what is wrong. Never the value: it may be secret."""
    lines = []
    for mistake in error.errors(include_url=False, include_input=False, include_context=False):
        parts = mistake["loc"][:-1] if mistake["loc"][-1:] == ("[key]",) else mistake["loc"]
        path = ".".join(str(part) for part in parts if not str(part).startswith("<"))  # a Tag of ours
        path = f"{where}.{path}".strip(".")
        message = MESSAGES.get(mistake["type"]) or mistake["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {message}" if path else message)
    return lines


MESSAGES = {
    "extra_forbidden": "unknown key",
    "string_type": "must be text; write a number or true in quotes",
    "path_type": "must be the path of a file or folder; write it in quotes",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
"""What pydantic says of an `Input`, in the words of the file."""
