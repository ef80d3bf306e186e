"""Texts without the credentials that are in use, or once were: what others say may quote them.

A credential is known by where it comes from: each `Secret` that was read, each token that was granted, each value that
a variable of the environment gave to a place of a credential. It is looked for in each form in which it is sent.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import merge
from html import escape
from io import StringIO
from typing import Any, Final
from urllib.parse import quote, quote_plus

from exporter.model.secret import SHOWN, Secret, forget, keep, kept, known_texts, read_texts, remember, texts_in_use

SHORTEST: Final = 4  # of what is hidden in what we say: "a" is no credential, but in every text
SHORTEST_IN_ANSWERS: Final = 8  # where `demo` or `test` is more likely a name than a credential
_BIG_BYTES: Final = 65_536
_PREFIX: Final = 16  # characters of a credential that are too many: who quotes one may cut it
_MAX_SENT: Final = 6  # of a source: those before are tokens that have expired
_LEVELS: Final = 2  # of escapes: JSON is often put into a text of JSON
_LONGEST_ESCAPES: Final = 12  # in bytes, of those that are likely to come again
_MAX_OF_OTHERS: Final = 64  # credentials of other sources, whose API may be the same
_DECODER: Final = json.JSONDecoder(strict=False)  # made once, as there may be a million texts
_LITERAL: Final = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL
)  # to the end, where none ends it: the next would again


class Censor:
    """Takes credentials out of what a source answers: its own, and of answers that are not big those of others."""

    def __init__(self, secrets: Iterable[Secret] = (), *, shortest: int = SHORTEST_IN_ANSWERS) -> None:
        self._secrets = tuple(secrets)
        self._sent: dict[str, None] = {}
        self._shortest = shortest

    def follow(self, secrets: Iterable[Secret]) -> None:
        """Looks for these secrets from now on; what was added stays."""
        self._secrets = tuple(secrets)

    def add(self, text: str) -> None:
        """Has a credential taken out from now on, by every censor that looks at all: a token, a header."""
        self._sent.pop(text, None)
        self._sent[text] = None
        remember(text)
        if len(self._sent) > _MAX_SENT:  # tokens that are long dead
            oldest = next(iter(self._sent))
            del self._sent[oldest]
            forget(oldest)

    def clean(self, text: str) -> str:
        """The text with `<secret>` for each credential, in whatever form, also where it is cut off."""
        return _clean(text, self._credentials(self._texts()))

    def within(self, texts: Iterable[str]) -> Censor:
        """A censor for these texts and parts of them: it looks only for those credentials that are in any of them,
        which of thousands of texts takes a hundredth of the time."""
        whole = "\n".join(texts)
        if "\\u" in whole:
            whole = f"{whole}\n{_text_with_letters(whole)}"
        known = self._credentials(self._texts())
        return _OfSome([one for one in known if any(part in whole for part in one.beginnings)])

    def clean_fields(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Header fields with `<secret>` in their values."""
        within = self.within(fields.values())
        return {name: within.clean(text) for name, text in fields.items()}

    def clean_value(self, value: Any) -> Any:
        """A JSON value with `<secret>` in its texts and keys."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, list):
            return [self.clean_value(item) for item in value]
        if isinstance(value, dict):
            return {self.clean(key): self.clean_value(item) for key, item in value.items()}
        return value

    def clean_json(self, body: bytes) -> bytes:
        """A body of JSON with `<secret>` in its texts and keys; the same body where there is none. It may take long
        where there is one, and runs in any thread."""
        texts = self._own_texts() if len(body) > _BIG_BYTES else self._texts()
        said = _credentials_in(body, self._credentials(texts))
        return _CleanLiterals(said, _places(body, said)).of(body) if said else body

    def _credentials(self, texts: Iterable[str]) -> Sequence[_Credential]:
        fit = (text for text in dict.fromkeys(texts) if len(text) >= self._shortest and text not in SHOWN)
        return [_credential(text) for text in fit]

    def _texts(self) -> tuple[str, ...]:
        return (*self._own_texts(), *texts_in_use(_MAX_OF_OTHERS))

    def _own_texts(self) -> tuple[str, ...]:
        return (*read_texts(self._secrets), *self._sent)


class _OfEverything(Censor):
    def _texts(self) -> tuple[str, ...]:
        return known_texts()


class _OfSome(Censor):
    def __init__(self, credentials: Sequence[_Credential]) -> None:
        super().__init__()
        self._some = credentials

    def clean(self, text: str) -> str:
        return _clean(text, self._some) if self._some else text

    def _credentials(self, texts: Iterable[str]) -> Sequence[_Credential]:
        return self._some


EVERYTHING: Final = _OfEverything(shortest=SHORTEST)
"""Takes every credential of the process out of what we say ourselves, as a last defence."""


class _CleanLiterals:
    """Cleans the texts of a body from the first to the last, of which there may be millions without a credential."""

    def __init__(self, sought: Sequence[_Credential], places: Iterator[int]) -> None:
        self._sought = sought
        self._places = places
        self._next = -1

    def of(self, body: bytes) -> bytes:
        """The body with clean texts."""
        return bytes(_replace_matches(_LITERAL, self._clean, body))

    def _may_say(self, literal: re.Match[bytes]) -> bool:
        """Whether a credential begins in it, or letters of it are escaped, so that one might."""
        while self._next < literal.start():
            self._next = next(self._places, sys.maxsize)
        return self._next < literal.end() or literal.string.find(b"\\u", *literal.span()) >= 0

    def _clean(self, literal: re.Match[bytes]) -> bytes | None:
        """Another literal for it, None where it is clean."""
        if not self._may_say(literal):
            return None
        try:
            text = _DECODER.decode(literal[0].decode("utf-8", "surrogatepass"))
        except ValueError:  # the body is no JSON, and will be refused
            return None
        cleaned = _clean(text, self._sought)
        return None if cleaned == text else _literal(cleaned)


def _literal(text: str) -> bytes:
    """JSON of a text, which is not longer than it was: letters beyond ASCII are escaped only where they must be."""
    try:
        return json.dumps(text, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # halves of surrogate pairs
        return json.dumps(text).encode()


def _places(body: bytes, sought: Iterable[_Credential]) -> Iterator[int]:
    """Where any of what is sought begins, in order."""
    return merge(*(_places_of(one, body) for credential in sought for one in credential.in_bodies if one in body))


def _places_of(one: bytes, body: bytes) -> Iterator[int]:
    at = -1
    while (at := body.find(one, at + 1)) >= 0:
        yield at


_SAFE_IN_URLS: Final = (
    "",  # RFC 3986 §2.3
    "/",  # Python's
    "!*'()",  # JavaScript's encodeURIComponent
    ";,/?:@&=+$!*'()#",  # JavaScript's encodeURI
    "@:&=+$",  # Go's PathEscape
)
_ESCAPES: Final = re.compile(rb'(?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))++')


def _with_letters(body: bytes | bytearray) -> bytes | bytearray:
    """The body with letters for all their escapes, to look for something in it: it is no JSON any more."""
    return _replace_matches(_ESCAPES, _letters, body)


def _replace_matches(
    pattern: re.Pattern[bytes], other: Callable[[re.Match[bytes]], bytes | None], body: bytes | bytearray
) -> bytes | bytearray:
    """The body with `other` for each match, but where that is None. `sub` would keep each of millions as an object."""
    found, at, view = bytearray(), 0, memoryview(body)
    for match in pattern.finditer(body):
        if (replacement := other(match)) is not None:
            found += view[at : match.start()]
            found += replacement
            at = match.end()
    found += view[at:]
    return found if at else body


def _text_with_letters(text: str) -> str:
    return _with_letters(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def _letters(escapes: re.Match[bytes]) -> bytes:
    found = escapes[0]
    return _letters_of(found) if len(found) <= _LONGEST_ESCAPES else _letters_of.__wrapped__(found)


@lru_cache(maxsize=1024)
def _letters_of(escapes: bytes) -> bytes:
    letters: str = json.loads(f'"{escapes.decode()}"')
    return letters.encode("utf-8", "surrogatepass")


class _Credential:
    """A credential by the beginnings to look for. Its forms are many times as long: they are made where a beginning is
    found, and only those that begin so are kept."""

    __slots__ = ("_found", "_in_bodies", "_text", "beginnings")

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, Sequence[str]] = {}
        self._in_bodies: Sequence[bytes] | None = None
        self.beginnings: Final = tuple(dict.fromkeys(map(_beginning, _forms(text))))

    @property
    def in_bodies(self) -> Sequence[bytes]:
        """The beginnings as a body has them, in whose texts they are escaped once more."""
        if self._in_bodies is None:
            both = (one for text in self.beginnings for one in (text, json.dumps(text, ensure_ascii=False)[1:-1]))
            self._in_bodies = tuple(dict.fromkeys(one.encode("utf-8", "surrogatepass") for one in both))
        return self._in_bodies

    def forms(self, beginning: str) -> Sequence[str]:
        """The forms that begin so."""
        if beginning not in self._found:
            self._found[beginning] = tuple(form for form in _forms(self._text) if _beginning(form) == beginning)
        return self._found[beginning]


def _credential(text: str) -> _Credential:
    """A credential; the same one as long as it is known."""
    found = kept(text)
    if not isinstance(found, _Credential):
        found = _credential_of(text)
        keep(text, found)
    return found


@lru_cache(maxsize=16)  # for those that a censor looks for although all others have forgotten them
def _credential_of(text: str) -> _Credential:
    return _Credential(text)


def _credentials_in(body: bytes | bytearray, sought: Sequence[_Credential]) -> Sequence[_Credential]:
    """Those that a body of JSON has in a text, or in the JSON that a text is, with whichever escapes."""
    said = _search(body, sought)
    for _ in range(_LEVELS):
        if b"\\u" not in body:
            break
        body = _with_letters(body)
        said |= _search(body, sought)
    return tuple(said)


def _search(body: bytes | bytearray, sought: Iterable[_Credential]) -> dict[_Credential, None]:
    return dict.fromkeys(one for one in sought if any(beginning in body for beginning in one.in_bodies))


def _clean(text: str, sought: Sequence[_Credential]) -> str:
    """The text without credentials; where letters of one are escapes, as JSON has them, without any escapes."""
    cleaned = _without(text, sought)
    if "\\u" in cleaned:
        letters = _text_with_letters(cleaned)
        without = _without(letters, sought)
        if without != letters:
            return without
    return cleaned


def _without(text: str, sought: Sequence[_Credential]) -> str:
    """The longest first, as one may be part of another."""
    found: dict[str, list[str]] = {}
    for credential in sought:
        for beginning in credential.beginnings:
            if beginning in text:
                found.setdefault(beginning, []).extend(credential.forms(beginning))
    for beginning in sorted(found, key=lambda one: (-max(map(len, found[one])), one)):
        text = _replace(text, beginning, found[beginning])
    return text


def _replace(text: str, needle: str, forms: Sequence[str]) -> str:
    """The text without what begins with the needle and goes on as one of the forms does."""
    cleaned, at = StringIO(), 0  # of millions of parts, a list would keep each as an object
    while (found := text.find(needle, at)) >= 0:
        cleaned.write(text[at:found])
        cleaned.write(SHOWN)
        at = found + max(_common(text, found, form) for form in forms)
    cleaned.write(text[at:])
    return cleaned.getvalue()


def _common(text: str, start: int, form: str) -> int:
    """How many characters of a form stand at a place of a text."""
    if text.startswith(form, start):
        return len(form)
    pairs = zip(text[start : start + len(form)], form, strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), len(text) - start)


def _beginning(form: str) -> str:
    is_address = form.startswith(("http:", "https:"))  # which many texts begin with
    return form if is_address else form[:_PREFIX]


def _forms(text: str) -> frozenset[str]:
    """A credential in each form in which it is sent, or said back."""
    once = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    as_json = (*once, *(json.dumps(one)[1:-1] for one in once))  # JSON is often put into a text of JSON
    in_urls = tuple(_in_urls(text))
    in_lower_case = (re.sub("%..", lambda code: code[0].lower(), one) for one in in_urls)
    slashed = (one.replace("/", "\\/") for one in as_json)
    return frozenset((text, *as_json, *slashed, *in_urls, *in_lower_case, escape(text), *_encoded(text)))


def _in_urls(text: str) -> Iterator[str]:
    """A text as languages encode it in URLs; each of them leaves other letters as they are."""
    for safe in _SAFE_IN_URLS:
        yield quote(text, safe=safe, errors="replace")
    yield quote_plus(text, errors="replace")
    yield quote_plus(text, safe="*", errors="replace").replace("~", "%7E")  # Java's URLEncoder, browsers' forms


def _encoded(text: str) -> Iterator[str]:
    """Base64 of a text (RFC 4648), by itself and after anything else; of what is too short, nothing."""
    raw = text.encode("utf-8", "replace")
    if len(raw) < SHORTEST_IN_ANSWERS:
        return
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield from (whole, whole.rstrip("="))
        for before, first in ((0, 0), (1, 2), (2, 3)):
            bits = 8 * (before + len(raw))
            yield encode(bytes(before) + raw).decode()[first : bits // 6]
