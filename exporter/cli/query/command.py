"""The command `query`: one real poll of one query, and what became of it, step by step."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import click
from msgspec import Struct

from exporter.cli.account import (
    fail,
    plan_of,
    query_of,
    run,
    source_of,
    tell_causes,
    token_seconds,
    upstreams_of,
)
from exporter.cli.ad_hoc import Asked, Round
from exporter.cli.hints import causes_of_polls
from exporter.cli.options import config_file_option, epilog, query_names
from exporter.cli.output import Output
from exporter.cli.query.on_demand import PREFIX, ask_on_demand
from exporter.cli.query.recording import (
    Recording,
    check_place,
    keep_answers,
    read_recording,
    recording_errors,
    recording_of,
)
from exporter.exposition import Format, head, pieces
from exporter.model.censor import EVERYTHING
from exporter.model.clock import Clock
from exporter.model.config_files import ConfigFiles
from exporter.model.errors import Failure
from exporter.model.outcome import Result
from exporter.model.response_path import Pick
from exporter.model.samples import Json
from exporter.model.template import scalar_text
from exporter.plan.plan import Hops, Plan, QueryPlan, Target
from exporter.polling.course import Course


@click.command(
    short_help="Ask one query once, and show every step.",
    epilog=epilog("query environments", "query api_traffic --all --save=a.json", "query api_traffic --response=a.json"),
)
@click.argument("name", shell_complete=query_names)
@config_file_option
@click.option("--source", "source_name", help="The source to ask; without it, the first that the query runs on.")
@click.option("--target", "wanted", multiple=True, metavar="VALUE", help="Ask for the target that has this value.")
@click.option("--all", "everything", is_flag=True, help="Ask for all targets; without it, for the first.")
@click.option("--save", "save", type=click.Path(path_type=Path, dir_okay=False), help="Keep the answers in this file.")
@click.option(
    "--response",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Send no request: read the answers from a file written by --save.",
)
@click.option("--var", "changes", multiple=True, metavar="NAME=VALUE", help=f"A variable of a {PREFIX}NAME.")
def query(
    name: str,
    config_file: ConfigFiles,
    source_name: str | None,
    wanted: tuple[str, ...],
    everything: bool,
    save: Path | None,
    response: Path | None,
    changes: tuple[str, ...],
) -> None:
    """Asks one query once, and shows the request, the answer, its rows, the series and how long each step took.

    NAME is a query of the configuration, or a document of the catalogue that is not polled: choreo/on_demand/NAME.
    """
    given = {"--target": wanted, "--all": everything, "--save": save is not None, "--response": response is not None}
    _check_flags(name, [flag for flag, value in given.items() if value], changes)
    if save is not None:
        with recording_errors():
            check_place(save)
    plan = plan_of(config_file, needs_account=response is None)
    if name.startswith(PREFIX):
        of_choreo = [one for one in plan.sources if one.schema_ == "choreo"] if source_name is None else []
        run(ask_on_demand(name, source_of(tuple(of_choreo) or plan.sources, source_name), changes, Output()))
        return
    asked_query = query_of(plan, name)
    source = source_of(asked_query.sources, source_name)
    course, choice = Course(asked_query, source), _Choice(wanted, everything)
    polls = run(_poll(plan, course, choice) if response is None else _replay(plan, course, choice, response))
    if save is not None:
        _save(save, recording_of(polls.all, polls.time))
    output = Output()
    for position, asked in enumerate(polls.asked, start=1):
        _show(output, asked, f"{position} of {polls.targets}" if polls.targets > 1 else "")
        _show_steps(output, asked, polls)
    _report_failures(polls, course)


def _check_flags(name: str, given: Sequence[str], changes: Sequence[str]) -> None:
    """Raises `UsageError` for a flag that would have no effect."""
    if name.startswith(PREFIX) and given:
        flags = ", ".join(given)
        raise click.UsageError(f"{flags}: has no effect on {PREFIX}NAME, whose request is sent once; leave it out")
    if changes and not name.startswith(PREFIX):
        remedy = "change the variables of a query in the configuration"
        raise click.UsageError(f"--var: has no effect on {name}, as it is for {PREFIX}NAME; {remedy}")


class _Choice(Struct, frozen=True):
    """Which targets to ask for."""

    values: tuple[str, ...]
    everything: bool

    def choose(self, targets: Sequence[Target]) -> list[Target]:
        """Those targets. Ends the command where there is none."""
        known = {target.key: {_text(value) for value in target.values.values()} for target in targets}
        found = [target for target in targets if known[target.key].issuperset(self.values)]
        if not found and targets and not any(known.values()):
            fail("the query has no for_each, and so no target to choose; leave out --target, or write --source=NAME")
        if not found and targets:
            shown = "; ".join(_target_text(target) for target in targets[:20])
            fail(f"no target has {', '.join(self.values)}; there is: {shown}")
        return found if self.everything else found[:1]


class _Polls(Struct, frozen=True):
    """What was asked: the query itself for the chosen targets, before that what it needs."""

    time: float
    token_seconds: float | None
    needed: tuple[Asked, ...]
    asked: tuple[Asked, ...]
    targets: int

    @property
    def all(self) -> tuple[Asked, ...]:
        return (*self.needed, *self.asked)


async def _poll(plan: Plan, course: Course, choice: _Choice) -> _Polls:
    source = course.source
    async with upstreams_of((source,)) as upstreams:
        upstream, now = upstreams[source.name], time.time()
        seconds = await token_seconds(upstream, source)
        a_round = Round(plan, lambda *_: upstream.client, Clock(wall=lambda: now))
        return await _ask(a_round, course, choice, now, seconds)


async def _replay(plan: Plan, course: Course, choice: _Choice, file: Path) -> _Polls:
    with recording_errors():
        recording = read_recording(file)
    a_round = Round(plan, recording.client, Clock(wall=lambda: recording.time))
    return await _ask(a_round, course, choice, recording.time, None)


def _save(file: Path, recording: Recording) -> None:
    with recording_errors():
        is_kept = keep_answers(file, recording)
    if not is_kept:
        click.echo(f"{file}: not written, as there is no answer to keep", err=True)


async def _ask(a_round: Round, course: Course, choice: _Choice, now: float, seconds_for_token: float | None) -> _Polls:
    needed = await a_round.prepare(course)
    targets = a_round.targets(course)
    asked = [await a_round.ask(course, target) for target in choice.choose(targets)]
    return _Polls(now, seconds_for_token, needed, tuple(asked), len(targets))


def _show(output: Output, asked: Asked, which: str) -> None:
    target = f", target {which}: {_target_text(asked.target)}" if which else ""
    output.heading(f"{asked.query.name} on {asked.course.source.name}{target}")
    for number, exchange in enumerate(asked.exchanges, start=1):
        page = f" {number}" if len(asked.exchanges) > 1 else ""
        if number == 1:
            output.code("Document", exchange.sent.document)
        output.json(f"Variables{page}", dict(exchange.sent.variables))
        if isinstance(exchange.answer, Failure):
            output.line(
                f"Answer{page}: none; {exchange.answer.reason.value}: {exchange.answer.detail}",
                "red",
            )
        else:
            output.json(f"Answer{page}", exchange.answer.data)
            for error in exchange.answer.errors:
                where = f" at {'.'.join(map(str, error.path))}" if error.path else ""
                output.line(f"Error as well as data{where}: {error.message}", "red")
    _show_rows(output, asked)
    if asked.outcome.result is not None:
        _show_series(output, asked.outcome.result)


def _show_rows(output: Output, asked: Asked) -> None:
    rows = asked.query.rows
    if rows is None or not rows.walk:
        return
    try:
        found = [row for response in asked.responses for row in _rows(response.data, rows.walk)]
    except (KeyError, TypeError):
        return  # told as the poll's failure
    columns = list(dict.fromkeys(key for row in found if isinstance(row, dict) for key in row)) or ["."]
    cells = [[row.get(key) if isinstance(row, dict) else row for key in columns] for row in found]
    output.table(f"Rows ({len(found)})", columns, cells)


def _rows(node: Json, walk: Hops) -> Iterator[Json]:
    """What a walk leads to in an answer that was read as any JSON. Raises `KeyError` or `TypeError` where there is no
    such way."""
    if walk and walk[0].mark is not None:
        for item in node.values() if isinstance(node, dict) else cast("list[Json]", node or []):
            yield from _rows(item, walk[1:])
    elif isinstance(node, list):
        for item in node:
            yield from _rows(item, walk)
    elif node is not None and not walk:
        yield node
    elif node is not None:
        (name, indexes, optional), rest = (walk[0].name, walk[0].indexes, walk[0].optional), walk[1:]
        fields = cast("dict[str, Json]", node)
        child = fields.get(name) if optional else fields[name]
        for index in indexes:
            child = _item(cast("list[Json] | None", child) or [], index)
        yield from _rows(child, rest)


def _item(items: list[Json], index: int | Pick) -> Json:
    """The item at that place, or whose field has that text; none, if there is no such one."""
    if isinstance(index, Pick):
        fields = (cast("dict[str, Json]", item) for item in items if item is not None)
        return next((one for one in fields if _text(one.get(index.field)) == index.text), None)
    return items[index] if -len(items) <= index < len(items) else None


def _show_series(output: Output, result: Result) -> None:
    lines = [
        (head(samples.family, Format.TEXT) + b"".join(pieces(samples))).decode()
        for samples in sorted(result.samples, key=lambda one: one.family.name)
    ]
    output.code(f"Series ({result.series_count})", "".join(lines) or "(none)")
    for reason, count in result.skipped.items():
        output.line(f"Left out: {count} values ({reason})", "yellow")
    if result.skipped:
        output.line(f"  the first: {result.first_skipped}", "yellow")
    for reason, count in result.skipped_rows.items():
        output.line(f"Left out: {count} rows ({reason})", "yellow")
    if result.skipped_rows:
        output.line(f"  the first: {result.first_skipped_row}", "yellow")
    for path, count in result.nulls.items():
        output.line(f"Null where rows are expected: {path} ({count})", "yellow")
    if result.lookup_misses:
        output.line(f"Names missing in lookups: {result.lookup_misses}", "yellow")
    if result.rows_cut:
        number = f"at least {result.rows_cut}" if result.rows_cut_at_least else str(result.rows_cut)
        output.line(f"Rows beyond max_rows, not read: {number}", "yellow")


def _show_steps(output: Output, asked: Asked, polls: _Polls) -> None:
    asking = sum(exchange.seconds for exchange in asked.exchanges)
    steps: list[tuple[str, float]] = []
    if polls.token_seconds is not None:
        steps.append(("access token", polls.token_seconds))
    for name, seconds in _seconds_by_query(polls.needed).items():
        steps.append((f"rows of {name}", seconds))
    steps.append((f"{len(asked.exchanges)} request{'s' * (len(asked.exchanges) > 1)}", asking))
    steps.append(("reading the answer", max(0.0, asked.outcome.duration_seconds - asking)))
    output.table("Steps", ["step", "seconds"], [[name, f"{seconds:.3f}"] for name, seconds in steps])


def _seconds_by_query(asked: Sequence[Asked]) -> Mapping[str, float]:
    seconds: dict[str, float] = {}
    for one in asked:
        seconds[one.query.name] = seconds.get(one.query.name, 0.0) + one.outcome.duration_seconds
    return seconds


def _report_failures(polls: _Polls, course: Course) -> None:
    """Ends with exit code 1 if anything failed, or if there was nothing to ask for."""
    failed = [one for one in polls.all if one.outcome.reason is not None]
    alike: dict[tuple[str, str], list[Asked]] = {}
    for one in failed:
        alike.setdefault((one.query.name, f"{one.outcome.reason}: {one.outcome.detail}"), []).append(one)
    for (name, what), targets in alike.items():
        target = f" for {_target_text(targets[0].target)}" if targets[0].target.values else ""
        others = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
        click.echo(f"error: {name}{target}{others}: {EVERYTHING.clean_value(what)}", err=True)
    if not polls.asked:
        click.echo(f"error: {_why_not_asked(course.query, failed)}", err=True)
    tell_causes(causes_of_polls(failed, course.source))
    if failed or not polls.asked:
        raise click.exceptions.Exit(1)


def _why_not_asked(query: QueryPlan, failed: Sequence[Asked]) -> str:
    """Why a query has no target: whose rows it needs, and whether their poll failed or they have none."""
    names = list(dict.fromkeys(one.query.name for one in failed))
    if names:
        return f"{query.name} was not asked, as it is asked for each row of {query.feeder}; fix {names[0]} first"
    return f"there is nothing to ask for: {query.feeder}, whose rows {query.name} is asked for, has none"


def _target_text(target: Target) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in sorted(target.values.items()))


def _text(value: Json) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return ",".join(map(_text, value)) if isinstance(value, list) else scalar_text(value)
