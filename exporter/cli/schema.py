"""The command `schema`: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

from importlib.resources import files

import click


def schema_text() -> str:
    """The JSON Schema as a file has it. `make docs` writes it from the source of the configuration's keys."""
    return files("exporter.config").joinpath("config.schema.json").read_text("utf-8")


@click.command()
def schema() -> None:
    """Prints the JSON Schema of the configuration, with which editors complete and check it."""
    click.echo(schema_text(), nl=False)
