"""What an operator can ask of a running exporter over HTTP, where `--web.enable-lifecycle` allows it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from exporter.connection import Answer
from exporter.reloading import Reloading
from exporter.web import Handler


def lifecycle_routes(reloading: Reloading, *, enabled: bool) -> Mapping[str, Mapping[str, Handler]]:
    """The routes, which all refuse where they are not enabled."""

    async def reload() -> Answer:
        problems = await reloading.reloaded()
        if problems:
            return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The old configuration goes on:", *problems)
        return _answer(HTTPStatus.OK, "The configuration was loaded again.")

    return {path: {"POST": handler if enabled else _forbidden} for path, handler in {"/-/reload": reload}.items()}


def _forbidden() -> Answer:
    return _answer(HTTPStatus.FORBIDDEN, "This is not enabled; start the exporter with --web.enable-lifecycle.")


def _answer(status: HTTPStatus, *lines: str) -> Answer:
    return Answer.of("".join(f"{line}\n" for line in lines).encode(), status=status)
