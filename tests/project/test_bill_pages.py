"""docs/bills: its pages tell people to write what unitcost reads, and its policies allow what they must, no more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from unitcost.config.load import load
from unitcost.sources.bills.focus.settings import FocusSettings

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
