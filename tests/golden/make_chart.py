"""Write tests/golden/chart: what the chart makes of several values, without the text of pages and rules.

Those are held against `python -m rules` and `python -m dashboards` in tests/helm/test_bundle.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.fakes.chart import CHART, render

GOLDEN = Path(__file__).parent / "chart"
VALUES = Path(__file__).parents[1] / "helm" / "values"


def _values(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "minimal": _values(VALUES / "minimal.yaml"),
    "full": _values(VALUES / "full.yaml"),
    "beside": _values(CHART / "values-kube-prometheus-stack.yaml"),
}


def text(case: str) -> str:
    """Return the objects of a case as they are tracked."""
    objects = render(CASES[case])
    for one in objects:
        if one["kind"] == "PrometheusRule":
            one["spec"] = {
                "groups": [f"{group['name']}: {len(group['rules'])} rules" for group in one["spec"]["groups"]]
            }
        elif one["kind"] == "ConfigMap":
            one["data"] = {key: "…" if key.endswith(".json") else value for key, value in one.get("data", {}).items()}
    return yaml.safe_dump_all(objects, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    for case in CASES:
        (GOLDEN / f"{case}.yaml").write_text(text(case), encoding="utf-8")
