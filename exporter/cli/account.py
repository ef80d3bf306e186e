"""What commands need of a configuration: its plan, clients of its sources, and its secrets kept out of sight."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

import click

from exporter.cli.options import refuse
from exporter.config.source import Source
from exporter.daemon.check import check
from exporter.daemon.logs import configure_logging
from exporter.model.censor import EVERYTHING
from exporter.model.config_files import ConfigFiles
from exporter.model.errors import ConfigError, Failure
from exporter.model.secret import use_variables
from exporter.plan.plan import Plan, QueryPlan
from exporter.upstream.hints import likely_causes
from exporter.upstream.upstream import Upstream, upstreams

_Result = TypeVar("_Result")


def fail(text: str, causes: Sequence[str] = ()) -> NoReturn:
    """Ends the command with an error in one line, and a line for each likely cause."""
    click.echo(f"error: {EVERYTHING.clean(text)}", err=True)
    tell_causes(causes)
    raise click.exceptions.Exit(1)


def tell_causes(causes: Sequence[str]) -> None:
    """A line for each likely cause."""
    for number, cause in enumerate(causes):
        click.echo(f"{'likely' if number == 0 else '    or'}: {cause}", err=True)


def plan_of(files: ConfigFiles, *, needs_account: bool = True) -> Plan:
    """The plan of a configuration, its problems told. Without an account, what is missing in the environment is no
    problem unless a source cannot be understood for it."""
    configure_logging("error", "logfmt")
    try:
        found = check(files, os.environ)
    except ConfigError as error:
        refuse(error)
    if found.unmet and (needs_account or not found.plan.sources):
        refuse(ConfigError(found.unmet))
    use_variables(found.loaded.confidential_texts)
    return found.plan


def query_of(plan: Plan, name: str) -> QueryPlan:
    """The query of that name."""
    for query in plan.queries:
        if query.name == name:
            return query
    names = ", ".join(query.name for query in plan.queries)
    fail(f"there is no query {name}; there is: {names}")


def source_of(sources: tuple[Source, ...], name: str | None) -> Source:
    """The source of that name, or the first."""
    for source in sources:
        if name in (None, source.name):
            return source
    fail(f"there is no source {name} to ask; there is: {', '.join(s.name for s in sources)}")


@asynccontextmanager
async def upstreams_of(sources: tuple[Source, ...]) -> AsyncIterator[Mapping[str, Upstream]]:
    """What talks to the sources, closed at the end."""
    opened = upstreams(sources, {})
    try:
        yield opened
    finally:
        for one in opened.values():
            for transport in one.transports:
                await transport.close()


async def token_seconds(upstream: Upstream, source: Source) -> float | None:
    """How long getting an access token took; None where the source needs none. Ends the command, with the likely
    causes, where there is none to be had."""
    if upstream.token is None:
        return None
    began_at = time.monotonic()
    try:
        await upstream.token.token()
    except Failure as failure:
        fail(f"no access token: {failure.reason.value}: {failure.detail}", likely_causes(failure, source))
    return time.monotonic() - began_at


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs a command's work to its end. Ctrl-C ends it with the usual exit code."""
    try:
        with asyncio.Runner() as runner:
            return runner.run(work)
    except Failure as failure:
        fail(f"{failure.reason.value}: {failure.detail}")
