"""The runbooks as the exporter serves them: in the package, in one known form, as pages that lead to one another."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import bcrypt
import pytest

from rules.__main__ import rule_files
from tests.fakes.alert_rules import alerts_of
from tests.fakes.lacking import without
from tests.fakes.promql_names import Reading, everything
from tests.fakes.web_server import ask, basic, filled, running
from unitcost.config.model import Config
from unitcost.web import runbook_pages
from unitcost.web.markdown import to_html
from unitcost.web.runbook_pages import INDEX, pages, texts
from unitcost.web.snapshot import Current
from unitcost.web.web_config import WebConfig

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md"))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(Current()) as server:  # before the first snapshot: what to do is known even then
        yield server.port


class Read(HTMLParser):
    """Tags, links and text of a page; code is kept apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


# in the package


def test_the_package_holds_every_runbook_that_the_docs_show() -> None:
    assert len(NAMES) >= 18
    assert sorted(texts()) == NAMES
    folder = files("unitcost").joinpath("runbooks")
    assert {file.name for file in folder.iterdir()} == {f"{name}.md" for name in NAMES}


def test_a_wheel_built_of_what_the_image_copies_holds_every_runbook(tmp_path: Path) -> None:
    source, installed = tmp_path / "source", tmp_path / "installed"
    for name in ("pyproject.toml", "README.md", "LICENSE", "exporter/unitcost"):  # as the Dockerfile does
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "."]
    done = subprocess.run([*command, "-w", str(tmp_path)], cwd=source, capture_output=True, text=True, check=False)
    if done.returncode:
        without(f"the wheel cannot be built: {done.stderr[-300:]}")
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(installed)
    code = "import unitcost; from unitcost.web.runbook_pages import texts; print(unitcost.__file__, *texts())"
    said = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [str(installed / "unitcost" / "__init__.py"), *NAMES]


# the form they are written in


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_is_a_page_with_all_that_its_file_says(name: str) -> None:
    text = texts()[name]
    page = Read(pages()[f"{INDEX}{name}"].plain.decode())
    words = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", re.sub(r"(?m)^(## |\d+\. |- |```.*$)|`", "", text)).split()
    shown = page.text.split()
    start = shown.index("What")
    assert (["#", name], shown[start:]) == (words[:2], words[2:])
    assert page.tags.count("h2") == 4
    assert page.tags.count("h1") == page.tags.count("pre") == 1
    assert page.tags.count("li") == len(re.findall(r"(?m)^(?:\d+\.|-) ", text))
    assert page.tags.count("code") - 1 == len(re.findall(r"`[^`]+`", re.sub(r"(?s)```.*?```", "", text)))


def test_what_is_code_stays_as_it_is_and_nothing_becomes_html() -> None:
    code = "```promql\na < 1 and b > 2\n\n# **not** bold\n```"
    text = f'# A <b> title\n\nSay `<script>` & "so".\n{code}\n## A `head` & more\nEnd.\n'
    title, html = to_html(text, str)
    assert title == "A <b> title"
    assert html == (
        "<p>Say <code>&lt;script&gt;</code> &amp; &quot;so&quot;.</p>\n"
        "<pre><code>a &lt; 1 and b &gt; 2\n\n# **not** bold</code></pre>\n"
        "<h2>A <code>head</code> &amp; more</h2>\n<p>End.</p>\n"
    )


def test_lists_go_on_over_lines_and_links_lead_where_they_are_told() -> None:
    text = '# T\n1. One\n   more\n2. Two [here](a"b)\n\n- x\n- y\n'
    assert to_html(text, lambda address: address.upper())[1] == (
        '<ol>\n<li>One\nmore</li>\n<li>Two <a href="A&quot;B">here</a></li>\n</ol>\n'
        "<ul>\n<li>x</li>\n<li>y</li>\n</ul>\n"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("No title\n", 1),
        ("# T\n\n### Third\n", 3),
        ("# T\n\n# Again\n", 3),
        ("# T\n**bold**\n", 2),
        ("# T\nan _emphasis_\n", 2),
        ("# T\na <b>tag</b>\n", 2),
        ("# T\n<div>\n", 2),
        ("# T\nan &nbsp; entity\n", 2),
        ("# T\n> quote\n", 2),
        ("# T\n| a | table |\n", 2),
        ("# T\n![image](x.png)\n", 2),
        ("# T\na [link] without an address\n", 2),
        ("# T\nhttps://example.com/\n", 2),
        ("# T\n    code by indentation\n", 2),
        ("# T\ntext\n---\n", 3),
        ("# T\ntext\n===\n", 3),
        ("# T\n* item\n", 2),
        ("# T\n+ item\n", 2),
        ("# T\n1) item\n", 2),
        ("# T\n- item\n  - nested\n", 3),
        ("# T\n- item\nlazy\n", 3),
        ("# T\n1. one\n3. three\n", 2),
        ("# T\n1. one\n- two\n", 2),
        ("# T\ntext\n- a list without a blank line\n", 3),
        ("# T\nan `open code\n", 2),
        ("# T\nends with two spaces  \n", 2),
        ("# T\n```\ncode without end\n", 2),
        ("# T\nback\\slash\n", 2),
    ],
)
def test_another_form_of_markdown_is_an_error_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=rf"^line {line}: "):
        to_html(text, str)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# Other\n", "Name: its title is 'Other'"),
        ("# Name\nSee [that](Missing.md).\n", "Name: there is no runbook Missing.md"),
        ("# Name\nSee [that](javascript:alert).\n", "Name: there is no runbook javascript:alert"),
        ("# Name\nSee [that](Name).\n", "Name: there is no runbook Name"),
    ],
)
def test_a_runbook_that_leads_nowhere_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str, problem: str) -> None:
    monkeypatch.setattr(runbook_pages, "texts", lambda: {"Name": text})
    with pytest.raises(ValueError, match=re.escape(problem)):
        pages.__wrapped__()


