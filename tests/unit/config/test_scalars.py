"""The scalars of a configuration: what each takes, and what it says of the rest."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.config import scalars
from exporter.config.scalars import Strict, check_name, check_url
from exporter.model.response_path import parse_path
from exporter.model.secret import Secret
from exporter.model.template import Reference

MINUTE = timedelta(minutes=1)
TAKEN: list[tuple[Any, object, object]] = [
    (scalars.Duration, "1m", MINUTE),
    (scalars.Duration, "0s", timedelta(0)),
    (scalars.Duration, MINUTE, MINUTE),
    (scalars.PositiveDuration, "1ms", timedelta(milliseconds=1)),
    (scalars.Alignment, "15m", timedelta(minutes=15)),
    (scalars.Alignment, "7d", timedelta(days=7)),
    (scalars.Count, 1, 1),
    (scalars.Count, "999999999", 999_999_999),
    (scalars.ByteCount, "32MiB", 32 * 2**20),
    (scalars.ByteCount, "8 KB", 8000),
    (scalars.ByteCount, "3GB", 3 * 10**9),
    (scalars.ByteCount, "2KiB", 2048),
    (scalars.ByteCount, "2GiB", 2 * 2**30),
    (scalars.ByteCount, "5MB", 5_000_000),
    (scalars.ByteCount, 7, 7),
    (scalars.ByteCount, "9B", 9),
    (scalars.Zone, "Asia/Colombo", ZoneInfo("Asia/Colombo")),
    (scalars.Zone, ZoneInfo("UTC"), ZoneInfo("UTC")),
    (scalars.PeriodLength, "day", "day"),
    (scalars.PeriodLength, "month", "month"),
    (scalars.PeriodLength, "6h", timedelta(hours=6)),
    (scalars.Url, "https://host:8080/path?q", "https://host:8080/path?q"),
    (scalars.Url, "http://[::1]/", "http://[::1]/"),
    (scalars.Name, "_a-b1", "_a-b1"),
    (scalars.MetricName, "a:b_1", "a:b_1"),
    (scalars.MetricName, "processes", "processes"),
    (scalars.LabelName, "_le", "_le"),
    (scalars.ReferenceName, "org_id", "org_id"),
    (scalars.Path_, "usage.count", parse_path("usage.count")),
    (scalars.Path_, parse_path("a"), parse_path("a")),
    (scalars.SecretText, "s3cret", Secret(inline="s3cret")),
    (scalars.SecretText, Secret(env="A"), Secret(env="A")),
    (scalars.SecretSource, {"env": "A"}, Secret(env="A")),
    (scalars.SecretSource, {"file": "/a"}, Secret(file=Path("/a"))),
    (scalars.SecretSource, Secret(inline="a"), Secret(inline="a")),
    (scalars.Tree, "{{ source.org }}", Reference("source.org")),
    (scalars.Tree, {"a": [1, None]}, {"a": [1, None]}),
]
NO_DURATION = "a duration is text with a unit; write 30s or 5m"
NO_COUNT = "not a count; write a whole number of 1 or more"
NO_SIZE = "not a size; write a number with a unit, such as 32MiB"
NO_URL = "not a URL; write one such as https://host/path"
NO_ZONE = "not a time zone; write an IANA name such as UTC or Asia/Colombo"
NO_PERIOD = "not a period; write day, week, month, quarter, year or a duration such as 6h"
NO_LABEL = "not a label name; use letters, digits and _, and no digit first"
NO_REFERENCE = "cannot be referred to; use letters, digits and _, and no digit first"
NO_SECRET_SOURCE = "not a secret value; write {env: NAME} or {file: PATH}"
MISALIGNED = "must divide a day without remainder (1s, 30s, 1m, 15m, 1h, 1d), or be 7d"
CREDENTIALS = "a URL must not carry a user or a password; use basic_auth"
NO_METRIC = "is not a metric name; use letters, digits, _ and :, and no digit first"
OWN = "are the exporter's own; choose another prefix"
REFUSED: list[tuple[Any, object, str]] = [
    (scalars.Duration, 60, "a duration is text with a unit; write 60s"),
    (scalars.Duration, None, NO_DURATION),
    (scalars.PositiveDuration, "0s", "must be longer than 0; write a time such as 30s"),
    (scalars.Alignment, "7m", MISALIGNED),
    (scalars.Count, 0, NO_COUNT),
    (scalars.Count, "01", NO_COUNT),
    (scalars.Count, 1.5, NO_COUNT),
    (scalars.Count, True, NO_COUNT),
    (scalars.Count, "1000000000", NO_COUNT),
    (scalars.ByteCount, "0MiB", NO_SIZE),
    (scalars.ByteCount, "5TB", NO_SIZE),
    (scalars.ByteCount, "1.5MB", NO_SIZE),
    (scalars.ByteCount, True, NO_SIZE),
    (scalars.Zone, "Asia/Nowhere", NO_ZONE),
    (scalars.Zone, "../UTC", NO_ZONE),
    (scalars.Zone, "", NO_ZONE),
    (scalars.PeriodLength, "fortnight", NO_PERIOD),
    (scalars.PeriodLength, "0s", NO_PERIOD),
    (scalars.Url, "ftp://host/", NO_URL),
    (scalars.Url, "https:///path", NO_URL),
    (scalars.Url, "https://host:0/", NO_URL),
    (scalars.Url, "https://host:99999/", NO_URL),
    (scalars.Url, "https://[::1/", NO_URL),
    (scalars.Url, "https://user@host/", CREDENTIALS),
    (scalars.Url, "https://:password@host/", CREDENTIALS),
    (scalars.Name, "1a", "'1a' is not a name; use letters, digits, _ and -, and no digit first"),
    (scalars.MetricName, "1a", f"'1a' {NO_METRIC}"),
    (scalars.MetricName, "a-b", f"'a-b' {NO_METRIC}"),
    (scalars.MetricName, "process_a", f"names that begin with process_ {OWN}"),
    (scalars.MetricName, "python_a", f"names that begin with python_ {OWN}"),
    (scalars.MetricName, "insights_exporter_a", f"names that begin with insights_exporter_ {OWN}"),
    (scalars.LabelName, "a-b", NO_LABEL),
    (scalars.LabelName, "a\n", NO_LABEL),
    *(
        (scalars.LabelName, name, f"the label {name} is reserved by Prometheus; choose another name")
        for name in ("job", "instance", "__a")
    ),
    (scalars.ReferenceName, "a-b", NO_REFERENCE),
    *(
        (scalars.ReferenceName, name, f"{name} is taken; references to the source, the window and the period use it")
        for name in ("source", "window", "period")
    ),
    (scalars.Path_, 5, "a response path is text; write one such as usage.count"),
    (scalars.SecretSource, "s3cret", NO_SECRET_SOURCE),
    (scalars.SecretSource, {"env": ""}, NO_SECRET_SOURCE),
    (scalars.SecretSource, {"file": ""}, NO_SECRET_SOURCE),
    (scalars.SecretSource, {"env": "A", "file": "/a"}, NO_SECRET_SOURCE),
]


@pytest.mark.parametrize(("kind", "written", "meant"), TAKEN)
def test_a_good_scalar_becomes_what_it_means(kind: Any, written: object, meant: object) -> None:
    """Text becomes a typed value, and a typed value stays as it is."""
    assert TypeAdapter(kind, config=scalars.Strict.model_config).validate_python(written) == meant


@pytest.mark.parametrize(("kind", "written", "said"), REFUSED)
def test_a_bad_scalar_is_refused_with_what_would_be_right(kind: Any, written: object, said: str) -> None:
    """Each rule says what is wrong and what to write."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind, config=scalars.Strict.model_config).validate_python(written)
    assert str(refused.value.errors()[0]["ctx"]["error"]) == said


