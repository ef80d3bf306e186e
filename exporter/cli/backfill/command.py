"""The command `backfill`: history from the API as OpenMetrics with time stamps, for promtool to make blocks of."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

import click

from exporter import __version__
from exporter.cli.account import fail, plan_of, query_of, run, upstreams_of
from exporter.cli.ad_hoc import Round
from exporter.cli.atomic_file import atomic_file
from exporter.cli.backfill.fill import FanOut, Interrupted, Progress, Span, fan_outs, fill, request_count, with_history
from exporter.cli.backfill.history import History, Written
from exporter.cli.options import config_file_option, epilog, queries_option
from exporter.cli.output import show_progress
from exporter.cli.shipped_files import metrics_shown
from exporter.config.named_files import files_of
from exporter.model.config_files import ConfigFiles
from exporter.model.duration import duration_seconds, duration_text
from exporter.plan.plan import Plan, QueryPlan

_BLOCK_SECONDS: Final = 7200.0
_HEAD_SECONDS: Final = 3 * 3600.0  # how far back Prometheus' head block reaches at most
_LOOKBACK_SECONDS: Final = 300.0
_LONG_SECONDS: Final = 1800.0
_LABEL: Final = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)=(.*)", re.DOTALL)


@click.command(
    short_help="Write the past from the API as OpenMetrics, for promtool.",
    epilog=epilog(
        "backfill --from=7d --label=job=j --label=instance=i",
        codes="0: the file is whole. 1: something is missing in it, or it was not written; standard error says what."
        " 2: a flag is wrong. 130: stopped with Ctrl-C; the same command, without --force, goes on.",
    ),
)
@config_file_option
@click.option("--from", "start", required=True, metavar="TIME", help="2026-10-25, 2026-10-25T12:00Z, or 30d ago.")
@click.option("--to", "end", metavar="TIME", help="The end; without it, the last block that is safe to write.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label for every series: job, instance and others."
)
@click.option("--step", metavar="DURATION", help="Time between samples; without it, each query's interval.")
@queries_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("backfill.om"),
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Start over, and replace existing files.")
def backfill(
    config_file: ConfigFiles,
    start: str,
    end: str | None,
    labels: tuple[str, ...],
    step: str | None,
    names: tuple[str, ...],
    output: Path,
    force: bool,
) -> None:
    """Asks the API for the past, and writes it as OpenMetrics with time stamps, for promtool to make blocks of.

    To go on with a run that was stopped, give the same command again, without --force.
    """
    on_all = _labels(labels)
    plan = plan_of(config_file)
    queries = _choose_queries(plan, names)
    partial = output.with_name(f"{output.name}.partial")
    if output.exists() and not force and not _is_to_replace(partial):
        fail(f"{output} is there already; write --force to replace it, or --output to name another")
    if force:
        partial.unlink(missing_ok=True)
    now = time.time()
    span = _span(start, end, step, now)
    _warn_of_gaps(queries, span)
    wanted = {"from": start, "to": end or "", "step": step or "", "queries": " ".join(names)}
    history = _open(partial, {**wanted, "configuration": _mark(plan)})
    try:
        if force:
            history.say({"replace": "yes"})
        span = _stored_span(history, span)
        progress = run(_fill(plan, queries, span, history))
        written = _write(history, output, on_all)
    except Interrupted as error:
        fail(f"{error}; the answers so far are kept: {_go_on(force)}")
    except KeyboardInterrupt:
        click.echo(f"stopped; the answers so far are kept: {_go_on(force)}", err=True)
        raise click.exceptions.Exit(130) from None
    finally:
        history.close()
    partial.unlink()
    _tell(output, span, written, now, ends_by_itself=end is None)
    _tell_failures(progress)


def _is_to_replace(partial: Path) -> bool:
    """Whether a run that was stopped had `--force`, so that who goes on with it need not say it again."""
    if not partial.exists():
        return False
    try:
        history = History(partial)
    except (sqlite3.Error, OSError):
        return False
    try:
        return history.about.get("replace") == "yes"
    except sqlite3.Error:
        return False
    finally:
        history.close()


def _go_on(force: bool) -> str:
    return f"give the same command again{', without --force,' if force else ''} to go on"


def _labels(given: Sequence[str]) -> dict[str, str]:
    """The labels that Prometheus would add. Ends the command where one is wrong, or job or instance missing."""
    labels = {}
    for text in given:
        match = _LABEL.fullmatch(text)
        if match is None or match[1].startswith("__"):
            fail(f"--label {text}: write NAME=VALUE, such as job=insights")
        if match[1] in labels:
            fail(f"--label {match[1]}=…: is given twice; keep one")
        labels[match[1]] = match[2]
    if missing := [f"--label {name}=…" for name in ("job", "instance") if not labels.get(name)]:
        fail(
            f"{' and '.join(missing)} missing: Prometheus gives its series these labels; with other ones the past"
            " would be other series. Take them from a series that it has, or from its page of targets"
        )
    return labels


def _choose_queries(plan: Plan, names: Sequence[str]) -> list[QueryPlan]:
    """The queries to ask. Ends the command for one whose past the API does not know."""
    for name in names:
        if query_of(plan, name) not in with_history(plan, ()):
            fail(f"the query {name} has no window, or no metrics, and so no past")
    found = with_history(plan, names)
    if not found:
        fail("no query has a window and metrics, so there is no past to ask for")
    return found


def _mark(plan: Plan) -> str:
    """What a stopped run must agree in to go on: the configuration, with all its files, and the program."""
    files = dict.fromkeys((*plan.files, *chain.from_iterable(map(files_of, plan.file_patterns))))
    return hashlib.sha256(b"".join([*map(Path.read_bytes, files), __version__.encode()])).hexdigest()


def _open(partial: Path, wanted: Mapping[str, str]) -> History:
    """The history to go on with. Ends the command where it is another command's."""
    try:
        fresh = not partial.exists()
        history = History(partial)
        if fresh:
            history.say(wanted)
        about = history.about
    except (sqlite3.Error, OSError) as error:
        fail(f"{partial}: cannot be used: {error}; write --force to start over")
    different = [key for key, value in wanted.items() if about.get(key) != value]
    if different:
        history.close()
        fail(f"{partial} is of a run with another {', '.join(different)}; write --force to start over")
    if not fresh:
        click.echo(f"going on with {partial}", err=True)
    return history


