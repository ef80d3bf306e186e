"""Whether all is well, and what is not: what a person reads first."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from exporter.web.view import QueryView, SourceView, View


class Trouble(Struct, frozen=True):
    """One cause, with the queries that it stops. `source` is None where the cause is in the query itself."""

    source: SourceView | None
    queries: tuple[QueryView, ...]
    problem: str
    remedy: str

    @property
    def success_time(self) -> float | None:
        """When the last of them worked last; None if one of them never did."""
        times = [query.success_time for query in self.queries]
        return max((time for time in times if time is not None), default=None) if all(times) else None

    @property
    def series(self) -> int:
        """How many of their series are still published."""
        return sum(query.series for query in self.queries)


class Verdict(Struct, frozen=True):
    """The answer in a word (`well`, `waiting` or `failing`), in a sentence, and what is wrong."""

    mark: str
    headline: str
    troubles: tuple[Trouble, ...]


def verdict(view: View) -> Verdict:
    """What the page says at its head. A failure outweighs a pause, and a pause a query that was not polled yet."""
    failing = [query for query in view.queries if query.up is False]
    untried = sum(query.up is None for query in view.queries)
    bad = [source for source in view.sources if not source.well and source.problem]
    paused = [source.name for source in view.sources if source.paused_until_time is not None]
    troubles = tuple(_troubles(bad, failing))
    if failing:
        return Verdict("failing", _count(len(failing), len(view.queries), "fails", "fail"), troubles)
    if bad:
        return Verdict("failing", f"No access token for {_names([source.name for source in bad])}", troubles)
    if paused:
        return Verdict("waiting", f"{_names(paused)} asked for a pause", ())
    if untried:
        return Verdict("waiting", _count(untried, len(view.queries), "is not polled yet", "are not polled yet"), ())
    return Verdict("well", "All is well", ())


def _troubles(bad: list[SourceView], failing: list[QueryView]) -> Iterator[Trouble]:
    """Sources without a token, with the queries that need it; then the other failing queries, those with the same
    problem on the same source together."""
    rest = failing
    for source in bad:
        stopped = tuple(query for query in rest if _is_for_the_token(query, source))
        rest = [query for query in rest if query not in stopped]
        yield Trouble(source, stopped, source.problem, source.remedy)
    groups: dict[tuple[str, str], list[QueryView]] = {}
    for query in rest:
        groups.setdefault((query.source, query.problem), []).append(query)
    for (_, problem), queries in groups.items():
        yield Trouble(None, tuple(queries), problem, queries[0].remedy)


def _is_for_the_token(query: QueryView, source: SourceView) -> bool:
    return query.source == source.name and (query.problem == source.problem or query.problem.startswith("token: "))


def _count(part: int, whole: int, one: str, many: str) -> str:
    if part == whole:
        return f"The query {one}" if whole == 1 else f"All {whole} queries {many}"
    return f"{part} of {whole} queries {one if part == 1 else many}"


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
