"""The command `verify`: what the user's own account makes of a configuration."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

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
from exporter.cli.options import config_file_option, epilog, queries_option
from exporter.cli.output import Output, show_progress
from exporter.cli.query.recording import check_place, keep_answers, recording_errors, recording_of
from exporter.cli.verify.anonymity import anonymous
from exporter.cli.verify.freshness import LEAST_QUIET_SECONDS, Freshness, freshness
from exporter.cli.verify.operations import (
    OperationReport,
    QueryReport,
    SumReport,
    Verdict,
    has_counters,
    query_report,
    sum_report,
)
from exporter.cli.verify.probing import GRANULARITIES, Probed, data_filter, probe_api
from exporter.config.source import Source
from exporter.model.clock import Clock
from exporter.model.config_files import ConfigFiles
from exporter.model.duration import duration_seconds, duration_text
from exporter.model.errors import ResultFailure
from exporter.plan.plan import Plan, QueryPlan
from exporter.polling.course import Course

_ENOUGH = 300  # requests in ten seconds: with them, one counted in the last tenth of the delay is likely among them
_SUM_WORDS = {True: "yes", False: "no", None: "not asked"}
_COLOURS = {Verdict.WORKED: "green", Verdict.EMPTY: "yellow"}


class _Findings(Struct):
    """All that was found."""

    operations: list[OperationReport] = []
    sums: list[SumReport] = []
    fresh: tuple[QueryPlan, Freshness] | None = None
    probed: Probed | None = None
    polls: tuple[Asked, ...] = ()
    time: float = 0.0
    troubles: list[str] = []


@click.command(
    short_help="Ask each query once: what works, and which delay to set.",
    epilog=epilog("verify --watch=0", "verify --query=api_traffic --watch=15m", "verify --record=recording.json"),
)
@config_file_option
@click.option("--source", "source_name", help="The source to ask; without it, the first that the queries run on.")
@queries_option
@click.option(
    "--targets",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Targets to ask a query for until one has an answer.",
)
@click.option("--watch", default="5m", show_default=True, help="How long to watch for changes; 0 for not at all.")
@click.option(
    "--max-aliases", type=click.IntRange(0), default=64, show_default=True, help="The most aliases to try; 0 for none."
)
@click.option(
    "--record", type=click.Path(path_type=Path, dir_okay=False), help="Write an anonymized recording of the answers."
)
def verify(
    config_file: ConfigFiles,
    source_name: str | None,
    names: tuple[str, ...],
    targets: int,
    watch: str,
    max_aliases: int,
    record: Path | None,
) -> None:
    """Asks each query once on your account, and reports what works, what adds up, and which delay to set.

    Exit code 1 says that an operation was refused or failed, or that totals do not add up.
    """
    try:
        watch_seconds = duration_seconds(watch)
    except ValueError as error:
        fail(f"--watch {watch}: {error}")
    if record is not None:
        with recording_errors():
            check_place(record)
    plan = plan_of(config_file)
    named = [query_of(plan, name) for name in names]
    source = _source_to_ask(plan, named, source_name)
    chosen = named or [query for query in plan.queries if source in query.sources]
    findings = run(_examine(plan, chosen, source, targets, watch_seconds, max_aliases))
    output = Output()
    _show(output, findings, source)
    if record is not None:
        output.line(f"\n{_record(record, findings, plan, source)}")
    if not _is_well(findings):
        tell_causes(causes_of_polls(findings.polls, source))
        raise click.exceptions.Exit(1)


def _source_to_ask(plan: Plan, queries: Sequence[QueryPlan], name: str | None) -> Source:
    """The source of that name, or the first, that all these queries run on. Ends the command where there is none."""
    fitting = [one for one in plan.sources if all(one in query.sources for query in queries)]
    if name is None and fitting:
        return fitting[0]
    if name is not None and (source := source_of(plan.sources, name)) in fitting:
        return source
    where = f"the source {name} has not all of these queries" if name else "no source has all of these queries"
    runs = "; ".join(f"{query.name} runs on {', '.join(one.name for one in query.sources)}" for query in queries)
    return fail(f"{where}; write --source and --query for one source: {runs}")


async def _examine(
    plan: Plan, chosen: Sequence[QueryPlan], source: Source, tries: int, watch_seconds: float, most_aliases: int
) -> _Findings:
    async with upstreams_of((source,)) as upstreams:
        await token_seconds(upstreams[source.name], source)
        now = time.time()
        a_round = Round(plan, lambda *_: upstreams[source.name].client, Clock(wall=lambda: now), repeats=True)
        findings = _Findings()
        reports: list[QueryReport] = []
        with show_progress("queries") as progress:
            for number, query in enumerate(chosen):
                progress(number, len(chosen))
                reports.append(await query_report(a_round, Course(query, source), tries))
            progress(len(chosen), len(chosen))
        findings.operations = [one for report in reports for one in report.operations]
        worked = [report.asked for report in reports if report.asked is not None and report.has_result]
        counting = [asked for asked in worked if has_counters(asked.query)]
        findings.sums = [await sum_report(a_round, asked, now) for asked in counting]
        if counting and watch_seconds:
            await _watch(a_round, counting[0], watch_seconds, findings)
        known = data_filter(worked)
        if source.schema_ == "choreo" and most_aliases and known is not None:
            findings.probed = await probe_api(a_round, *known, now, most_aliases)
        findings.polls, findings.time = a_round.asked, now
        return findings


async def _watch(a_round: Round, asked: Asked, seconds: float, findings: _Findings) -> None:
    with show_progress("seconds watched") as progress:
        try:
            findings.fresh = asked.query, await freshness(a_round, asked, seconds, progress)
        except ResultFailure as failure:
            findings.troubles.append(f"watching {asked.query.name}: {failure.reason}: {failure.detail}")


def _is_well(findings: _Findings) -> bool:
    operations = all(one.verdict in (Verdict.WORKED, Verdict.EMPTY) for one in findings.operations)
    return operations and all(one.holds for one in findings.sums) and not findings.troubles


def _show(output: Output, findings: _Findings, source: Source) -> None:
    # what stands under several aliases is told once
    operations = list({(o.query, o.operation, o.verdict, o.detail): o for o in findings.operations}.values())
    rows = [[one.query, one.operation, one.verdict.value, f"{one.seconds:.3f}", one.detail] for one in operations]
    colours = [_COLOURS.get(one.verdict, "red") for one in operations]
    output.table("Operations", ["query", "operation", "result", "seconds", ""], rows, colours, whole=True)
    for needed in dict.fromkeys(one.needs for one in operations if one.needs):
        others = dict.fromkeys(one.query for one in operations if one.needs == needed)
        output.line(f"{needed} did not work; what needs its rows was not asked: {', '.join(others)}", "yellow")
    if findings.sums:
        sums = [[one.query, _SUM_WORDS[one.holds], one.detail] for one in findings.sums]
        colours = ["green" if one.holds else "red" for one in findings.sums]
        output.table("Do two adjacent windows add up to both?", ["query", "adds up", ""], sums, colours, whole=True)
    for trouble in findings.troubles:
        output.line(trouble, "red")
    if findings.fresh is not None:
        _show_freshness(output, *findings.fresh)
    if findings.probed is not None:
        _show_probed(output, findings.probed)


def _show_freshness(output: Output, query: QueryPlan, seen: Freshness) -> None:
    output.line(f"How long do figures change? (measured with {query.name})", "bold")
    configured = duration_text(query.window.delay.total_seconds()) if query.window is not None else "none"
    if not seen.counted:
        output.line("  there was no traffic; try again when there is some", "yellow")
    elif seen.delay_seconds is None and not seen.still_changing:
        output.line(
            f"  {_what_was_seen(seen)} in the {seen.watched_seconds:.0f} s of the watch, which is too short to name a"
            f" delay; watch longer, with --watch {duration_text(max(LEAST_QUIET_SECONDS, math.ceil(2 * seen.seen)))}",
            "yellow",
        )
    elif seen.delay_seconds is None:
        output.line(
            f"  still changing {seen.seen:.0f} s after the end of a window; watch longer, with --watch", "yellow"
        )
    else:
        output.line(
            f"  the figures of a window change until {seen.before:.0f} to {seen.seen:.0f} s after its end:"
            f" set delay: {duration_text(seen.delay_seconds)} ({query.name} has {configured})"
        )
        if seen.counted < _ENOUGH:
            few = (
                f"  at most {seen.counted:g} were counted in one window, too few to see the slowest; set a longer delay"
            )
            output.line(f"{few}, or watch at a busier time", "yellow")
    for age in seen.late:
        output.line(f"  what was {duration_text(age)} old changed, too: counts come late or are corrected", "yellow")


def _what_was_seen(seen: Freshness) -> str:
    return f"the last change came {seen.seen:.0f} s after the end of a window" if seen.seen else "nothing changed"


def _show_probed(output: Output, found: Probed) -> None:
    output.line("What does the API accept?", "bold")
    taken = [name for name in GRANULARITIES if found.granularities.get(name) is not None]
    refused = [name for name in GRANULARITIES if found.granularities.get(name, "") is None]
    unasked = [name for name in GRANULARITIES if name not in found.granularities]
    parts = (("", taken), ("refused: ", refused), ("not asked: ", unasked))
    output.line("  granularities: " + "; ".join(what + ", ".join(names) for what, names in parts if names))
    if (by_itself := found.granularities.get("")) is not None:
        output.line(f"  default granularity, for two hours: {by_itself}")
    limit = f"; refused: {found.refused_aliases}" if found.refused_aliases is not None else " or more"
    aliases = f"{found.aliases}{limit}" if found.aliases or found.refused_aliases is not None else "not asked"
    output.line(f"  aliases in one operation: {aliases}")
    if found.trouble:
        output.line(f"  some requests had no answer: {found.trouble}", "yellow")


def _record(file: Path, findings: _Findings, plan: Plan, source: Source) -> str:
    """Writes the recording, and says so."""
    with recording_errors():
        is_kept = keep_answers(file, recording_of(anonymous(findings.polls, plan), findings.time))
    if not is_kept:
        return f"{file}: not written, as there is no answer to keep"
    return f"Written: {file}; try it with: insights-exporter query NAME --response={file}"
