"""The four keys of a proxy as one value."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.config.proxy import ProxySettings
from exporter.model.secret import Secret

HEADER = {"Proxy-Authorization": (Secret(inline="x"),)}


@pytest.mark.parametrize(
    ("keys", "is_set"),
    [
        ({}, False),
        ({"url": "http://proxy.test"}, True),
        ({"url": "http://proxy.test", "no_proxy": "internal", "connect_header": HEADER}, True),
        ({"from_environment": True, "connect_header": HEADER}, True),
    ],
)
def test_keys_that_go_together(keys: dict[str, Any], is_set: bool) -> None:
    """A proxy of its own, or the environment's, each with headers; or none."""
    assert ProxySettings(**keys).is_set is is_set


@pytest.mark.parametrize(
    "keys",
    [
        {"no_proxy": "internal"},
        {"connect_header": HEADER},
        {"from_environment": True, "url": "http://proxy.test"},
        {"from_environment": True, "no_proxy": "internal"},
    ],
)
def test_keys_that_do_not(keys: dict[str, Any]) -> None:
    """What needs another key, or stands against it, is refused."""
    with pytest.raises(ValueError, match=r"keep one|add it"):
        ProxySettings(**keys)
