"""Whether an answer says that the access token is not known (any more), in whichever way APIs say that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from exporter.model.outcome import CODE_KEYS
from exporter.upstream.diagnosis import challenge, json_object
from exporter.upstream.limits import field
from exporter.upstream.memory import BIG_BYTES
from exporter.upstream.transport import WireResponse

_MAX_ERRORS: Final = 100


class TokenRefusal:
    """Knows an answer that refuses the token by status 401, by `WWW-Authenticate` (RFC 6750 §3.1), or by one of the
    codes of a source. Case and punctuation of codes do not matter."""

    def __init__(self, codes: Iterable[str]) -> None:
        self._codes = frozenset(map(_bare, codes))

    def is_in(self, response: WireResponse) -> bool:
        """Whether the token is the reason; never so where the answer has data, for which the token was good enough."""
        if response.status == 401:
            return True
        if _bare(challenge(response.headers).get("error", "")) == "invalidtoken":
            return True
        if len(response.body) > BIG_BYTES:  # what is not read here is not searched either: it holds up the event loop
            return False
        if response.status < 400 and b'"errors"' not in response.body and b'"data"' in response.body:
            return False
        return any(_bare(code) in self._codes for code in _codes(json_object(response)))


def _codes(content: object) -> Iterator[str]:
    """The codes of GraphQL errors without data, and those of other refusals."""
    if _has_data(field(content, "data")):
        return
    errors = field(content, "errors")
    for error in errors[:_MAX_ERRORS] if isinstance(errors, list) else ():
        yield from _words(field(error, "extensions"), CODE_KEYS)
        yield from _words(error, CODE_KEYS)
    for place in (content, field(content, "fault"), field(content, "error")):
        yield from _words(place, ("error", "code"))


def _has_data(data: object) -> bool:
    if isinstance(data, dict):
        return any(value is not None for value in data.values())
    return data is not None


def _words(place: object, keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        value = field(place, key)
        if isinstance(value, str) or (isinstance(value, int) and 0 < value < 2**53):
            yield str(value)[:100]


def _bare(code: str) -> str:
    return re.sub(r"[^a-z0-9]", "", code.lower())
