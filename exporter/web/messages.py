"""Requests and answers of the web server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

from msgspec import Struct

_TEXT = "text/plain; charset=utf-8"
Fields: TypeAlias = tuple[tuple[str, str], ...]
RawFields: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Header fields as they are sent; names are in lower case."""


class Request(Struct, frozen=True):
    """One whole request, without its body, which no route reads. Field names are in lower case."""

    method: str
    path: str
    fields: list[tuple[bytes, bytes]]
    client: str  # who it counts as: its address, of IPv6 the network
    search: str = ""  # what stands behind the ? of the path, as it came

    def field(self, name: bytes) -> str:
        """The field's values as one list; empty if it is not there."""
        values = [value for each, value in self.fields if each == name]
        return b", ".join(values).decode("latin-1")


class Answer(Struct, frozen=True):
    """What is answered: a status, header fields, and a body."""

    status: HTTPStatus
    fields: RawFields
    body: bytes

    @classmethod
    def of(
        cls, body: bytes, content_type: str = _TEXT, status: HTTPStatus = HTTPStatus.OK, fields: Fields = ()
    ) -> Answer:
        """The answer with this body and further header fields."""
        size = ("content-length", str(len(body)))
        every = (("content-type", content_type), size, ("x-content-type-options", "nosniff"), *fields)
        return cls(status, tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in every), body)

    @classmethod
    def plain(cls, status: HTTPStatus, fields: Fields = ()) -> Answer:
        """The status in words."""
        return cls.of(f"{status.phrase}\n".encode(), status=status, fields=fields)


Application: TypeAlias = Callable[[Request], Answer | Awaitable[Answer]]
