"""Which form of `/metrics` a client gets: content negotiation by `Accept` and `Accept-Encoding` (RFC 9110 §12.5)."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from exporter.exposition import Format

_MAX_REMEMBERED_BYTES = 1024  # of request headers that are looked up and not parsed again


class Representation(Struct, frozen=True):
    """One form of `/metrics`. The content type always names a version: Prometheus 3 refuses one that does not."""

    format: Format
    content_type: str
    gzip: bool


class _Offer(Struct, frozen=True):
    """A media type that can be served. A range may leave its version out, and may not name another."""

    format: Format
    type: str
    version: str

    @property
    def content_type(self) -> str:
        return f"{self.type}; version={self.version}; charset=utf-8"


# The first is what a client gets that has no wish, or none that can be met: it is what every scraper understands.
_OFFERS = (
    _Offer(Format.TEXT, "text/plain", "0.0.4"),
    _Offer(Format.OPENMETRICS, "application/openmetrics-text", "1.0.0"),
)

_QUOTED = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'  # to the end where nothing ends it: each quote within would seek it again
_ELEMENT = re.compile(rf"(?:[^,\"]|{_QUOTED})++")
_PARAMETER = re.compile(rf";\s*([^\s=;\"]+)\s*=\s*({_QUOTED}|[^\s;\"]*)")
_QVALUE = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")


def representation(accept: str, accept_encoding: str) -> Representation:
    """The form that these headers ask for; an absent header is an empty text. Never fails: `/metrics` has an answer.

    Of the media types the one with the higher quality wins, the text format 0.0.4 where they are equal.

    A range with `escaping=` is answered with `escaping=underscores`, whatever scheme it asks for: every name that is
    published here is one that no scheme changes, and `underscores` is the scheme that all scrapers have. It is named
    only to those that asked, as the parameter is younger than the formats.
    """
    if len(accept) + len(accept_encoding) > _MAX_REMEMBERED_BYTES:
        return _representation(accept, accept_encoding)
    return _remembered(accept, accept_encoding)


def _representation(accept: str, accept_encoding: str) -> Representation:
    best, quality, escaping = _OFFERS[0], 0.0, False
    ranges = _elements(accept)
    for offer in _OFFERS:
        offered_quality, offered_escaping = _quality(offer, ranges)
        if offered_quality > quality:
            best, quality, escaping = offer, offered_quality, offered_escaping
    content_type = best.content_type + ("; escaping=underscores" if escaping else "")
    return Representation(best.format, content_type, _gzip_wanted(accept_encoding))


_remembered = lru_cache(maxsize=256)(_representation)


def _quality(offer: _Offer, ranges: list[tuple[str, dict[str, str]]]) -> tuple[float, bool]:
    """How much an offer is wanted, by the most specific range that it is in, and if that range has `escaping`."""
    best = (0, 0.0, False)
    for media_range, parameters in ranges:
        if media_range == offer.type:
            version = parameters.get("version")
            if version not in (None, offer.version):
                continue
            specificity = 3 if version is None else 4
        elif media_range == offer.type.partition("/")[0] + "/*":
            specificity = 2
        elif media_range == "*/*":
            specificity = 1
        else:
            continue
        best = max(best, (specificity, _qvalue(parameters), "escaping" in parameters))
    return best[1:]


def _gzip_wanted(accept_encoding: str) -> bool:
    """Whether gzip is acceptable and nothing else is preferred to it (RFC 9110 §12.5.3)."""
    qualities = {coding: _qvalue(parameters) for coding, parameters in _elements(accept_encoding)}
    anything = qualities.get("*", 0.0)
    gzip = qualities.get("gzip", qualities.get("x-gzip", anything))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _elements(header: str) -> list[tuple[str, dict[str, str]]]:
    """The elements of a list header: value and parameters, names and values in lower case, without quotes."""
    elements = []
    for element in _ELEMENT.findall(header.lower()):
        value = element.partition(";")[0].strip()
        if value:
            parameters = {name: text.strip('"') for name, text in _PARAMETER.findall(element)}
            elements.append((value, parameters))
    return elements


def _qvalue(parameters: dict[str, str]) -> float:
    """The weight, 1 if there is none; one that is not a weight makes the element worthless."""
    text = parameters.get("q", "1")
    return float(text) if _QVALUE.fullmatch(text) else 0.0