# served


def test_the_list_leads_to_every_runbook_and_they_to_one_another(port: int) -> None:
    response, body = ask(port, INDEX)
    assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    found = Read(body.decode())
    assert [link for link in found.links if link.startswith("Unitcost")] == NAMES
    linked = 0
    for name in NAMES:
        response, body = ask(port, f"{INDEX}{name}")
        assert response.status == 200
        for link in Read(body.decode()).links:
            assert link in {"../", "./", *NAMES}, "relative, so that it leads on behind a proxy's path too"
            linked += link in NAMES
    assert linked >= 4


def test_a_runbook_loads_and_runs_nothing(port: int) -> None:
    for path in pages():
        response, body = ask(port, path)
        page = Read(body.decode())
        assert not {"script", "img", "link", "iframe", "object", "form", "base"} & set(page.tags), path
        assert not {name for name in page.attributes if name.startswith("on")} | ({"src", "style"} & page.attributes)
        assert "url(" not in body.decode()
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline';")


@pytest.mark.parametrize("path", [INDEX, f"{INDEX}{NAMES[0]}", f"{INDEX}{NAMES[0]}.md"])
def test_head_and_gzip_answer_as_get_does(port: int, path: str) -> None:
    get, body = ask(port, path)
    head, nothing = ask(port, path, method="HEAD")
    assert (head.status, nothing, head.headers["Content-Length"]) == (200, b"", str(len(body)))
    packed, small = ask(port, path, {"Accept-Encoding": "gzip"})
    assert (packed.headers["Content-Encoding"], gzip.decompress(small)) == ("gzip", body)
    assert get.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert len(small) < len(body) / 2


@pytest.mark.parametrize("path", ["/runbooks", f"{INDEX}Nothing", f"{INDEX}.md", f"{INDEX}../page.css", f"{INDEX}//"])
def test_there_are_no_other_pages(port: int, path: str) -> None:
    response, body = ask(port, path)
    assert (response.status, body) == (
        404,
        b"Not found. There are: / /metrics /-/healthy /-/ready /-/reload /runbooks/\n",
    )


def test_only_get_and_head_are_allowed(port: int) -> None:
    response, _ = ask(port, INDEX, method="POST")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_who_has_no_password_reads_no_runbook() -> None:
    config = WebConfig(users={"prometheus": bcrypt.hashpw(b"secret", bcrypt.gensalt(4))})
    with running(filled(), config) as server:
        for path in pages():
            assert ask(server.port, path)[0].status == 401
        assert ask(server.port, INDEX, basic("prometheus", "secret"))[0].status == 200


def test_a_request_reads_no_file(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = pages()[f"{INDEX}{NAMES[0]}"].plain
    for name in ("iterdir", "open", "read_bytes", "read_text"):
        monkeypatch.setattr(Path, name, None)
    monkeypatch.setattr(runbook_pages, "to_html", None)
    assert ask(port, f"{INDEX}{NAMES[0]}")[1] == wanted


# their addresses, and what they say


EXTERNAL = {"external_url": "https://costs.example.com/unitcost/"}


@pytest.mark.parametrize(
    ("web", "alerts", "address"),
    [
        ({}, {}, "docs/runbooks/UnitcostBudgetUsed.md"),
        (EXTERNAL, {}, "https://costs.example.com/unitcost/runbooks/UnitcostBudgetUsed"),
        ({}, {"runbooks": "https://wiki.example.com/u"}, "https://wiki.example.com/u/UnitcostBudgetUsed.md"),
        (EXTERNAL, {"runbooks": "runbooks/"}, "runbooks/UnitcostBudgetUsed.md"),
    ],
)
def test_a_runbook_is_where_it_is_said_to_be_else_on_the_exporters_own_server(
    web: dict[str, str], alerts: dict[str, str], address: str
) -> None:
    made = alerts_of(rule_files(Config.model_validate({"sources": {}, "web": web, "alerts": alerts})))
    assert made["UnitcostBudgetUsed90"].runbook == address
    if "/unitcost/runbooks/" in address:
        assert {alert.runbook for alert in made.values()} <= {
            f"https://costs.example.com/unitcost{path}" for path in pages()
        }


@pytest.mark.parametrize("name", NAMES)
def test_the_queries_of_a_runbook_read_what_exists(name: str) -> None:
    for block in re.findall(r"```promql\n(.*?)```", texts()[name], re.DOTALL):
        for query in block.strip().split("\n\n"):
            text = "\n".join(line for line in query.splitlines() if not line.startswith("#"))
            assert Reading(text, everything()).problems == [], text
