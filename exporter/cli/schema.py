"""The command `schema`: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

import json

import click

from exporter.config.reference import json_schema


def schema_text() -> str:
    """The JSON Schema as a file has it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


@click.command()
def schema() -> None:
    """Prints the JSON Schema of the configuration, with which editors complete and check it."""
    click.echo(schema_text(), nl=False)
