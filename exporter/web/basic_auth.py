"""Who may see the exporter's pages: HTTP Basic authentication (RFC 7617) against bcrypt hashes.

Hashing happens in one thread, so that a flood of wrong passwords takes neither the event loop nor more than one
processor; and who has been let in once is let in again without it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from exporter.model.secret import Secret

MAX_WAITING: Final = 32
MAX_WAITING_PER_CLIENT: Final = 8
_MAX_REMEMBERED: Final = 100
_MAX_CREDENTIALS: Final = 1024
_BCRYPT_BYTES: Final = 72  # bcrypt reads no more of a password

Users: TypeAlias = Mapping[str, Secret]
"""Names, each with the bcrypt hash of its password."""


class Busy(Exception):
    """Too many passwords are waiting to be checked."""


class PasswordCheck:
    """Checks passwords one after the other, and remembers those that were right."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="web: passwords")
        self._pepper = secrets.token_bytes(32)
        # Three fields, each apart: a joined text could mean two things (CVE-2022-46146). Only right passwords get in,
        # so nobody else can fill it.
        self._right: OrderedDict[tuple[str, str, bytes], None] = OrderedDict()
        self._waiting: Counter[str] = Counter()

    def remembers(self, users: Users, user: str, password: bytes) -> bool:
        """Whether this password has been found right for this user's present hash."""
        if user not in users:
            return False
        key = self._key(user, users[user].reveal(), password)
        if key not in self._right:
            return False
        self._right.move_to_end(key)
        return True

    async def is_right(self, users: Users, user: str, password: bytes, client: str) -> bool:
        """Whether it is the user's password. An unknown user costs what a known one does. Raises `Busy`."""
        if self._waiting.total() >= MAX_WAITING or self._waiting[client] >= MAX_WAITING_PER_CLIENT:
            raise Busy
        known = user in users
        hashed = (users[user] if known else self._stand_in(users, user)).reveal()
        self._waiting[client] += 1
        try:
            loop = asyncio.get_running_loop()
            matched = await loop.run_in_executor(self._thread, _matches, password, hashed)
        finally:
            self._waiting[client] -= 1
            self._waiting += Counter()  # forgets clients without any
        if known and matched:
            self._right[self._key(user, hashed, password)] = None
            if len(self._right) > _MAX_REMEMBERED:
                self._right.popitem(last=False)
        return known and matched

    def close(self) -> None:
        """Takes no more passwords."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _key(self, user: str, hashed: str, password: bytes) -> tuple[str, str, bytes]:
        return user, hashed, hashlib.blake2b(password, key=self._pepper).digest()

    def _stand_in(self, users: Users, user: str) -> Secret:
        """The hash of one of the users, always the same: hashes of different costs tell nothing of who exists."""
        digest = hashlib.blake2b(user.encode("utf-8", "surrogatepass"), key=self._pepper).digest()
        return list(users.values())[int.from_bytes(digest) % len(users)]


def _matches(password: bytes, hashed: str) -> bool:
    import bcrypt  # here, as few exporters have users

    try:
        return bcrypt.checkpw(password[:_BCRYPT_BYTES], hashed.encode())
    except ValueError:  # a hash that bcrypt cannot read fits no password
        return False


def basic_credentials(authorization: str) -> tuple[str, bytes] | None:
    """User and password of an `Authorization` header; None if it has none. Names and passwords are UTF-8."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _MAX_CREDENTIALS * 4 // 3:
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, UnicodeError, ValueError):
        return None
