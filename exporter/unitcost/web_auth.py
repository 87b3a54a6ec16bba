"""Basic auth in front of the application: bcrypt, off the server's thread, once per password."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from unitcost.web_app import PLAIN, App, Receive, Scope, Send, answer

BCRYPT_BYTES = 72
"""bcrypt looks at no more of a password than this."""

WAITING_CHECKS = 100
"""Passwords that wait for their check at most; beyond, an unknown one is refused at once."""


class BasicAuth:
    """Lets requests through that name one of `users` (name → bcrypt hash) with the right password.

    A right password is remembered by a keyed digest, one per user, so that only the first scrape pays for
    bcrypt. Wrong ones are checked one at a time in a thread of their own: guessing slows down only guessing.
    """

    def __init__(self, app: App, users: Mapping[str, bytes]) -> None:
        self._app = app
        self._users = {name.encode(): hashed for name, hashed in users.items()}
        # Stands in for unknown users: the dearest of the hashes, so that they take no less time than known ones.
        self._stand_in = max(self._users.values(), key=lambda hashed: hashed[4:6])
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, bytes] = {}
        self._checker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or hand the request on."""
        if await self._allowed(scope):
            await self._app(scope, receive, send)
            return
        challenge = [(b"www-authenticate", b'Basic realm="unitcost", charset="UTF-8"'), (b"cache-control", b"no-store")]
        await answer(send, 401, PLAIN, b"Unauthorized.\n", challenge)

    async def _allowed(self, scope: Scope) -> bool:
        given = _credentials(scope)
        if given is None:
            return False
        user, password = given
        digest = hmac.digest(self._key, password, "sha256")
        if hmac.compare_digest(self._right.get(user, b""), digest):
            return True
        if self._waiting >= WAITING_CHECKS:
            return False
        hashed = self._users.get(user, self._stand_in)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._checker, _matches, password, hashed) and user in self._users
        finally:
            self._waiting -= 1
        if right:
            self._right[user] = digest
        return right


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


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL byte, which no password can hold
        return False
