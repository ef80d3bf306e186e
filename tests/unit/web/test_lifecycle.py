"""What an operator can ask of a running exporter over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from exporter.web.lifecycle import lifecycle_routes
from exporter.web.messages import Answer


def asked(
    path: str, *, problems: Sequence[str] = (), tokens: Mapping[str, str | None] | None = None, enabled: bool = True
) -> tuple[int, str]:
    """Status and text of the answer to a POST."""
    called: list[str] = []

    async def reload() -> Sequence[str]:
        called.append("/-/reload")
        return problems

    async def renew() -> Mapping[str, str | None]:
        called.append("/-/renew-token")
        return tokens or {}

    async def answer() -> Answer:
        methods = lifecycle_routes(reload, renew, enabled=enabled)[path]
        assert list(methods) == ["POST"]
        made = methods["POST"]()
        return made if isinstance(made, Answer) else await made

    made = asyncio.run(answer())
    assert called == ([path] if enabled else [])
    assert dict(made.fields)[b"content-type"] == b"text/plain; charset=utf-8"
    return made.status.value, made.body.decode()


@pytest.mark.parametrize("path", ["/-/reload", "/-/renew-token"])
def test_nothing_can_be_asked_that_is_not_enabled(path: str) -> None:
    """Without the flag nothing happens, and the answer names the flag."""
    assert asked(path, enabled=False) == (
        403,
        "This is not enabled; start the exporter with --web.enable-lifecycle.\n",
    )


def test_a_reload_says_how_it_went() -> None:
    """Every problem in a line of its own, and that the old configuration goes on."""
    assert asked("/-/reload") == (200, "The configuration was reloaded.\n")
    assert asked("/-/reload", problems=["c.yaml:1: a", "c.yaml:2: b"]) == (
        500,
        "The old configuration stays in use:\nc.yaml:1: a\nc.yaml:2: b\n",
    )


def test_renewed_tokens_are_told_by_source() -> None:
    """502 unless every source has another token; 409 where there is none to renew."""
    good = "the token was revoked, and another is in use"
    assert asked("/-/renew-token") == (409, "No source has oauth2, so there is no token to renew.\n")
    assert asked("/-/renew-token", tokens={"a": None, "b": None}) == (200, f"a: {good}\nb: {good}\n")
    assert asked("/-/renew-token", tokens={"a": None, "b": "no answer"}) == (502, f"a: {good}\nb: no answer\n")
