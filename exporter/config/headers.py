"""Headers of a configuration: each a secret text, or its values, secrets and files, as in Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from exporter.config.scalars import File, NameText, SecretText, Strict, mark_credentials
from exporter.model.secret import Secret

_NAME: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # a token of RFC 9110 §5.6.2
_TEXT: Final = re.compile(r"[\t -~]*")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})


def _header_name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise ValueError("not a header's name; use letters, digits and -, without a colon")
    if value.lower() in _FRAMING:
        raise ValueError(f"{value} says how long a request is, and is set for each; leave it out")
    return value


def check_header_text(value: str) -> str:
    """A header's value as it is. Raises `ValueError` where it cannot be sent; RFC 9110 knows more than ASCII there, but
    advises against it."""
    if not _TEXT.fullmatch(value):
        raise ValueError("has characters that a header cannot contain; write one line of ASCII")
    if value != value.strip():
        raise ValueError("has a blank before or after it, which a header cannot contain; leave it out")
    return value


HeaderName: TypeAlias = Annotated[
    str, AfterValidator(_header_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"})
]
ConnectHeader: TypeAlias = Mapping[HeaderName, Annotated[tuple[SecretText, ...], Field(min_length=1)]]
"""Headers for a proxy alone, with the values of each."""


class HeaderValues(Strict):
    """The values of a header, one line for each; Prometheus' form."""

    values: tuple[Annotated[str, AfterValidator(check_header_text)], ...] = ()
    """Values that may be shown.

    Example: [acme]"""
    secrets: tuple[SecretText, ...] = ()
    """Values that are secret.

    Example: ["${API_KEY}"]"""
    files: tuple[File, ...] = ()
    """Files with a value each; read at each use, so that a key can be rotated.

    Example: [secrets/api-key]"""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.values or self.secrets or self.files):
            raise ValueError("has no value; write values, secrets or files")
        return self

    @property
    def hidden(self) -> tuple[Secret, ...]:
        """The values that are secret."""
        return (*self.secrets, *(Secret(file=each) for each in self.files))

    @property
    def all(self) -> tuple[Secret, ...]:
        """Every value, wherever it comes from."""
        return (*(Secret(inline=each) for each in self.values), *self.hidden)


def _kind_of_header(value: object) -> str:
    listed = isinstance(value, HeaderValues) or (
        isinstance(value, dict) and value.keys() <= HeaderValues.model_fields.keys()
    )
    return "[values]" if listed else "[text]"


def _header_text(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError("not a header's value; write text, or lists of values, secrets and files")
    return value


_Headers: TypeAlias = Mapping[
    HeaderName,
    Annotated[
        Annotated[NameText, BeforeValidator(_header_text), Tag("[text]")] | Annotated[HeaderValues, Tag("[values]")],
        Discriminator(_kind_of_header),
    ],
]
HttpHeaders: TypeAlias = Annotated[_Headers, AfterValidator(mark_credentials)]
"""Headers, each as a secret text or with its values, secrets and files."""


def header_secrets(headers: _Headers) -> tuple[tuple[str, Secret], ...]:
    """The lines of headers: name and value, wherever it comes from."""
    return tuple(
        (name, secret)
        for name, value in headers.items()
        for secret in (value.all if isinstance(value, HeaderValues) else (value,))
    )


def hidden_headers(section: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Secret]]:
    """The secret headers of a section that talks to somebody: for them, and for the proxy before them."""
    for name, value in section.http_headers.items():
        hidden = value.hidden if isinstance(value, HeaderValues) else (value,)
        yield from (((*place, "http_headers", name), secret) for secret in hidden)
    for name, secrets in section.proxy_connect_header.items():
        yield from (((*place, "proxy_connect_header", name), secret) for secret in secrets)