def _span(start: str, end: str | None, step: str | None, now: float) -> Span:
    """The times to ask for. Ends the command where they make no sense."""
    first = _time(start, now, "--from")
    safe = (now - _HEAD_SECONDS) // _BLOCK_SECONDS * _BLOCK_SECONDS
    last = safe if end is None else min(now, _time(end, now, "--to"))
    if first >= last:
        fail(f"--from {_utc(first)} is not before the end, {_utc(last)}")
    return Span(first, last, None if step is None else _step(step))


def _stored_span(history: History, span: Span) -> Span:
    """The span that a stopped run began with, or else this one, which is kept."""
    about = history.about
    if "start" not in about:
        history.say({"start": repr(span.start), "end": repr(span.end), "seconds": repr(span.step_seconds or 0.0)})
        return span
    return Span(float(about["start"]), float(about["end"]), float(about["seconds"]) or None)


def _warn_of_gaps(queries: Sequence[QueryPlan], span: Span) -> None:
    wide = [query.name for query in queries if (span.step_seconds or query.interval_seconds) > _LOOKBACK_SECONDS]
    if wide:
        names = ", ".join(wide)
        click.echo(f"warning: charts of {names} will have gaps; write --step 5m, or a shorter one", err=True)


def _step(text: str) -> float:
    try:
        seconds = duration_seconds(text)
    except ValueError as error:
        fail(f"--step {text}: {error}")
    if seconds <= 0:
        fail(f"--step {text}: must be longer than 0")
    return seconds


