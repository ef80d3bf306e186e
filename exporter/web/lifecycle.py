"""What an operator can ask of a running exporter over HTTP, where `--web.enable-lifecycle` allows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus

from exporter.web.messages import Answer
from exporter.web.routes import Handler


def lifecycle_routes(
    reload: Callable[[], Awaitable[Sequence[str]]],
    renew_tokens: Callable[[], Awaitable[Mapping[str, str | None]]],
    *,
    enabled: bool,
) -> Mapping[str, Mapping[str, Handler]]:
    """The routes, which all refuse where they are not enabled.

    `reload` gives what is wrong with the new configuration, `renew_tokens` what was wrong by source, if anything.
    """
    handlers: Mapping[str, Handler] = {
        "/-/reload": partial(_reload, reload),
        "/-/renew-token": partial(_renew_tokens, renew_tokens),
    }
    return {path: {"POST": handler if enabled else _forbid} for path, handler in handlers.items()}


def _forbid() -> Answer:
    return _answer(HTTPStatus.FORBIDDEN, "This is not enabled; start the exporter with --web.enable-lifecycle.")


async def _reload(reload: Callable[[], Awaitable[Sequence[str]]]) -> Answer:
    if problems := await reload():
        return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The old configuration stays in use:", *problems)
    return _answer(HTTPStatus.OK, "The configuration was reloaded.")


async def _renew_tokens(renew: Callable[[], Awaitable[Mapping[str, str | None]]]) -> Answer:
    """502 unless the token of every source was replaced."""
    problems = await renew()
    if not problems:
        return _answer(HTTPStatus.CONFLICT, "No source has oauth2, so there is no token to renew.")
    lines = [f"{name}: {text or 'the token was revoked, and another is in use'}" for name, text in problems.items()]
    return _answer(HTTPStatus.OK if not any(problems.values()) else HTTPStatus.BAD_GATEWAY, *lines)


def _answer(status: HTTPStatus, *lines: str) -> Answer:
    return Answer.of("".join(f"{line}\n" for line in lines).encode(), status=status)
