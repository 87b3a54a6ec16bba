"""docs/bills: its pages tell people to write what unitcost reads, and its policies allow what they must, no more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cel
import kubernetes_validate
import pytest
import yaml

from unitcost.config.load import load
from unitcost.sources.bills.focus.scan import COSTS
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.stage import CHARGED, PERIOD
from unitcost.sources.bills.focus.views import NEEDED, PARENT, SPLIT, TEXTS, TIMES, UNUSED
from unitcost.sources.registry import TYPES

BILLS = Path(__file__).parents[2] / "docs" / "bills"
EXAMPLES = [
    pytest.param(page.name, text, id=f"{page.stem}-{number}")
    for page in sorted(BILLS.glob("*.md"))
    for number, text in enumerate(
        re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL), 1
    )
    if re.search(r"^sources:", text, re.MULTILINE)
]


@pytest.mark.parametrize(("page", "text"), EXAMPLES)
def test_every_configuration_that_a_page_shows_is_read(
    page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(name, "made-up")
    sources = yaml.safe_load(text)["sources"]
    for source in sources.values():
        if source["type"] not in TYPES or ("engine" in source and "engine" not in FocusSettings.model_fields):
            pytest.skip(f"{page} is about a source that this version has not")
        if re.match(r"[a-z0-9]+://", str(source.get("path", ""))) and "store" not in FocusSettings.model_fields:
            pytest.skip(f"{page} is about bills in object stores, which this version does not read")
        if "path" in source and "://" not in source["path"]:
            (tmp_path / source["path"]).mkdir(exist_ok=True)
    (tmp_path / "unitcost.yaml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "unitcost.yaml")[0].sources.keys() == sources.keys()


def test_every_link_of_a_page_leads_somewhere() -> None:
    for page in BILLS.glob("*.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if link and not (BILLS / link).exists()] == [], page.name


# ------------------------------------------------------------------------------------------- policies


def actions(document: object) -> Iterator[str]:
    """Yield what a policy of AWS, a role of Azure or of Google allows."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            if key in {"Action", "Actions", "DataActions", "includedPermissions"}:
                yield from [value] if isinstance(value, str) else value
            else:
                yield from actions(value)
    elif isinstance(document, list):
        for one in document:
            yield from actions(one)


POLICIES = {
    "aws-policy.json": {"s3:ListBucket", "s3:GetObject"},
    "aws-bucket-policy.json": {"s3:PutObject"},
    "aws-cost-explorer-policy.json": {"ce:GetCostAndUsage", "ce:ListCostAllocationTags"},
    "azure-role.json": {
        "Microsoft.Storage/storageAccounts/blobServices/containers/read",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
    },
    "google-role.json": {"bigquery.jobs.create", "bigquery.tables.get", "bigquery.tables.getData"},
}
EXPORTS = {"aws-export.json", "aws-export-cur2.json", "azure-export.json"}


def test_policies_allow_what_is_needed_and_no_more() -> None:
    assert {path.name for path in BILLS.glob("*.json")} == {*POLICIES, *EXPORTS}
    for name, allowed in POLICIES.items():
        found = list(actions(json.loads((BILLS / name).read_text(encoding="utf-8"))))
        assert set(found) == allowed, name
        assert not any("*" in action for action in found), name


def test_exports_select_every_column_that_is_read() -> None:
    cur = json.loads((BILLS / "aws-export-cur2.json").read_text(encoding="utf-8"))["DataQuery"]["QueryStatement"]
    page = (BILLS / "aws.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:bill|line_item|savings_plan|reservation|pricing|split_line_item)_[a-z_]+\b", page))
    assert named <= set(re.findall(r"\w+", cur))
    assert {*NEEDED, PARENT, SPLIT, UNUSED, *TIMES.values(), *TEXTS.values()} <= set(re.findall(r"\w+", cur))
    focus = json.loads((BILLS / "aws-export.json").read_text(encoding="utf-8"))["DataQuery"]["QueryStatement"]
    assert {*PERIOD, *CHARGED, *COSTS, "Tags", "ResourceId"} <= set(re.findall(r"\w+", focus))


# ------------------------------------------------------------------------------------------- the tenant label

LABEL = BILLS / "tenant-label"
FILES = {path.name: list(yaml.safe_load_all(path.read_text(encoding="utf-8"))) for path in LABEL.iterdir()}


def test_the_admission_policy_is_one_by_kubernetes_schema() -> None:
    for document in FILES["mutating-admission-policy.yaml"]:
        kubernetes_validate.validate(document, "1.36", strict=True)


def test_kyvernos_policy_says_the_same() -> None:
    [policy, binding], [kyverno] = FILES["mutating-admission-policy.yaml"], FILES["kyverno-policy.yaml"]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    same = ("matchConstraints", "matchConditions", "variables", "mutations", "failurePolicy")
    assert {key: kyverno["spec"][key] for key in same} == {key: policy["spec"][key] for key in same}


def example(name: str) -> dict[str, Any]:
    text = (BILLS / "tenant-label.md").read_text(encoding="utf-8")
    found = re.search(rf"^```yaml\n# {name}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    loaded: dict[str, Any] = yaml.safe_load(found[1])
    return loaded


def admitted(pod: dict[str, Any], namespace: dict[str, Any]) -> dict[str, Any]:
    """Return a pod as the policy makes it: its CEL evaluated, its labels merged."""
    spec = FILES["mutating-admission-policy.yaml"][0]["spec"]
    [needed] = spec["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert needed["operator"] == "Exists"
    if needed["key"] not in namespace["metadata"].get("labels", {}):
        return pod
    known: dict[str, Any] = {"object": pod, "namespaceObject": namespace}
    if not all(cel.evaluate(condition["expression"], known) for condition in spec["matchConditions"]):
        return pod
    known["variables"] = {one["name"]: cel.evaluate(one["expression"], known) for one in spec["variables"]}
    [mutation] = spec["mutations"]
    # Object{metadata: …} constructs a typed object; as a map it has the same fields.
    plain = re.sub(r"Object(?:\.\w+)*\{", "{", mutation["applyConfiguration"]["expression"])
    applied = cel.evaluate(re.sub(r"([{,] *)(\w+):", r'\1"\2":', plain), known)
    assert applied.keys() == {"metadata"}
    assert applied["metadata"].keys() == {"labels"}
    labels = {**pod["metadata"].get("labels", {}), **applied["metadata"]["labels"]}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}}


def test_a_pod_becomes_what_the_page_shows() -> None:
    assert admitted(example("before"), example("namespace")) == example("after")


@pytest.mark.parametrize(
    ("of_pod", "of_namespace", "labels"),
    [
        (None, {"tenant": "acme"}, {"tenant": "acme"}),
        ({}, {"tenant": "acme"}, {"tenant": "acme"}),
        ({"tenant": "beta"}, {"tenant": "acme"}, {"tenant": "beta"}),
        ({"app": "web"}, {"team": "x"}, {"app": "web"}),
        ({"app": "web"}, None, {"app": "web"}),
    ],
)
def test_other_pods_and_namespaces_are_as_the_page_says(
    of_pod: dict[str, str] | None, of_namespace: dict[str, str] | None, labels: dict[str, str]
) -> None:
    def labelled(given: dict[str, str] | None) -> dict[str, Any]:
        return {"metadata": {"name": "x", **({} if given is None else {"labels": given})}}

    assert admitted(labelled(of_pod), labelled(of_namespace))["metadata"]["labels"] == labels