def _time(text: str, now: float, option: str) -> float:
    """Unix seconds of a time, or of so long ago."""
    try:
        return now - duration_seconds(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text}: not a time; write 2026-10-25, 2026-10-25T12:00:00Z, or how long ago, such as 30d")
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


async def _fill(plan: Plan, queries: Sequence[QueryPlan], span: Span, history: History) -> Progress:
    async with upstreams_of(plan.sources) as upstreams:
        a_round = Round(plan, lambda course, _: upstreams[course.source.name].client)
        found = await fan_outs(a_round, queries, _metrics_shown())
        click.echo(f"from {_utc(span.start)} to {_utc(span.end)}: {_what_it_takes(a_round, found, span)}", err=True)
        first = [one for one in found if one.is_first]
        if first and len(first) < len(found):
            takes = _what_it_takes(a_round, first, span)
            click.echo(f"first what the shipped dashboards and rules show: {takes}; then the rest", err=True)
        with show_progress("requests") as report:
            return await fill(a_round, found, span, history, lambda at: report(at.done, at.total))


def _metrics_shown() -> frozenset[str]:
    """The metrics to begin with; none if the files cannot be read, as only the order depends on them."""
    try:
        return metrics_shown()
    except OSError:
        return frozenset()


def _what_it_takes(a_round: Round, found: Sequence[FanOut], span: Span) -> str:
    """How many queries, targets and requests there are, and about how long they take."""
    targets = sum(len(one.targets) for one in found)
    counts = ((len(found), "query", "queries"), (targets, "target", "targets"))
    text = ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)
    return f"{text}, {request_count(found, span)} requests, {_about_how_long(a_round, found, span)}"


def _about_how_long(a_round: Round, found: Sequence[FanOut], span: Span) -> str:
    """How long the requests take, by those that were made to find the targets and by the limits of each source."""
    took = [exchange.seconds for asked in a_round.asked for exchange in asked.exchanges]
    if not took:
        return "duration unknown"
    longest = 0.0
    for source in a_round.plan.sources:
        count = request_count([one for one in found if one.course.source == source], span)
        seconds = count * sum(took) / len(took) / source.concurrency
        if (limit := source.rate_limit) is not None:
            seconds = max(seconds, count / limit.requests * limit.per.total_seconds())
        longest = max(longest, seconds)
    text = f"about {duration_text(max(1, round(longest)))}"
    return f"{text}; --query and --step make it shorter" if longest > _LONG_SECONDS else text


def _write(history: History, output: Path, labels: Mapping[str, str]) -> Written:
    """The file, whole or not at all."""
    with atomic_file(output) as file:
        return history.write(file, labels)


def _tell(output: Path, span: Span, written: Written, now: float, *, ends_by_itself: bool) -> None:
    """What was written, and what to do with it when."""
    click.echo(f"Written: {output} ({written.families} families, {written.series} series, {written.samples} samples)")
    click.echo(
        f"Next:    promtool tsdb create-blocks-from openmetrics {output} DATA   # Prometheus' --storage.tsdb.path"
    )
    if (safe_at := _leaves_head_at(span.end)) > now:
        click.echo(f"         not before {_utc(safe_at)}: until then a running Prometheus holds this time in memory")
    if ends_by_itself:
        click.echo(f"Later:   after {_utc(_leaves_head_at(now))}, for the time until Prometheus' first own sample:")
        click.echo(f"         the same with --from={_utc(span.end)} --to=THE TIME OF THAT SAMPLE")


def _leaves_head_at(at: float) -> float:
    """When Prometheus no longer holds that time in its head block, but in a block of its own."""
    return -(-at // _BLOCK_SECONDS) * _BLOCK_SECONDS + _HEAD_SECONDS


def _tell_failures(progress: Progress) -> None:
    """What could not be had; then the exit code is 1."""
    for (query, what), count in sorted(progress.failures.items()):
        click.echo(f"error: {query}: {count} times {what}", err=True)
    if progress.failures:
        click.echo("the file is without these; to leave such queries out, give --query and --force", err=True)
        raise click.exceptions.Exit(1)


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
