"""What to do when an alert fires: the runbooks that the package holds, as pages of its own web server.

They are read and rendered once, when the server is made; a request gets bytes. Their links are relative, so that they
also lead on where a proxy serves them under another path.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import NamedTuple

from unitcost.metrics.packed import Packed, joined
from unitcost.web.markdown import to_html
from unitcost.web.pages.front import STYLE, document

INDEX = "/runbooks/"
ENDING = ".md"

_FOLDER = files("unitcost").joinpath("runbooks")
_STYLE = """\
.runbook section { max-width: 860px; }
.runbook h2 { margin-top: 26px; }
.runbook h2:first-child { margin-top: 0; }
.runbook li { margin-bottom: 6px; overflow-wrap: anywhere; }
code { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { margin: 12px 0; padding: 12px 16px; border-radius: 6px; background: var(--track); overflow-x: auto; }
pre code { overflow-wrap: normal; }
"""


class Page(NamedTuple):
    """A page's bytes, plain and gzip."""

    plain: bytes
    gzip: bytes


def texts() -> dict[str, str]:
    """Return the runbooks in Markdown: name, which is an alert's or begins those of several, → text."""
    return {
        file.name.removesuffix(ENDING): file.read_text(encoding="utf-8")
        for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name)
        if file.name.endswith(ENDING)
    }


@cache
def pages() -> Mapping[str, Page]:
    """Return every page by its path: the list, and each runbook with and without the file's ending.

    With it, since alerts.runbooks may name this server like any other folder of the files.
    """
    found = texts()
    made = {INDEX: _page(_index(found))}
    for name, text in found.items():
        page = _page(_runbook(name, text, found))
        made |= {f"{INDEX}{name}": page, f"{INDEX}{name}{ENDING}": page}
    return made


def _page(html: str) -> Page:
    return Page(*joined([Packed.of(html.encode())]))


def _document(title: str, body: str) -> str:
    links = '<a href="../">Unit economics</a><a href="./">All runbooks</a>'
    top = f'<div class="top"><strong>Runbooks</strong><nav aria-label="Links">{links}</nav></div>'
    return document(
        title,
        f'<header>{top}<h1>{escape(title)}</h1></header>\n<main class="runbook"><section>\n{body}</section></main>',
        style=STYLE + _STYLE,
    )


def _index(found: Mapping[str, str]) -> str:
    items = "".join(f'<li><a href="{escape(name)}">{escape(name)}</a></li>\n' for name in found)
    lead = '<p class="lead">A page for each kind of alert: what it means, how to see the numbers, what to do.</p>\n'
    return _document("What to do when an alert fires", f"{lead}<ul>\n{items}</ul>\n")


def _runbook(name: str, text: str, found: Mapping[str, str]) -> str:
    """Return a runbook's page. Raises ValueError where its title is not its name, or a link leads nowhere."""

    def link(address: str) -> str:
        other = address.removesuffix(ENDING)
        if other == address or other not in found:
            raise ValueError(f"{name}: there is no runbook {address}")
        return other

    title, body = to_html(text, link)
    if title != name:
        raise ValueError(f"{name}: its title is {title!r}")
    return _document(title, body)
