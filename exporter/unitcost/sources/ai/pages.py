"""The admin API of a model provider, page by page: reports by day, and lists of projects, workspaces and keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from unitcost.errors import SourceError
from unitcost.sources.http import Answer, Client
from unitcost.sources.json_pieces import Opened, Path
from unitcost.sources.values import spelt

Params = Mapping[str, str | Sequence[str]]
Row = Mapping[str, Any]

ROWS = "results"
IN_DATA = 2
"""How long the path of an entry of data is."""
MOST_PAGES = 10_000
"""Of one report or list; with more of them the server goes round in circles."""
KEY_HINT = "The key must be an admin key of the organization that may read usage, costs and projects (docs/sources.md)"
URL_HINT = "Check that url is the provider's API, and what stands between it and unitcost"
LATER_HINT = "The next refresh asks again; see the provider's status page"


@dataclass
class Entry:
    """An entry of `data`: its fields, and its rows where it is the bucket of a day (None where it has none)."""

    fields: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] | None = None

    def add(self, path: Path, value: Any) -> None:
        """Add what stands at a path below the entry."""
        if path == (ROWS,):
            self.rows = []
        elif len(path) == 1:
            self.fields[str(path[0])] = value
        elif self.rows is not None:
            self.rows.append(value)


class Api:
    """What is asked of a provider. Every error is a SourceError that says what to do; none holds a key."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def follow(self, path: str, params: Params, cursor: str, after: str) -> Iterator[Entry]:
        """Yield the entries of an answer and of every page after it.

        cursor: the parameter that asks for the next page; after: the field of a page that says its value. Raises
        SourceError: those of Client.get, `auth`, `missing` (404), `request` (other 4xx), `retry_later` (429), `http`,
        and `format` where a page is none or says that there are more and not where.
        """
        asked: set[str] = set()
        page: Params = {}
        while True:
            answer = self._get(path, {**params, **page})
            told: dict[str, Any] = {}
            yield from _entries(answer, told)
            more = told.get("has_more")
            if not isinstance(more, bool):
                raise _format(answer, f"has_more is {spelt(more)}, so nobody knows whether that was all")
            if not more:
                return
            token = told.get(after)
            if not isinstance(token, str) or not token or token in asked or len(asked) >= MOST_PAGES:
                raise _format(answer, f"says that there are more pages, and {after} is {spelt(token)}")
            asked.add(token)
            page = {cursor: token}

    def _get(self, path: str, params: Params) -> Answer:
        try:
            answer = self._client.get(path, params)
        except SourceError as error:
            if error.reason != "auth":
                raise
            raise SourceError("auth", error.where, error.text, KEY_HINT) from None
        if answer.status == HTTPStatus.OK:
            return answer
        text = f"answered {answer.status}: {_message(answer)}"
        if answer.status == HTTPStatus.NOT_FOUND:
            raise SourceError("missing", answer.url, text, URL_HINT)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise SourceError("retry_later", answer.url, text, "Raise refresh.every; the next refresh asks again")
        if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SourceError("request", answer.url, text, URL_HINT)
        raise SourceError("http", answer.url, text, LATER_HINT)


def _container(path: Path) -> Opened | None:
    """Return what is to stand at a path that is read member by member: all of it, data, its entries, their rows."""
    if path[:1] not in {(), ("data",)}:
        return None
    if len(path) == IN_DATA + 1 and path[-1] == ROWS:
        return Opened.LIST
    return (Opened.MAP, Opened.LIST, Opened.MAP)[len(path)] if len(path) <= IN_DATA else None


def _entries(answer: Answer, told: dict[str, Any]) -> Iterator[Entry]:
    """Yield the entries of a page, each when it has been read; `told` gets what the page says besides them."""
    entry = None
    for path, value in answer.pieces(lambda path: _container(path) is not None):
        wanted = _container(path)
        if wanted is not None and value is not wanted:
            raise _not(answer, path, value, wanted)
        if len(path) > IN_DATA + 1 and not isinstance(value, dict):
            raise _not(answer, path, value, Opened.MAP)
        if len(path) == IN_DATA:
            if entry is not None:
                yield entry
            entry = Entry()
        elif entry is not None and len(path) > IN_DATA:
            entry.add(path[IN_DATA:], value)
        elif path:
            told[str(path[0])] = value
    if "data" not in told:
        raise _format(answer, "it has no data")
    if entry is not None:
        yield entry


def _not(answer: Answer, path: Path, value: object, wanted: Opened) -> SourceError:
    shown = f"a {value.value}" if isinstance(value, Opened) else spelt(value)
    return _format(answer, f"{'.'.join(map(str, path)) or 'all of it'} is {shown}, not a {wanted.value}")


def _message(answer: Answer) -> str:
    """Return what an answer says of its error, or the start of whatever it holds."""
    try:
        return str(answer.json()["error"]["message"])
    except (SourceError, KeyError, TypeError):
        return answer.text


def _format(answer: Answer, what: str) -> SourceError:
    return SourceError("format", answer.url, f"the answer is not as the provider's API has it: {what}", URL_HINT)


def listed(api: Api, path: str, params: Params, cursor: str) -> Mapping[str, str]:
    """Return the name of each id of a list; an id without a name is left out."""
    found = {}
    for entry in api.follow(path, params, cursor, "last_id"):
        spelt, name = entry.fields.get("id"), entry.fields.get("name")
        if isinstance(spelt, str) and isinstance(name, str) and name:
            found[spelt] = name
    return found
