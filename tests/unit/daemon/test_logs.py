"""Log lines: one for each event, in two styles, and never with a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from exporter.daemon.logs import configure_logging
from exporter.model.secret import remember
from tests.support.logs import kept_logging


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Leaves logging as it was before each test."""
    with kept_logging():
        yield


class Broken(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def lines(level: str, style: str, *hidden: str, **fields: object) -> list[str]:
    """What is written for one event at each level."""
    stream = io.StringIO()
    for text in hidden:
        remember(text)
    configure_logging(level, style, stream)
    log = structlog.get_logger()
    for say in (log.debug, log.info, log.warning, log.error):
        say("the poll failed", **fields)
    return stream.getvalue().splitlines()


def test_a_line_of_logfmt_has_time_level_and_message_first() -> None:
    """Lines can be read by people and by `logfmt` parsers."""
    (line,) = lines("error", "logfmt", query="traffic", reason="timeout")
    time, rest = line.split(" ", 1)
    assert time.startswith("ts=20")
    assert time.endswith("Z")
    assert rest == 'level=error msg="the poll failed" query=traffic reason=timeout'


def test_a_line_of_json_is_one_object() -> None:
    """Each line is a JSON object with the same fields."""
    (line,) = lines("error", "json", query="traffic", detail='a "quote"\nand a line')
    found = json.loads(line)
    assert found.pop("ts").endswith("Z")
    assert found == {
        "level": "error", "msg": "the poll failed", "query": "traffic", "detail": 'a "quote"\nand a line'
    }  # fmt: skip


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
def test_the_level_decides_what_is_written(level: str, count: int) -> None:
    """`--log.level` has Prometheus' words."""
    assert len(lines(level, "logfmt")) == count


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_secrets_are_hidden_wherever_they_would_be_printed(style: str) -> None:
    """Even if a secret gets into an event, it does not get into the log."""
    (line,) = lines(
        "error", style, "hunter2-hunter2", "pass word", detail="x hunter2-hunter2 pass word y", url="pass word"
    )
    assert "hunter2" not in line
    assert "pass word" not in line
    assert "x <secret> <secret> y" in line


def test_an_event_is_one_line() -> None:
    """A line end in a field cannot forge a second line."""
    assert len(lines("error", "logfmt", detail="one\nlevel=info msg=forged")) == 1


def test_very_short_secrets_do_not_make_lines_unreadable() -> None:
    """A secret of three letters or less is not searched for."""
    assert "traffic" in lines("error", "logfmt", "a", "", query="traffic")[0]


def test_a_log_that_nobody_reads_ends_nothing() -> None:
    """A closed pipe behind standard error does not end the polling."""
    configure_logging("info", "logfmt", Broken())
    structlog.get_logger().error("x")


def test_the_libraries_write_no_lines_of_their_own(capfd: pytest.CaptureFixture[str]) -> None:
    """httpx and uvicorn do not write a second, unhidden log."""
    configure_logging("debug", "logfmt", io.StringIO())
    logging.getLogger("httpx").error("token=hunter2")
    assert capfd.readouterr() == ("", "")
