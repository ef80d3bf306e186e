"""What an operator can ask of a running exporter over HTTP, where `--web.enable-lifecycle` allows it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

import structlog

from exporter.daemon.reload import Reloading
from exporter.model.errors import TokenFailure
from exporter.polling.polling import Polling
from exporter.upstream.access_token import TokenSource
from exporter.web.messages import Answer
from exporter.web.routes import Handler

_log = structlog.get_logger()


def lifecycle_routes(reloading: Reloading, polling: Polling, *, enabled: bool) -> Mapping[str, Mapping[str, Handler]]:
    """The routes, which all refuse where they are not enabled."""
    handlers: Mapping[str, Handler] = {
        "/-/reload": partial(_reload, reloading),
        "/-/renew-token": partial(_renew_token, polling),
    }
    return {path: {"POST": handler if enabled else _forbidden} for path, handler in handlers.items()}


def _forbidden() -> Answer:
    return _answer(HTTPStatus.FORBIDDEN, "This is not enabled; start the exporter with --web.enable-lifecycle.")


async def _reload(reloading: Reloading) -> Answer:
    problems = await reloading.reloaded()
    if problems:
        return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The old configuration goes on:", *problems)
    return _answer(HTTPStatus.OK, "The configuration was loaded again.")


async def _renew_token(polling: Polling) -> Answer:
    """Replaces the access token of every source that has one. 502 unless all were."""
    tokens = {name: upstream.token for name, upstream in polling.upstreams.items() if upstream.token is not None}
    if not tokens:
        return _answer(HTTPStatus.CONFLICT, "No source has oauth2, so there is no token to renew.")
    problems = await asyncio.gather(*(_problem_in_replacing(token) for token in tokens.values()))
    lines = []
    for name, problem in zip(tokens, problems, strict=True):
        if problem is None:
            _log.info("the access token was revoked and replaced", source=name)
        else:
            _log.error("the access token was not replaced", source=name, detail=problem)
        lines.append(f"{name}: {problem or 'the token was revoked, and another is in use'}")
    return _answer(HTTPStatus.OK if not any(problems) else HTTPStatus.BAD_GATEWAY, *lines)


async def _problem_in_replacing(token: TokenSource) -> str | None:
    if not token.can_revoke:
        return "there is no revocation_url, so the token was neither revoked nor renewed"
    try:
        if await token.replaced():
            return None
    except TokenFailure as failure:
        return f"the token was revoked, but there is no other yet: {failure.reason}: {failure.detail}"
    return "the revocation was not confirmed; the old token stays in use"


def _answer(status: HTTPStatus, *lines: str) -> Answer:
    return Answer.of("".join(f"{line}\n" for line in lines).encode(), status=status)
