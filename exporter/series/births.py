"""A counter's series that begins while it is watched is published as 0 first, as Prometheus' `increase()` and `rate()`
count from one sample to the next, and would never see what a series is born with.

It is 0 for one poll, and at the next poll what it is. Never at the first poll, such as after a restart: the series may
have been there before, and its whole total would count twice. So it is not after an answer that was not whole, not
where a lookup knows other texts than before, as those make other series of the same totals, and not where a series
comes back that was away. Such a series keeps the highest value that it had in its period.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final, TypeAlias

from msgspec import Struct

from exporter.model.outcome import Names, Result
from exporter.model.samples import Family, LabelValues, Number

Counters: TypeAlias = Mapping[Family, Mapping[LabelValues, Number]]

MOST_GONE: Final = 20_000  # series that are remembered although they are away; with more, nothing is a birth


class Births(Struct, frozen=True):
    """What is remembered of the counters that were published last.

    `whole` are the families of which the answer named every series. `begun` are the series that stand as 0, with what
    they are; `ended` those that stand with their full total of the period before. `gone` are the series that answers of
    this period named, and the last one did not, with what they were; `forgot`: there were more than are remembered.
    `names` is what the lookups knew, and `lacked_names`: there was a key that they did not know.
    """

    whole: frozenset[Family] = frozenset()
    begun: Counters = {}
    ended: Counters = {}
    gone: Counters = {}
    forgot: bool = False
    names: Mapping[str, Names] = {}
    lacked_names: bool = False

    def publish(self, before: Counters, now: Counters, result: Result, *, same_period: bool) -> tuple[Births, Counters]:
        """What is remembered next, and the values to publish in place of those of `now`, where they are others.

        `before` are the counters as the last answer had them.
        """
        gone, forgot = self._gone(before, now) if same_period else ({}, False)
        begun, shown = {}, {}
        is_renamed = same_period and self._is_renamed(result)
        ended = {} if same_period else self.begun
        for family, series in now.items():
            born = set()
            if not is_renamed:
                born = self._born(family, before.get(family, {}), series, same_period=same_period)
            carried = ended.get(family, {})
            if same_period and family in self.ended:
                born |= _not_below(series, self.ended[family])
            elif not same_period:
                # A new period that has reached the old one's total already would not be seen as a reset.
                born |= _not_below(series, before.get(family, {})) | _not_below(series, self.gone.get(family, {}))
            if starting := {key: series[key] for key in born - carried.keys()}:
                begun[family] = starting
            if starting or carried:
                shown[family] = dict.fromkeys(starting, 0) | dict(carried)
        remembered = Births(
            _whole_families(now, result), begun, ended, gone, forgot, result.names, result.lookup_misses > 0
        )
        return remembered, shown

    def _is_renamed(self, result: Result) -> bool:
        """Whether a series may have other labels than before, as lookups know another text for what they had been asked
        before."""
        pairs = [(known, result.names.get(name, {})) for name, known in self.names.items()]
        changed = [(known, now) for known, now in pairs if known is not now and known != now]
        if self.lacked_names:
            return bool(changed)
        return any(now.get(key) != texts for known, now in changed for key, texts in known.items())

    def _born(
        self, family: Family, before: Mapping[LabelValues, Number], now: Mapping[LabelValues, Number], *,
        same_period: bool,
    ) -> set[LabelValues]:  # fmt: skip
        if family not in self.whole or self.forgot:
            return set()
        gone = self.gone.get(family, {}) if same_period else {}
        return {key for key in now.keys() - before.keys() if now[key] > 0 and key not in gone}

    def _gone(self, before: Counters, now: Counters) -> tuple[Counters, bool]:
        """The series of this period that are away now, at most `MOST_GONE`, and whether any was forgotten."""
        found: dict[Family, dict[LabelValues, Number]] = {}
        room, forgot = MOST_GONE, self.forgot
        for family in {**self.gone, **before}:
            present = now.get(family, {}).keys()
            away: dict[LabelValues, Number] = {}
            for known in (self.gone.get(family, {}), before.get(family, {})):
                missing = known.keys() - present
                forgot = forgot or len(missing) > room
                away |= {key: known[key] for key in islice(missing, room)}
                room = max(0, room - len(missing))
            if away:
                found[family] = away
        return found, forgot


_NO_BIRTHS: Final = Births()


def first_births(now: Counters, result: Result) -> Births:
    """What is remembered after a first poll."""
    if not now:
        return _NO_BIRTHS
    return Births(_whole_families(now, result), names=result.names, lacked_names=result.lookup_misses > 0)


def _whole_families(now: Counters, result: Result) -> frozenset[Family]:
    if result.partial or result.rows_cut or result.skipped or result.skipped_rows:
        return frozenset()
    return frozenset(family for family in now if family not in result.largest_only)


def _not_below(series: Mapping[LabelValues, Number], others: Mapping[LabelValues, Number]) -> set[LabelValues]:
    """The series of which a fall would not be seen after those others."""
    return {key for key in series.keys() & others.keys() if series[key] >= others[key] > 0}
