"""The manual page, insights-exporter(1), made of the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

_ESCAPED = re.compile(r"[\\\-]")


def man_page(program: click.Group, name: str) -> str:
    """The page in roff (groff_man(7)). It names no version and no date, so that it changes only with the commands."""
    with click.Context(program, info_name=name, **program.context_settings) as context:
        about = _plain(program.help or "")
        lines = [
            f'.TH "{name.upper()}" "1" "" "Insights Exporter" "User Commands"',
            *(".SH NAME", f"{_roff(name)} \\- {_roff(about[0].lower() + about[1:].rstrip('.'))}"),
            *(".SH SYNOPSIS", f".B {_roff(name)}", _roff(" ".join(program.collect_usage_pieces(context)))),
            *(".SH DESCRIPTION", _roff(about), ".SH OPTIONS", *_options(program, context)),
            *(".SH COMMANDS", *_commands(program, context, name)),
            *(".SH EXIT STATUS", _roff("0 if it worked, 1 if it did not, 2 if a flag is wrong.")),
        ]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context, path: str) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        with click.Context(command, info_name=name, parent=context) as inner:
            if isinstance(command, click.Group):
                yield from _commands(command, inner, f"{path} {name}")
                continue
            usage = " ".join(command.collect_usage_pieces(inner))
            yield from (f'.SS "{_roff(f"{path} {name} {usage}")}"', _roff(_plain(command.help or "")))
            yield from _options(command, inner)
            yield from _examples(command)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) is not None:
            flag, text = record
            yield from (".TP", f".B {_roff(flag)}", _roff(_plain(text)))


def _examples(command: click.Command) -> Iterator[str]:
    lines = [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  insights-exporter")]
    if lines:
        yield from (".PP", "Examples:", ".nf", *(f"    {_roff(line)}" for line in lines), ".fi")


def _plain(text: str) -> str:
    return " ".join(text.replace("\b", " ").split())


def _roff(text: str) -> str:
    escaped = _ESCAPED.sub(lambda found: "\\e" if found[0] == "\\" else "\\-", text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
