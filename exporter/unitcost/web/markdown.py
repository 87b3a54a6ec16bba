"""The few forms of Markdown that our own pages are written in, as HTML.

A title, headings, paragraphs, lists, fenced code, `code` and links. Whatever else means something to Markdown is an
error where the page is read, and not a page that looks different here and where the file is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

Link = Callable[[str], str]
"""From the address that a link has in the file to the one it has on the page."""

Lines = list[tuple[int, str]]
"""Lines and their numbers in the file."""

_FENCE = "```"
_ITEM = re.compile(r"(?:(?P<number>\d+)\.|-) ")
_NO_TEXT = re.compile(r"\s|[#>|*+~=<-]|\d+[.)]")
"""How a line begins that is no text: a heading, a quote, a table, a list of another form, code by indentation, …"""
_NO_PLAIN = re.compile(r"[`*_~\\\[\]<|]|&#?\w+;|https?://|  $")
"""What is more than text within a line: emphasis, HTML, an entity, a bare address, a forced line break, …"""
_SPAN = re.compile(r"`([^`]+)`|(?<!!)\[([^\[\]`]+)\]\(([^()\s]+)\)")


def to_html(text: str, link: Link) -> tuple[str, str]:
    """Return the title, as text, and what follows it, as HTML.

    Raises ValueError that names the line which has another form than those known here.
    """
    lines = list(enumerate(text.splitlines(), start=1))
    if not lines or not lines[0][1].startswith("# "):
        raise ValueError("line 1: must be the title, # and its text")
    return lines[0][1].removeprefix("# "), "".join(_block(block, link) for block in _blocks(lines[1:]))


def _blocks(lines: Lines) -> Iterator[Lines]:
    """Return headings, fenced code, lists and paragraphs, each with its lines."""
    block: Lines = []
    for number, line in lines:
        if block and block[0][1].startswith(_FENCE):
            block.append((number, line))
            if line == _FENCE:
                yield block
                block = []
            continue
        if block and (not line or line.startswith(("## ", _FENCE))):
            yield block
            block = []
        if line.startswith("## "):
            yield [(number, line)]
        elif line:
            block.append((number, line))
    if block and block[0][1].startswith(_FENCE):
        raise ValueError(f"line {block[0][0]}: this code has no end")
    if block:
        yield block


def _block(block: Lines, link: Link) -> str:
    number, first = block[0]
    if first.startswith("## "):
        return f"<h2>{_spans(number, first.removeprefix('## '), link)}</h2>\n"
    if first.startswith(_FENCE):
        code = "\n".join(line for _, line in block[1:-1])
        return f"<pre><code>{escape(code)}</code></pre>\n"
    if _ITEM.match(first):
        return _list(block, link)
    return f"<p>{_text(block, link)}</p>\n"


def _list(block: Lines, link: Link) -> str:
    """Return a list of one kind, without lists in it; an item goes on in lines indented as far as its text."""
    items: list[Lines] = []
    marks: list[str] = []
    for number, line in block:
        begin = _ITEM.match(line)
        if begin:
            marks.append(begin[0])
            items.append([(number, line[begin.end() :])])
        elif line.startswith(" " * len(marks[-1])):
            items[-1].append((number, line[len(marks[-1]) :]))
        else:
            raise ValueError(f"line {number}: not as far to the right as the item's text, and no blank line before it")
    counted = [f"{count}. " for count in range(1, len(items) + 1)]
    if marks not in (counted, ["- "] * len(items)):
        raise ValueError(f"line {block[0][0]}: a list is 1. 2. 3. or - throughout, without blank lines in it")
    kind = "ol" if marks == counted else "ul"
    return f"<{kind}>\n{''.join(f'<li>{_text(item, link)}</li>{chr(10)}' for item in items)}</{kind}>\n"


def _text(lines: Lines, link: Link) -> str:
    for number, line in lines:
        if _NO_TEXT.match(line):
            raise ValueError(f"line {number}: no text begins like this: {line[:20]!r}")
    return "\n".join(_spans(number, line, link) for number, line in lines)


def _spans(number: int, line: str, link: Link) -> str:
    """Return a line with its `code` and links."""
    made, end = [], 0
    for found in _SPAN.finditer(line):
        code, words, address = found.groups()
        made.append(_plain(number, line[end : found.start()]))
        if code:
            made.append(f"<code>{escape(code)}</code>")
        else:
            made.append(f'<a href="{escape(link(address))}">{_plain(number, words)}</a>')
        end = found.end()
    return "".join([*made, _plain(number, line[end:])])


def _plain(number: int, text: str) -> str:
    if found := _NO_PLAIN.search(text):
        raise ValueError(f"line {number}: {found[0]!r} is more than text: {text[:40]!r}")
    return escape(text)
