"""Targets in packs: who is polled with whom, and when."""

from __future__ import annotations

import asyncio

from exporter.plan.plan import Target
from exporter.polling.due import FanOut, Member, PackSize, into_packs


def targets(*keys: str) -> tuple[Target, ...]:
    return tuple(Target({"id": key}, key) for key in keys)


def test_packs_are_as_few_as_can_be() -> None:
    """Each target is in one, also after many are gone and where packs have become smaller."""
    packs = into_packs([], list(range(10)), 4)
    assert packs == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    fewer = into_packs(packs, [1, 4, 5, 8, 9], 4)
    assert sum(map(bool, fewer)) == 2
    assert sorted(item for pack in fewer for item in pack) == [1, 4, 5, 8, 9]
    smaller = into_packs(fewer, [1, 4, 5, 8, 9], 2)
    assert sorted(len(pack) for pack in smaller if pack) == [1, 2, 2]


def test_who_stays_is_not_moved_without_need() -> None:
    """One target that goes and one that comes leave the others in the packs that they were in."""
    groups = into_packs([], list(range(100)), 25)
    later = into_packs(groups, [*range(1, 100), 100], 25)
    assert [set(group) for group in later] == [{*range(1, 25), 100}, *map(set, groups[1:])]


def test_new_targets_are_due_at_once_and_others_when_they_were() -> None:
    """A target that comes is polled at once; that is no reason to poll the others of its pack again."""
    fan_out = FanOut(3)
    first, second, third = targets("a", "b", "c")
    (pack,) = fan_out.regroup((first, second), 100.0).begun
    assert list(fan_out.take_due(pack, 100.0)) == [first, second]
    assert not fan_out.take_due(pack, 100.0)  # both are being polled
    for target in (first, second):
        fan_out.members[target].due_at = 160.0
    fan_out.give_back(pack, (first, second), 101.0)
    assert not fan_out.regroup((first, second, third), 110.0).begun
    assert list(fan_out.take_due(pack, 110.0)) == [third]
    assert list(fan_out.take_due(pack, 160.0)) == [first, second]


def test_the_next_poll_is_never_in_the_past() -> None:
    """What is overdue is polled in 0 seconds, and while all targets are being polled there is no next poll."""
    fan_out = FanOut(3)
    (pack,) = fan_out.regroup(targets("a", "b"), 100.0).begun
    assert fan_out.next_in_seconds(99.5) == 0.5
    assert fan_out.next_in_seconds(130.0) == 0.0
    fan_out.take_due(pack, 130.0)
    assert fan_out.next_in_seconds(130.0) is None


def test_a_target_whose_poll_was_given_up_is_due_again() -> None:
    """Where a pack ends while it is being polled, its targets are polled in another at once, not forgotten."""
    fan_out = FanOut(2)
    first, second, third = targets("a", "b", "c")
    one, two = fan_out.regroup((first, second, third), 0.0).begun
    since = fan_out.take_due(two, 0.0)
    regrouped = fan_out.regroup((first, third), 1.0)
    assert regrouped.gone == (second,)
    assert regrouped.ended == (two,)
    one.changed.clear()
    fan_out.give_back(two, since, 1.0)
    assert one.changed.is_set()
    assert third in fan_out.take_due(one, 1.0)


def test_a_pack_wakes_when_a_target_is_due_or_comes() -> None:
    """A pack sleeps until its next target is due, and is woken by one that comes meanwhile."""

    async def run() -> None:
        fan_out = FanOut(2)
        first, second = targets("a", "b")
        (pack,) = fan_out.regroup((first,), 0.0).begun
        pack.changed.clear()
        async with asyncio.timeout(10):
            await pack.until_due(lambda: 0.0)
            fan_out.members[first].due_at = 3600.0
            sleeping = asyncio.create_task(pack.until_due(lambda: 1.0))
            await asyncio.sleep(0)
            assert not sleeping.done()
            fan_out.regroup((first, second), 1.0)
            await sleeping

    asyncio.run(run())


def test_a_pack_sleeps_on_where_no_target_is_due() -> None:
    """A pack that has just been polled, or that a target has left, is not polled again before a target is due."""

    async def run() -> None:
        fan_out = FanOut(2)
        first, second = targets("a", "b")
        (pack,) = fan_out.regroup((first, second), 0.0).begun
        assert pack.changed.is_set()
        since = fan_out.take_due(pack, 0.0)
        for target in since:
            fan_out.members[target].due_at = 3600.0
        fan_out.give_back(pack, since, 1.0)
        sleeping = asyncio.create_task(pack.until_due(lambda: 1.0))
        await _some_turns()
        assert not sleeping.done()
        fan_out.regroup((first,), 1.0)
        assert pack.changed.is_set()
        await _some_turns()
        assert not sleeping.done()
        sleeping.cancel()

    asyncio.run(run())


async def _some_turns() -> None:
    """As many turns of the event loop as a task needs to wake, look and sleep again, and more."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_packs_shrink_at_once_and_grow_after_an_hour() -> None:
    """What the server refused is tried again rarely, twice as many at a time, up to what is configured."""
    size = PackSize(25, 25)
    assert not size.adapt(25, 0.0)
    assert size.adapt(6, 10.0)
    assert size.present == 6
    assert not size.adapt(6, 3600.0)
    at_hours = [10.0 + hour * 3600.0 for hour in range(1, 5)]
    assert [size.present for at in at_hours if size.adapt(size.present, at)] == [12, 24, 25]
    assert size.adapt(12, 20_000.0)
    assert size.present == 12


def test_what_smaller_packs_would_do_is_found_out_ever_more_rarely() -> None:
    """While a pack fails as a whole, the requests that find it out come at its 1st, 5th, 9th and 17th failure."""
    fan_out = FanOut(2)
    pair = targets("a", "b")
    (pack,) = fan_out.regroup(pair, 0.0).begun
    asked = []
    for number in range(1, 20):
        if pack.splits(pair):
            asked.append(number)
        for target in pair:
            fan_out.members[target].take_failure(0)
    assert asked == [1, 5, 9, 17]
    fan_out.members[pair[0]].take_success()
    assert pack.splits(pair)


def test_a_failure_that_cost_more_requests_is_paid_back() -> None:
    """So many polls are left out, none of them after the first failure; nothing is owed by what works."""
    member = Member(0.0)
    assert [member.take_failure(extra) for extra in (2, 0, 0, 0, 3, 0)] == [False, True, True, False, False, True]
    member.take_success()
    assert [member.take_failure(0) for _ in range(3)] == [False, False, False]


def test_all_are_tried_when_each_was_polled() -> None:
    """Who comes is not yet, and who goes does not count; each that was polled is looked at once."""
    looks: list[str] = []
    polled: set[str] = set()

    def is_tried(target: Target) -> bool:
        looks.append(target.key)
        return target.key in polled

    fan_out = FanOut(1)
    assert fan_out.are_tried(is_tried)
    first, second, third = targets("a", "b", "c")
    fan_out.regroup((first, second), 0.0)
    assert not fan_out.are_tried(is_tried)
    polled |= {"a", "b"}
    assert fan_out.are_tried(is_tried)
    looks.clear()
    assert fan_out.are_tried(is_tried)
    assert not looks
    fan_out.regroup((first, second, third), 0.0)
    assert not fan_out.are_tried(is_tried)
    fan_out.regroup((first, second), 0.0)
    assert fan_out.are_tried(is_tried)