@pytest.mark.parametrize("written", ["", 5, None, ["a"]])
def test_a_secret_is_text_and_never_quoted(written: object) -> None:
    """A number is not guessed to be a password, and nobody's password is empty."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(scalars.SecretText, config=scalars.Strict.model_config).validate_python(written)
    said = "must be text that is not empty; write ${NAME} to take it from the environment"
    assert str(refused.value.errors()[0]["ctx"]["error"]) == said


def test_files_stand_beside_the_configuration() -> None:
    """A relative path is one from the configuration's folder, of secrets too; an absolute one stays."""
    context = {"folder": Path("/etc/exporter")}

    def read(kind: Any, value: object) -> Any:
        return TypeAdapter(kind, config=scalars.Strict.model_config).validate_python(value, context=context)

    assert read(scalars.File, "ca.pem") == Path("/etc/exporter/ca.pem")
    assert read(scalars.File, "/ca.pem") == Path("/ca.pem")
    assert read(scalars.SecretSource, {"file": "key"}) == Secret(file=Path("/etc/exporter/key"))


def test_secrets_are_written_as_secrets() -> None:
    """A printed or dumped section shows no secret."""

    class Section(Strict):
        key: scalars.SecretText
        other: scalars.SecretSource

    section = Section.model_validate({"key": "s3cret", "other": {"env": "KEY"}})
    assert section.model_dump() == {"key": "<secret>", "other": "<secret>"}
    assert "s3cret" not in repr(section)


