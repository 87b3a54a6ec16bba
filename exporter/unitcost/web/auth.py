"""Basic auth in front of the application: a right password is checked once, a wrong one never stands in its way."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

from unitcost.web import connections as times
from unitcost.web.app import PLAIN, App, Headers, Receive, Scope, Send, answer
from unitcost.web.checks import Checks, Try
from unitcost.web.connections import Connection, Connections, Rank

log = logging.getLogger("unitcost.web")

OPEN_PATHS = frozenset({"/-/healthy", "/-/ready"})
"""Whoever asks whether a container lives has no password to show, and learns nothing of the company."""

WRONG_KEPT = 4096
"""Wrong passwords that are known as such, and need no second check."""


class BasicAuth:
    """Lets requests through that name one of `users` (name → bcrypt hash) with the right password.

    Passwords that were checked are remembered by a digest whose key is made anew by every process: right ones, one per
    user, so that a scrape costs nothing after the first, and wrong ones, so that who repeats one costs nothing either.
    """

    def __init__(self, app: App, always: Headers, connections: Connections) -> None:
        self._app = app
        self._always = always
        self._places = connections
        self._users: Mapping[bytes, bytes] = {}
        self._stand_in = b""
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, bytes] = {}
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._checks = Checks()

    def protected(self) -> bool:
        """Whether there are users at all; without, everybody may read."""
        return bool(self._users)

    def use(self, users: Mapping[str, bytes]) -> None:
        """Know these users from now on. Who is none of them any more, or has another password, is out at once."""
        before, self._users = self._users, {name.encode(): hashed for name, hashed in users.items()}
        self._right = {user: seen for user, seen in self._right.items() if self._users.get(user) == before[user]}
        self._wrong.clear()
        # Stands in for unknown users: the dearest of the hashes, so that they take no less time than known ones.
        self._stand_in = max(self._users.values(), key=lambda hashed: hashed[4:6], default=b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or hand the request on."""
        connection: Connection = scope["state"]["connection"]
        if not self._users or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        given = _credentials(scope)
        if given is not None and await self._allowed(connection, *given):
            self._places.move(connection, Rank.ANSWERING, times.EXCHANGE_SECONDS)
            await self._app(scope, receive, send)
            return
        if given is not None and not connection.gone.is_set():
            log.info("a login from %s failed", connection.address)
            self._places.move(connection, Rank.STRANGER, times.EXCHANGE_SECONDS)
            await self._checks.hold(connection)
        challenge = (b"www-authenticate", b'Basic realm="unitcost", charset="UTF-8"')
        await answer(send, 401, PLAIN, b"Unauthorized.\n", [*self._always, challenge])

    async def _allowed(self, connection: Connection, user: bytes, password: bytes) -> bool:
        digest = hmac.digest(self._key, len(user).to_bytes(4) + user + password, "sha256")
        while (known := self._known(user, digest)) is None and not connection.gone.is_set():
            hashed = self._users.get(user, self._stand_in)
            settle = partial(self._settle, user, digest, hashed)
            await self._checks.check(Try(connection, password, hashed, partial(self._known, user, digest), settle))
        return bool(known)

    def _settle(self, user: bytes, digest: bytes, hashed: bytes, right: bool) -> None:
        """Remember what a check said, unless web.yml says something else of the user by now."""
        if self._users.get(user, self._stand_in) != hashed:
            return
        if right and user in self._users:
            self._right[user] = digest
            return
        self._wrong[digest] = None
        if len(self._wrong) > WRONG_KEPT:
            self._wrong.popitem(last=False)

    def _known(self, user: bytes, digest: bytes) -> bool | None:
        """Whether the password is right; None where only bcrypt can tell."""
        if hmac.compare_digest(self._right.get(user, b""), digest):
            return True
        return False if digest in self._wrong else None


def _credentials(scope: Scope) -> tuple[bytes, bytes] | None:
    """Return user and password of the request, or None."""
    for name, value in scope["headers"]:
        if name != b"authorization":
            continue
        scheme, _, encoded = value.partition(b" ")
        if scheme.lower() != b"basic":
            return None
        try:
            user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except binascii.Error:
            return None
        return (user, password) if colon else None
    return None
