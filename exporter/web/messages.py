"""Requests and answers of the web server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import unquote

import httptools

_TEXT = "text/plain; charset=utf-8"
Fields: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Request:
    """One whole request, without its body, which no route reads. Field names are in lower case."""

    method: str
    path: str
    fields: list[tuple[bytes, bytes]]
    keep_alive: bool
    client: str  # its address, without the port
    search: str = ""  # what stands behind the ? of the path, as it came

    def field(self, name: bytes) -> str:
        """The field's values as one list; empty if it is not there."""
        values = [value for each, value in self.fields if each == name]
        return b", ".join(values).decode("latin-1")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: a status, the header fields as they are sent, and a body."""

    status: HTTPStatus
    fields: bytes
    body: bytes

    @classmethod
    def of(
        cls, body: bytes, content_type: str = _TEXT, status: HTTPStatus = HTTPStatus.OK, fields: Fields = ()
    ) -> Answer:
        """The answer with this body and further header fields."""
        every = (("content-type", content_type), ("content-length", str(len(body))), *fields)
        return cls(status, "".join(f"{name}: {value}\r\n" for name, value in every).encode("latin-1"), body)

    @classmethod
    def plain(cls, status: HTTPStatus, fields: Fields = ()) -> Answer:
        """The status in words."""
        return cls.of(f"{status.phrase}\n".encode(), status=status, fields=fields)


Application: TypeAlias = Callable[[Request], Answer | Awaitable[Answer]]


def path_and_search(url: bytes) -> tuple[str, str]:
    """The path of a request target, percent signs decoded, and its query as it came."""
    if not url.startswith(b"/"):
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            return "", ""
        url = b"?".join((parsed.path or b"", parsed.query or b""))
    path, _, search = url.partition(b"?")
    return unquote(path.decode("latin-1")), search.decode("latin-1")