def test_a_section_is_frozen_and_takes_no_other_keys_and_no_infinity() -> None:
    """What a section does not know is an error, and what it knows does not change."""

    class Section(Strict):
        number: float = 0

    with pytest.raises(ValidationError, match="frozen"):
        Section().number = 1  # type: ignore[misc]  # which mypy sees, too
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Section.model_validate({"nunber": 1})
    with pytest.raises(ValidationError, match="finite") as refused:
        Section.model_validate({"number": float("inf")})
    assert "input_value" not in str(refused.value)  # it may be a secret


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://a/b\n", "https://a/b"),
        ("https://a/b\r\n", "https://a/b"),
        ("https://10.0.0.1/ä?b c", "https://10.0.0.1/ä?b c"),
        ("https://1.2.3/", "https://1.2.3/"),
        ("https://münchen.example/", "https://münchen.example/"),
        ("https://xn--mnchen-3ya.example/", "https://xn--mnchen-3ya.example/"),
        ("https://a_b/", "https://a_b/"),
    ],
)
def test_a_url_may_have_a_line_end_behind_it(url: str, taken: str) -> None:
    """As YAML leaves one behind a text of several lines."""
    assert check_url(url) == taken
    assert httpx.URL(taken).host


@pytest.mark.parametrize("url", ["https://a/\nb", "https://a/\tb", "\nhttps://a/", "https://a/ ", "https://a/\x7f"])
def test_a_url_that_is_sent_in_another_way_is_refused(url: str) -> None:
    """Who sends it would refuse or encode what stands there."""
    with pytest.raises(ValueError, match="write it in one line"):
        check_url(url)


@pytest.mark.parametrize("host", ["müller_proxy", "ä" * 70, "☃.example", "ä..example", "xn--a", "xn--zz--"])
def test_a_host_that_cannot_be_sent_is_refused(host: str) -> None:
    """It would fail each poll, or the start: `httpx` refuses it."""
    with pytest.raises(ValueError, match=r"\(IDNA\); write one such as"):
        check_url(f"https://{host}/")
    with pytest.raises((httpx.InvalidURL, ValueError)):
        assert httpx.URL(f"https://{host}/").host


def test_names_and_urls_of_flags_follow_the_same_rules() -> None:
    """Other modules check names and URLs by the same functions."""
    assert check_name("a-b") == "a-b"
    assert check_url("http://a/") == "http://a/"
    with pytest.raises(ValueError, match="not a name"):
        check_name("a b")
    with pytest.raises(ValueError, match="not a URL"):
        check_url("a")
