"""Small charts of the last polls."""

from __future__ import annotations

from xml.etree import ElementTree

from exporter.telemetry.recent_polls import RecentPoll
from exporter.web.sparkline import sparkline


def bars(svg: str) -> dict[str, list[str]]:
    """The bars of each kind of path, the oldest first."""
    root = ElementTree.fromstring(svg)
    return {path.get("class", ""): path.get("d", "").split("M")[1:] for path in root.findall("path")}


def test_the_longest_poll_has_the_highest_bar() -> None:
    """Bars are as high as the polls were long, but never invisible; the newest is on the right."""
    polls = [RecentPoll(seconds, failed=False) for seconds in (1.0, 2.0, 0.001)]
    assert bars(sparkline(polls, "")) == {"": ["1 16v-8", "4 16v-16", "7 16v-1"]}


def test_a_failed_poll_differs_in_more_than_colour() -> None:
    """Its bar goes below the line of the others."""
    polls = [RecentPoll(2.0, failed=False), RecentPoll(1.0, failed=True)]
    assert bars(sparkline(polls, "")) == {"": ["1 16v-16"], "failed": ["4 20v-12"]}


def test_polls_that_took_no_time_are_drawn() -> None:
    """Nothing is divided by zero."""
    assert bars(sparkline([RecentPoll(0.0, failed=False)] * 2, "")) == {"": ["1 16v-1", "4 16v-1"]}


def test_words_say_the_same() -> None:
    """A screen reader reads the title as the name of the image, whatever is in it."""
    svg = sparkline([RecentPoll(1.0, failed=False)], "<b> & more")
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.findtext("title") == "<b> & more"
