"""What Azure Blob Storage and Google Cloud Storage have in common: obstore, one small package for both.

It signs, pages, tries again and streams in Rust without any further package; the vendors' own need ten and more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta
from typing import Any

import obstore
from obstore import exceptions

from unitcost.errors import SourceError
from unitcost.sources.base import Waiting
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import CONNECT, TRIES, Object, bare, changed, within
from unitcost.sources.bills.focus.stores.settings import StoreSettings

PAGE = 1000
PIECE = 8 << 20


class NativeStore:
    """A container or bucket. store: obstore's. grant: what to do where the server refuses."""

    def __init__(self, address: Address, settings: StoreSettings, waiting: Waiting, store: Any, grant: str) -> None:
        self._address = address
        self._settings = settings
        self._waiting = waiting
        self._store = store
        self._grant = grant

    def all(self, prefix: str) -> Iterator[Object]:
        """Yield every object below a prefix."""
        where = self._address.of(prefix)
        with self._explained(where):
            pages = iter(obstore.list(self._store, prefix or None, chunk_size=PAGE))
            while True:
                with self._waiting.on(where):
                    page = next(pages, None)
                if page is None:
                    return
                yield from map(_object, page)

    def level(self, prefix: str) -> tuple[Sequence[str], Sequence[Object]]:
        """Return what lies right below a prefix."""
        where = self._address.of(prefix)
        with self._explained(where), self._waiting.on(where):
            found = obstore.list_with_delimiter(self._store, prefix or None)
        folders = [f"{folder.rstrip('/')}/" for folder in found["common_prefixes"]]
        return folders, [_object(one) for one in found["objects"]]

    def pieces(self, wanted: Object) -> Iterator[bytes]:
        """Yield an object's bytes."""
        where = self._address.of(wanted.key)
        with self._explained(where):
            with self._waiting.on(where):
                answer = obstore.get(self._store, wanted.key, options={"if_match": wanted.condition})
            if bare(answer.meta["e_tag"]) != wanted.etag:
                raise changed(where)
            chunks = (bytes(chunk) for chunk in answer.stream(min_chunk_size=PIECE))
            yield from within(chunks, wanted, where, self._settings.timeout, self._waiting)

    def close(self) -> None:
        """Do nothing: obstore lets connections go by itself."""

    @contextmanager
    def _explained(self, where: str) -> Iterator[None]:
        """Say in words what obstore raises inside of the block."""
        try:
            yield
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._failed(error, where) from error

    def _failed(self, error: Exception, where: str) -> SourceError:
        """Return what obstore's words mean: its types tell little, what it says of the answer tells the rest."""
        whole = str(error)
        said = " ".join(whole.partition("Debug source")[0].split())
        found = _STATUS.search(said)
        status = int(found[1]) if found else None
        if "token request" in said or "credential error" in said:
            hint = f"Run with a workload or managed identity, or set store. {self._grant}"
            return SourceError("auth", where, f"there are no credentials to read it with: {_end(said)}", hint)
        if "NoSuchBucket" in said or "ContainerNotFound" in said:
            return SourceError("missing", where, "there is no such bucket or container", "Correct path")
        if status in {404, 412} or isinstance(error, FileNotFoundError | exceptions.PreconditionError):
            return changed(where)
        if status is None:
            return self._unanswered(whole, said, where)
        if status in {401, 403}:
            hint = "Set the clock of this machine (NTP)" if "too old" in said else self._grant
            return SourceError("auth", where, f"is refused: {_end(said)}", hint)
        text = f"answered {status} {TRIES} times" if status in AGAIN else f"answered {_end(said)}"
        return SourceError("http", where, text, "See the provider's status; the next refresh asks again")

    def _unanswered(self, whole: str, said: str, where: str) -> SourceError:
        if "kind: Timeout" in whole:
            text = f"the server was silent for {self._settings.timeout:g} s, {TRIES} times"
            return SourceError("timeout", where, text, "Raise store.timeout, or see why the network is slow")
        detail = _DETAIL.search(whole)
        hint = "See store.endpoint, store.ca_file, and whether this machine or pod may reach it (a private endpoint)"
        return SourceError("unreachable", where, f"cannot be reached: {detail[1] if detail else _end(said)}", hint)


AGAIN = (429, 500, 502, 503, 504)
SHOWN = 200
"""Characters of what the library says that an error shows."""
_STATUS = re.compile(r"status code: (\d{3})")
_DETAIL = re.compile(r"""kind: Connect.*?(?:message|error): "([^"]+)\"""", re.DOTALL)


def _end(said: str) -> str:
    """Return the answer itself, of what the library says of a request; never its query, which may be a signature."""
    return re.sub(r"\?\S+", "", said.rpartition("status code: ")[2])[:SHOWN]


def options(settings: StoreSettings) -> dict[str, Any]:
    """Return what obstore is told of timeouts, tries and certificates."""
    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=min(CONNECT, settings.timeout)),
        "read_timeout": timedelta(seconds=settings.timeout),
        "timeout": timedelta(days=1),  # of a whole exchange: within() says how long it may take for its size
        "user_agent": "unitcost",
    }
    if settings.endpoint is not None and settings.endpoint.lower().startswith("http://"):
        client["allow_http"] = True
    if settings.ca_file is not None:
        client["root_certificate"] = settings.ca_file.read_bytes()
    retry = {"max_retries": TRIES - 1, "retry_timeout": timedelta(seconds=TRIES * settings.timeout)}
    return {"client_options": client, "retry_config": retry}


def _object(said: Any) -> Object:
    return Object(said["path"], said["size"], bare(said["e_tag"]), said["last_modified"].astimezone(UTC))
