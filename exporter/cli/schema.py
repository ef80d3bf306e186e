"""The command `schema`: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

from importlib.resources import files

import click

from exporter.cli.options import epilog


def schema_text() -> str:
    """The JSON Schema as a file has it. `make docs` writes it from the source of the configuration's keys."""
    return files("exporter.config").joinpath("config.schema.json").read_text("utf-8")


@click.command(
    short_help="Print the JSON Schema of the configuration, for editors.",
    epilog=epilog("schema > config.schema.json", codes="0: it worked."),
)
def schema() -> None:
    """Prints the JSON Schema of the configuration, with which editors complete and check it."""
    click.echo(schema_text(), nl=False)
