"""The command `generate`: files for other programs, made from a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Final

import click

from exporter.cli.account import fail, plan_of
from exporter.cli.options import config_file_option, epilog
from exporter.cli.shipped_files import copy_shipped_files
from exporter.dashboards.configured import configured
from exporter.dashboards.model import dashboard_text
from exporter.model.config_files import ConfigFiles

_STANDARD_OUTPUT: Final = ("-", "<stdout>")


@click.group(short_help="Make files for other programs from a configuration.")
def generate() -> None:
    """Makes files for other programs from a configuration."""


@generate.command(
    short_help="Make a Grafana dashboard.",
    epilog=epilog("generate dashboard --output=dashboard.json", "generate dashboard --title=Shop"),
)
@config_file_option
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8", lazy=True, atomic=True),
    default="-",
    help="The file to write; without it, standard output.",
)
@click.option("--title", help="The dashboard's title, which also gives its uid (default: from the file's name).")
def dashboard(config_file: ConfigFiles, output: IO[str], title: str | None) -> None:
    """A Grafana dashboard for the metrics of a configuration."""
    _check_place(output.name)
    plan = plan_of(config_file, needs_account=False)
    made = configured(plan, title or f"Insights Exporter / {_name_of(config_file)}")
    output.write(dashboard_text(made))
    if output.name not in _STANDARD_OUTPUT:
        panels = sum(len(row.panels) for row in made.rows if row.title)
        click.echo(f"{output.name}: dashboard {made.title!r}, uid {made.uid}, a panel for each metric: {panels}")


def _check_place(name: str) -> None:
    """Ends the command where the file is there already and no dashboard: a slip must not cost a configuration."""
    file = Path(name)
    if name in _STANDARD_OUTPUT or not file.is_file():
        return
    try:
        text = file.read_text("utf-8")
        is_dashboard = not text or "panels" in json.loads(text)
    except (OSError, TypeError, ValueError, RecursionError):
        is_dashboard = False
    if not is_dashboard:
        fail(f"{file} is there already and no dashboard, so it is not replaced; name another file")


def _name_of(config_file: ConfigFiles) -> str:
    return (config_file[0] if isinstance(config_file, tuple) else config_file).stem


@generate.command(
    "files",
    short_help="Write out dashboards, rules, examples and the man page.",
    epilog=epilog("generate files insights-exporter-files", "generate files . --force"),
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Replace existing files.")
def write_files(folder: Path, force: bool) -> None:
    """Writes the files that come with the package into FOLDER: Grafana dashboards, Prometheus rules, examples of
    configurations and the manual page."""
    try:
        for written in copy_shipped_files(folder, force=force):
            click.echo(f"Written: {written}")
    except FileExistsError as error:
        fail(f"{error} is there already; write --force to replace it, or name another folder")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name a folder that can be written")
