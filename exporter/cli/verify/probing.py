"""What the Insights API takes: which granularities, and how many aliases in one operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from exporter.cli.ad_hoc import Asked, Round
from exporter.model.errors import Failure, Reason
from exporter.model.outcome import Operation, Response
from exporter.model.samples import Json
from exporter.model.window import floor, iso_text

_GRANULARITIES: Final[Mapping[str, timedelta]] = {
    "1m": timedelta(minutes=1),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
}
_SHORTEST: Final = timedelta(hours=2)
_COURSE: Final = """query ($time: TimeFilter!, $data: DataFilter!, $granularity: String) {
  found: getSuccessSummary(filter: $time, dataFilter: $data, granularity: $granularity) { granularity }
}"""
GRANULARITIES: Final = tuple(_GRANULARITIES)
_REFUSING: Final = frozenset({Reason.GRAPHQL, Reason.HTTP_4XX, Reason.TOO_LARGE})


class Probed(Struct, frozen=True):
    """What the API takes. `granularities` has for each that was asked for (none: "") what it answered with, or None
    where it refused; those without an answer are left out. `aliases` is how many it took, `refused_aliases` the least
    that it refused, if it refused any. `trouble` is why a question had no answer."""

    granularities: Mapping[str, str | None]
    aliases: int
    refused_aliases: int | None
    trouble: str = ""


def data_filter(polls: Sequence[Asked]) -> tuple[Asked, Json] | None:
    """A poll with a DataFilter that works, and the filter; none where no query has one."""
    for asked in polls:
        for exchange in asked.exchanges:
            for value in exchange.sent.variables.values():
                if isinstance(value, dict) and {"orgId", "environmentId", "tenant"} <= value.keys():
                    return asked, value
    return None


async def probe_api(a_round: Round, asked: Asked, data: Json, now: float, most_aliases: int) -> Probed:
    """What the API takes, asked with the filter of a poll that worked."""
    probe = _Probe(a_round, asked, data, floor(datetime.fromtimestamp(now, UTC), timedelta(hours=1), UTC))
    granularities: dict[str, str | None] = {}
    for name in ("", *_GRANULARITIES):
        with suppress(Failure):
            granularities[name] = await probe.granularity(name)
    aliases, refused = await probe.aliases(most_aliases)
    return Probed(granularities, aliases, refused, probe.trouble)


class _Probe:
    def __init__(self, a_round: Round, asked: Asked, data: Json, end: datetime) -> None:
        self._round = a_round
        self._asked = asked
        self._data = data
        self._end = end
        self.trouble = ""

    async def granularity(self, name: str) -> str | None:
        length = max(_SHORTEST, _GRANULARITIES.get(name, _SHORTEST))
        variables = {**self._variables(length), **({"granularity": name} if name else {})}
        answer = await self._answer(Operation(_COURSE, variables))
        if answer is None:
            return None
        found = (answer.data or {}).get("found")
        return str(found["granularity"]) if isinstance(found, dict) else name

    async def aliases(self, most: int) -> tuple[int, int | None]:
        """How many aliases were taken, and the least that were refused; as far as it is known where an answer fails."""
        taken, refused = 0, most + 1
        asked = 1
        while taken + 1 < refused:
            try:
                takes = await self._takes(asked)
            except Failure:
                return taken, refused if refused <= most else None
            if takes:
                taken = asked
            else:
                refused = asked
            asked = min(2 * taken, most) if refused > most and taken else (taken + refused) // 2
        return taken, refused if refused <= most else None

    async def _takes(self, count: int) -> bool:
        fields = " ".join(f"a{number}: getTotalTraffic(filter: $time, dataFilter: $data)" for number in range(count))
        document = f"query ($time: TimeFilter!, $data: DataFilter!) {{ {fields} }}"
        return await self._answer(Operation(document, self._variables(timedelta(minutes=1)))) is not None

    def _variables(self, length: timedelta) -> dict[str, Json]:
        return {"time": {"from": iso_text(self._end - length), "to": iso_text(self._end)}, "data": self._data}

    async def _answer(self, sent: Operation) -> Response | None:
        """The answer; None for a refusal. Raises `Failure` for what says nothing about the limit, and keeps it."""
        answer, _ = await self._round.send(self._asked.course, sent)
        if isinstance(answer, Failure):
            if answer.reason not in _REFUSING:
                self.trouble = f"{answer.reason}: {answer.detail}"
                raise answer
            return None
        return None if answer.errors else answer
