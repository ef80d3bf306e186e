"""Secrets: values that are used, never shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct

from exporter.model.errors import SecretUnreadable
from exporter.model.file_read import MAX_SECRET_BYTES, read_file, read_file_soon

SHOWN: Final = "<secret>"
_MAX_READ: Final = 4  # of one secret, which rotates
_MAX_KNOWN: Final = 4096

_read: dict[Secret, dict[str, None]] = {}
_known: dict[str, object] = {}  # each with what was made of it to look for it
_unused: set[str] = set()  # of those that are known: answers are not searched for them
_from_environment: dict[str, None] = {}


class FromEnvironment(str):
    """A text into which variables were put. `values` are what they gave, `shown` is the text with others for them."""

    __slots__ = ("shown", "values")
    shown: str
    values: tuple[str, ...]

    def __new__(cls, text: str, values: tuple[str, ...], shown: str) -> FromEnvironment:
        made = super().__new__(cls, text)
        made.values, made.shown = values, shown
        return made

    def __reduce__(self) -> tuple[type[FromEnvironment], tuple[str, tuple[str, ...], str]]:
        """What makes it again where it was stored (`pickle`)."""
        return FromEnvironment, (str(self), self.values, self.shown)


def remember(text: str) -> None:
    """Notes a credential that is in use, for whoever looks at all that we say."""
    _unused.discard(text)
    _note_known(text)


def remember_unused(text: str) -> None:
    """Notes a credential of a configuration that may be refused. Our own messages never quote it; answers are not
    searched for it, as that would change labels of a configuration to which it is a plain text."""
    if text not in _known:
        _unused.add(text)
        _note_known(text)


def _note_known(text: str) -> None:
    _known[text] = _known.pop(text, None)
    if len(_known) > _MAX_KNOWN:
        forget(next(iter(_known)))


def forget(text: str) -> None:
    """Notes that nobody can use a credential any more."""
    _known.pop(text, None)
    _unused.discard(text)


def keep(text: str, made: object) -> None:
    """Keeps what was made of a credential as long as that is known."""
    if text in _known:
        _known[text] = made


def kept(text: str) -> object:
    """What was made of a credential, and kept; else None."""
    return _known.get(text)


def use_variables(texts: Iterable[str]) -> None:
    """Has all answers searched for what variables gave to places of credentials, such as the query of a URL, in the
    configuration that is in use from now on. What those of the one before gave is not searched for any more, unless it
    was also read as a secret."""
    new = dict.fromkeys(texts)
    _from_environment.update(new)
    secrets = {text for read in tuple(_read.values()) for text in tuple(read)}
    for text in tuple(_from_environment):
        if text in new:
            remember(text)
            continue
        del _from_environment[text]
        if text in _known and text not in secrets:
            _unused.add(text)


def known_texts() -> tuple[str, ...]:
    """The credentials that are in use, were, or may be: secrets as they were read, tokens, headers."""
    return tuple(_known)


def texts_in_use(count: int) -> tuple[str, ...]:
    """The last so many of them that are in use, or were: those for which answers are searched."""
    return tuple(islice((text for text in reversed(tuple(_known)) if text not in _unused), count))


def read_texts(secrets: Iterable[Secret]) -> tuple[str, ...]:
    """What these secrets were when they were read, the last few times that they changed, and what came from the
    environment."""
    return (*_from_environment, *(text for secret in secrets for text in tuple(_read.get(secret, ()))))


class Secret(Struct, frozen=True):
    """A secret from the configuration, the environment or a file; a file is read again at each use.

    Its text is `<secret>` wherever it is printed, so that a forgotten f-string leaks nothing.
    """

    inline: str | None = None
    env: str | None = None
    file: Path | None = None
    is_credential: bool = True
    """Whether what others say is searched for it; a header such as `Accept-Language: en` is only not shown."""

    def __str__(self) -> str:
        return SHOWN

    def __repr__(self) -> str:
        return f"Secret({SHOWN})"

    def reveal(self) -> str:
        """The secret itself, without the line end of its file, which is read now; not for the event loop.

        Raises `SecretUnreadable` where the variable is unset, or the file unreadable or empty.
        """
        return self._note(self._text(self._content()))

    def try_reading(self) -> str:
        """The same for who does not use it yet: answers are not searched for it until somebody does."""
        text = self._text(self._content())
        if self.is_credential:
            remember_unused(text)
        return text

    async def read(self) -> str:
        """The same, for the event loop: a file may hang."""
        content: bytes | OSError = b""
        if self.file is not None:
            try:
                content = await read_file_soon(self.file, MAX_SECRET_BYTES)
            except OSError as error:
                content = error
        return self._note(self._text(content))

    def _content(self) -> bytes | OSError:
        if self.file is None:
            return b""
        try:
            return read_file(self.file, MAX_SECRET_BYTES)
        except OSError as error:
            return error

    def _note(self, text: str) -> str:
        if self.is_credential:
            texts = _read.setdefault(self, {})
            if text not in texts:
                texts[text] = None
                if len(texts) > _MAX_READ:
                    oldest = next(iter(texts))
                    del texts[oldest]
                    forget(oldest)
            remember(text)
        return text

    def _text(self, content: bytes | OSError) -> str:
        if self.inline is not None:
            return fit_secret(self.inline, "the secret") if self.inline else ""
        if self.env is not None:
            return fit_secret(os.environ.get(self.env, ""), f"the environment variable {self.env}")
        if self.file is None:
            raise SecretUnreadable("the secret has no source")
        if isinstance(content, OSError):
            raise SecretUnreadable(f"cannot read {self.file}: {content.strerror}") from None
        try:
            return fit_secret(content.decode("utf-8-sig").strip(), str(self.file))
        except UnicodeDecodeError:
            raise SecretUnreadable(f"cannot read {self.file}: not UTF-8") from None


def without_line_end(text: str) -> str:
    """A value of the environment as it was meant: shells and files leave a line end, editors a byte-order mark."""
    return text.removeprefix("\ufeff").rstrip("\r\n")


def fit_secret(text: str, where: str) -> str:
    """A secret without what came by accident. Raises `SecretUnreadable` where nothing is left that can be sent."""
    text = without_line_end(text)
    if not text:
        raise SecretUnreadable(f"{where} is unset or empty" if "variable" in where else f"{where} is empty")
    if "\0" in text:
        raise SecretUnreadable(f"{where} is no text: it has a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SecretUnreadable(f"{where} is not UTF-8") from None
    return text
