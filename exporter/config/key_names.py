"""Keys with the names that other programs give them, and misspelt ones: what they were meant to be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from exporter.model.suggestion import nearest_word

# Keys of similar programs, and what they are here.
_OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "api_key": ("http_headers",),
    "auth": ("authorization",),
    "bearer_token": ("authorization", "credentials"),
    "description": ("help",),
    "dimensions": ("labels",),
    "endpoint": ("url",),
    "foreach": ("for_each",),
    "frequency": ("interval",),
    "headers": ("http_headers",),
    "path": ("value",),
    "proxy": ("proxy_url",),
    "query": ("document",),
    "schedule": ("interval",),
    "scrape_interval": ("interval",),
    "size": ("length",),
    "tls": ("tls_config",),
    "token": ("authorization", "credentials"),
    "tz": ("timezone",),
    "unit": ("from_unit",),
}


def meant_key(key: str, known: Collection[str]) -> str:
    """The key that an unknown one was meant to be; an empty text where none is near."""
    return other_name(key, known) or nearest_word(key, known)


def other_name(key: str, known: Collection[str]) -> str:
    """What a key of a similar program is called here; an empty text where it is none."""
    return next((name for name in _OTHER_NAMES.get(key, ()) if name in known), "")
