"""Documents of the catalogue that are not polled, asked by name."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import click
import yaml

from exporter.cli.account import fail, token_seconds, upstreams_of
from exporter.cli.output import Output
from exporter.config.source import Source
from exporter.model.censor import EVERYTHING
from exporter.model.errors import Failure, Reason, SecretUnreadable
from exporter.model.outcome import Operation
from exporter.model.samples import Json
from exporter.model.template import bind, parse_template, references
from exporter.upstream.hints import likely_causes

PREFIX: Final = "choreo/on_demand/"
_DEADLINE_SECONDS: Final = 30.0
_BLANK: Final = re.compile(r"<[^>]+>")


async def ask_on_demand(name: str, source: Source, changes: Sequence[str], output: Output) -> None:
    """Asks a document of the catalogue once and shows its answer. Raises `Failure`."""
    sent = _operation(name, source, changes)
    output.heading(f"{name} on {source.name}")
    output.code("Document", sent.document)
    output.json("Variables", dict(sent.variables))
    async with upstreams_of((source,)) as upstreams:
        await token_seconds(upstreams[source.name], source)
        began_at = time.monotonic()
        try:
            response = await upstreams[source.name].client.execute(sent, deadline_seconds=_DEADLINE_SECONDS)
        except Failure as failure:  # a document that is refused may have any fault
            causes = () if failure.reason is Reason.GRAPHQL else likely_causes(failure, source)
            fail(f"{failure.reason.value}: {failure.detail}", causes)
        output.json(f"Answer (after {time.monotonic() - began_at:.3f} seconds)", response.data)
    for error in response.errors:
        click.echo(f"error: {EVERYTHING.clean_value(error.message)}", err=True)
    if response.errors:
        raise click.exceptions.Exit(1)


def _operation(name: str, source: Source, changes: Sequence[str]) -> Operation:
    """The operation, its blanks filled in. Ends the command with what is missing."""
    documents: Mapping[str, Any] = yaml.safe_load(
        files("exporter.choreo").joinpath("catalogue", "on_demand.yaml").read_text("utf-8")
    )
    entry = documents.get(name.removeprefix(PREFIX))
    if entry is None:
        known = ", ".join(f"{PREFIX}{known}" for known in documents)
        fail(f"there is no document {name}; there is: {known}")
    variables: dict[str, Json] = dict(entry["variables"])
    for change in changes:
        _set(variables, change)
    blanks = [f"--var {path}=…" for path, value in _leaves(variables) if _BLANK.search(str(value))]
    if blanks:
        fail(f"{name} has blanks to fill in: {' '.join(blanks)}")
    return Operation(entry["document"], _bind_variables(variables, source))


def _set(variables: dict[str, Json], change: str) -> None:
    """Sets `a.b=VALUE`; the value is YAML, so that numbers, lists and mappings can be given."""
    path, equals, text = change.partition("=")
    if not equals or not path:
        fail(f"--var {change}: write NAME=VALUE, such as data.environmentId=…")
    try:
        value: Json = yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        value = text
    *way, last = path.split(".")
    at: Any = variables
    for key in way:
        at = at.get(key) if isinstance(at, dict) else None
    if not isinstance(at, dict):
        known = ", ".join(path for path, _ in _leaves(variables))
        fail(f"--var {path}: there is no such variable; there is: {known}")
    at[last] = str(value) if isinstance(at.get(last), str) and not isinstance(value, list | dict) else value


def _bind_variables(variables: dict[str, Json], source: Source) -> dict[str, Json]:
    """The variables with the source's values. Ends the command for one that it does not have."""
    values: dict[str, Json] = {f"source.{name}": value for name, value in source.values.items()}
    template = parse_template(variables)
    for reference in references(template):
        name = reference.name.removeprefix("source.")
        if name in source.secret_values:
            try:
                values[reference.name] = source.secret_values[name].reveal()
            except SecretUnreadable as failure:
                fail(f"secret_values.{name}: {failure.detail}")
        elif reference.name not in values:
            fail(f"the source {source.name} has no value {name}; add it to its values")
    found = bind(template, values)
    assert isinstance(found, dict)
    return found


def _leaves(value: Json, path: str = "") -> list[tuple[str, Json]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}" if path else key)]
    return [(path, value)]
