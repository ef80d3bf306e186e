"""`Config` to `Plan`, in two passes: what the queries want of each other, then the plans. Every problem at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeVar

from msgspec.structs import replace

from exporter.config.load import Loaded
from exporter.model.background import give_way
from exporter.model.errors import ConfigError, in_file_order
from exporter.plan.documents import check_source_labels, parse_queries
from exporter.plan.families import agree_on_families, families_of
from exporter.plan.findings import Findings
from exporter.plan.for_each import find_feeders, in_order
from exporter.plan.labels import Labels, check_lookups, lookup_plans, used_lookups
from exporter.plan.metrics import Metrics
from exporter.plan.plan import Plan
from exporter.plan.queries import check_query, query_plan
from exporter.plan.references import has_unused_window, reference_problems
from exporter.plan.shared_tokens import warn_of_one_token
from exporter.plan.variables import variable_problems
from exporter.plan.wants import wants

_Each = TypeVar("_Each")


def plan(loaded: Loaded) -> Plan:
    """The plan of a configuration. Raises `ConfigError` with every problem of the file and of its meaning."""
    findings = Findings(loaded.places)
    made = _plan(loaded, findings)
    problems = (*loaded.problems, *findings.problems)
    if problems or made is None:  # each once: one of a query's labels is found with each of its metrics
        raise ConfigError(in_file_order(problems))
    return made


def _plan(loaded: Loaded, findings: Findings) -> Plan | None:
    """The plan; none where something is wrong."""
    check_source_labels(loaded, findings)
    warn_of_one_token(loaded, findings)
    _check_limits(loaded, findings)
    queries = parse_queries(loaded, findings)
    feeders = find_feeders(loaded, queries, findings)
    order = in_order(queries, feeders, findings)
    wanted = wants(order, feeders, loaded.config.lookups)
    lookups = lookup_plans(loaded, queries, findings)
    for parsed in reversed(order):
        findings.extend(reference_problems(parsed, feeders, wanted.carried[parsed.query.name]))
    for parsed in order:
        give_way()
        findings.extend(variable_problems(parsed, feeders))
        check_lookups(parsed, lookups, queries, findings)
        if has_unused_window(parsed):
            wrong = "no variable has its start or end, so the API answers for other times than these"
            remedy = "write {{ window.start }} or {{ window.end }} in variables, or leave out window"
            findings.warn((*parsed.place, "window"), wrong, remedy)
    metrics = Metrics(loaded, queries, Labels(loaded, lookups, findings), findings)
    planned = [(parsed, metrics.of_query(parsed)) for parsed in _in_turns(order)]
    families = agree_on_families(chain.from_iterable(map(families_of, order)), findings)
    if loaded.problems or findings.problems:
        for parsed in order:
            check_query(parsed, findings)
        return None
    ready = (
        query_plan(
            parsed,
            metrics=tuple(replace(metric, family=families[metric.family.name]) for metric in found.values()),
            lookups=used_lookups(parsed, lookups),
            wants=wanted,
            findings=findings,
            publishes_created=loaded.config.created_series,
        )
        for parsed, found in _in_turns(planned)
    )
    config = loaded.config
    made = tuple(ready)
    return Plan(
        config.sources,
        made,
        tuple(families[name] for name in sorted(families)),
        config.max_series,
        in_file_order((*loaded.warnings, *findings.warnings)),
        in_file_order(findings.unproved),
        loaded.files,
        loaded.file_patterns,
        loaded.target_patterns,
    )


def _in_turns(each: Iterable[_Each]) -> Iterator[_Each]:
    """The same, where the event loop goes first between them, if one waits for the plan."""
    for one in each:
        give_way()
        yield one


def _check_limits(loaded: Loaded, findings: Findings) -> None:
    """Warns of a query whose limit is above that of all queries, or whose values are dropped between two polls."""
    config = loaded.config
    for place, query in zip(loaded.places_of("queries"), config.queries, strict=True):
        if "max_series" in query.model_fields_set and query.max_series > config.max_series:
            wrong = f"all queries together publish at most {config.max_series} series"
            findings.warn((*place, "max_series"), wrong, "write no more here, or a greater max_series for all")
        times = ("stale_after", "interval")
        if query.stale_after is not None and query.stale_after <= query.interval and not loaded.lacks(place, *times):
            wrong = "is not longer than interval, so series vanish before each poll"
            findings.warn((*place, "stale_after"), wrong, "write two intervals or more")
