"""Which texts of a configuration are confidential by where they stand: variables and parameters of URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from exporter.config.nodes import KeyPath, texts
from exporter.config.scalars import names_credential
from exporter.model.censor import SHORTEST_IN_ANSWERS
from exporter.model.samples import Json
from exporter.model.secret import SHOWN, FromEnvironment

_URLS: Final = frozenset({"url", "token_url", "revocation_url", "proxy_url"})
# What these hold is on pages by intention, or no credential.
_SHOWN: Final = frozenset(
    {
        "name",
        "labels",
        "values",
        "schema",
        "concurrency",
        "rate_limit",
        "max_body_size",
        "timeout",
        "tls_config",
        "scopes",
        "auth_style",
        "type",
    }
)
# Whose keys are the user's own words, so that none of them says anything of what it holds.
_FREE: Final = frozenset({"params", "endpoint_params", "http_headers", "proxy_connect_header", "secret_values"})
_REFERENCES: Final = ("file", "env")
_HOST_END: Final = re.compile(r"[/?#]")
_PUBLIC: Final = ("name", "labels", "values")


def is_confidential(path: KeyPath) -> bool:
    """Whether a variable that stands there is hidden wherever it is printed."""
    match path:
        case ("sources", int(), *keys):
            return not _is_shown(keys)
        case ("queries", int(), "variables", *_):
            return True
    return False


def _is_shown(keys: Sequence[str | int]) -> bool:
    """Whether what stands below these keys of a source, or of a section of one, is no credential."""
    match keys:
        case (key, _, *below) if key in _FREE:
            return bool(below) and below[-1] in _REFERENCES
        case (key, *below):
            shown = key in _SHOWN or str(key).endswith("_file") or (key in _REFERENCES and not below)
            return shown or _is_shown(below)
    return False


def is_url(path: KeyPath) -> bool:
    """Whether a URL stands there."""
    return path[:1] == ("sources",) and path[-1] in _URLS


def confidential_texts(tree: Mapping[str, Any], typed: Mapping[KeyPath, Json] = MappingProxyType({})) -> Iterator[str]:
    """What variables gave to places of credentials, and parameters of URLs whose names say that they are credentials.
    What stands in labels or values of a source too is public. `typed` has what variables gave that is no text, by its
    place."""
    public = set(_public_texts(tree, typed))
    for path, text in texts(tree, ()):
        for value in _confidential_parts(path, text):
            if value not in public:
                yield value
    for path, given in typed.items():
        if is_confidential(path):
            yield from (text for text in _scalar_texts(given) if text not in public)


def _scalar_texts(value: Json) -> Iterator[str]:
    """The texts and numbers in a scalar or a list of some. A short number is more likely a figure than a credential."""
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, str):
            yield item
        elif isinstance(item, int | float) and len(str(item)) >= SHORTEST_IN_ANSWERS:
            yield str(item)


def _confidential_parts(path: KeyPath, text: str) -> Iterator[str]:
    if is_url(path):
        yield from dict.fromkeys((*_credentials(text), *(_parts(text) if isinstance(text, FromEnvironment) else ())))
    elif isinstance(text, FromEnvironment) and is_confidential(path):
        yield from text.values


def shown_url(url: str) -> str:
    """A URL as people may see it: without the values in its query, and without what follows `#`."""
    before, mark, query = url.partition("#")[0].partition("?")
    names = (part.partition("=") for part in query.split("&"))
    return before + mark + "&".join(f"{name}={SHOWN}" if sign else SHOWN * bool(name) for name, sign, _ in names)


def public_url(url: str) -> str:
    """The same, also without what variables gave to the path."""
    if not isinstance(url, FromEnvironment):
        return shown_url(url)
    shown = url.shown
    if "://" in url.values[0]:
        shown = shown.replace(SHOWN, url.values[0], 1)
    scheme, mark, rest = url.partition("://")
    host, shown_host = (_HOST_END.split(text, maxsplit=1)[0] for text in (rest, shown.partition("://")[2]))
    return shown_url(scheme + mark + host + shown.partition("://")[2].removeprefix(shown_host))


def _credentials(url: str) -> Iterator[str]:
    """The parameters of a URL that are credentials, by their names."""
    query = url.partition("#")[0].partition("?")[2]
    yield from (value for name, value in parse_qsl(query) if names_credential(name))


def _parts(url: FromEnvironment) -> Iterator[str]:
    """What variables gave to the path and the query of a URL."""
    try:
        parts = urlsplit(str(url))
    except ValueError:
        return
    behind_host = f"{parts.path}?{parts.query}#{parts.fragment}"
    for value in url.values:
        if "://" in value:
            yield from (text for _, text in parse_qsl(urlsplit(value).query))
        elif value in behind_host or quote(value, safe="") in behind_host:
            yield value


def _public_texts(tree: Mapping[str, Any], typed: Mapping[KeyPath, Json]) -> Iterator[str]:
    for path, text in texts(tree, ()):
        if _is_public(path):
            yield str(text)
    for path, value in typed.items():
        if _is_public(path):
            yield from _scalar_texts(value)


def _is_public(path: KeyPath) -> bool:
    return path[0] == "sources" and len(path) > 2 and path[2] in _PUBLIC
