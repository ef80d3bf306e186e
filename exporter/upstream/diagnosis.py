"""What a server itself says of a refusal, in one clean line: its JSON body (OAuth 2.0, WSO2's faults, RFC 9457 and
relatives) or its `WWW-Authenticate` (RFC 6750 §3)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.model.censor import EVERYTHING, Censor
from exporter.upstream.limits import field
from exporter.upstream.memory import BIG_BYTES
from exporter.upstream.transport import WireResponse

MAX_WORDS: Final = 200
_MAX_HEADER_LENGTH: Final = 8000
# In which fields servers say what is wrong, the shortest first; each answer has some of them.
_FIELDS: Final = ("error", "code", "title", "message", "error_description", "description", "detail")


def clean_line(text: str, length: int = MAX_WORDS, censor: Censor = EVERYTHING) -> str:
    """A text of somebody else's in one line of printable characters, without credentials, not longer than that."""
    shown = censor.clean(text)[: 2 * length]  # before it is cut, and before anything in it is changed
    if not shown.isprintable():
        shown = "".join(letter if letter.isprintable() else " " for letter in shown)
    return " ".join(shown.split())[:length]


def json_object(response: WireResponse) -> Mapping[str, Any] | None:
    """The JSON object of a small body in UTF-8, whatever it is called; None if it is not one."""
    return None if len(response.body) > BIG_BYTES else object_in(response.body)


def object_in(text: bytes) -> Mapping[str, Any] | None:
    """The JSON object that a text in UTF-8 is, with or without a byte-order mark; None if it is not one."""
    try:
        found = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def server_words(response: WireResponse) -> str:
    """What the server says, at most 200 characters of it; empty where it says nothing, or only a page."""
    words = list(dict.fromkeys((*_words_of(json_object(response)), *_challenge_words(response.headers))))
    return clean_line(": ".join(words))


def challenge(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The parameters of `WWW-Authenticate: Bearer`, by name in lower case; the first of each. A header that is longer
    than any that means well says nothing."""
    header = headers.get("www-authenticate", "")
    if len(header) > _MAX_HEADER_LENGTH:
        return {}
    text = EVERYTHING.clean(header)  # whole: of a credential that is cut a part would be left
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(text):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    return found


# Each character is looked at once: a name begins where none goes on, and a quote without an end goes to the end.
_PARAMETER: Final = re.compile(
    r'(?<![A-Za-z_])([A-Za-z_]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|([^\s",]++))', re.DOTALL
)


def _challenge_words(headers: Mapping[str, str]) -> Iterator[str]:
    parameters = challenge(headers)
    for name in ("error", "error_description"):
        if words := clean_line(parameters.get(name, "")):
            yield words


def _words_of(content: object) -> Iterator[str]:
    """The words of a body; of one that wraps them, those within."""
    for wrapper in ("fault", "error"):
        inner = field(content, wrapper)
        if isinstance(inner, dict):
            content = inner
    for name in _FIELDS:
        value = field(content, name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53:
            value = str(value)
        if isinstance(value, str) and (words := clean_line(value)):
            yield words
