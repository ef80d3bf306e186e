"""Errors: which failures there are, and that their words are fit for a log line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.model.errors import (
    ConfigError,
    ExporterError,
    Failure,
    Problem,
    Reason,
    ResultFailure,
    SecretUnreadable,
    TokenFailure,
    UpstreamFailure,
    fault_text,
)
from exporter.model.samples import Family, MetricType, Samples


def test_reasons_can_be_label_values() -> None:
    """A reason is one lower-case word of a closed list, and is written as it stands in a label."""
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", reason.value) for reason in Reason)
    assert f"{Reason.HTTP_429}" == str(Reason.HTTP_429) == "http_429"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("c.yaml", 3, "queries[0].name", "is empty", "name it"),
            "c.yaml:3: queries[0].name: is empty; name it",
        ),
        (Problem("c.yaml", 3, "", "is no mapping"), "c.yaml:3: is no mapping"),
        (Problem("c.yaml", None, "sources", "is missing"), "c.yaml: sources: is missing"),
        (Problem("c.yaml", None, "", "cannot be read", "see its rights"), "c.yaml: cannot be read; see its rights"),
        (Problem("c.yaml", 1, "a", "cannot use a\0b"), "c.yaml:1: a: cannot use a\\0b"),
        (
            Problem("c.yaml", 1, "a", f"'{'b' * 50_000}' is no name", "write one"),
            f"c.yaml:1: a: '{'b' * 999}… (50013 characters); write one",
        ),
    ],
)
def test_a_problem_names_file_line_and_key_and_what_would_be_right(problem: Problem, text: str) -> None:
    """Each part that is known is in the line, and nothing stands for one that is not."""
    assert str(problem) == text


def test_a_configuration_error_has_every_problem_on_a_line() -> None:
    """Whoever mends a configuration sees all of its faults at once, in the order in which they are given."""
    problems = (Problem("c.yaml", 1, "a", "is odd"), Problem("c.yaml", 2, "b", "is even"))
    error = ConfigError(problems)
    assert error.problems == problems
    assert str(error).splitlines() == ["c.yaml:1: a: is odd", "c.yaml:2: b: is even"]


def test_every_failure_has_a_reason_a_detail_and_the_wish_of_the_upstream() -> None:
    """A failure's text is its detail; an upstream that says when to come again is heard."""
    for kind in (UpstreamFailure, TokenFailure, ResultFailure):
        failure = kind(Reason.HTTP_429, "too many requests", retry_after_seconds=30.0)
        assert (failure.reason, failure.detail, failure.retry_after_seconds) == (
            Reason.HTTP_429,
            "too many requests",
            30.0,
        )
        assert str(failure) == "too many requests"
        assert kind(Reason.DNS, "no such host").retry_after_seconds is None


def test_a_token_failure_is_for_a_while_unless_it_says_otherwise() -> None:
    """Only a permanent one keeps the exporter from asking again soon (RFC 6749 §5.2)."""
    assert not TokenFailure(Reason.TOKEN, "no answer").permanent
    assert TokenFailure(Reason.INVALID_CLIENT, "wrong secret", permanent=True).permanent


def test_a_secret_that_cannot_be_read_is_a_failure_of_that_reason() -> None:
    """It is told from a bad answer by its reason alone."""
    failure = SecretUnreadable("the variable TOKEN is not set")
    assert (failure.reason, str(failure)) == (Reason.SECRET, "the variable TOKEN is not set")


def test_what_is_raised_on_purpose_can_be_caught_as_such() -> None:
    """Failures are one kind, a configuration that cannot be used is another, and all have one root."""
    assert issubclass(ConfigError, ExporterError)
    assert issubclass(Failure, ExporterError)
    assert not issubclass(ConfigError, Failure)
    assert all(issubclass(kind, Failure) for kind in (UpstreamFailure, TokenFailure, SecretUnreadable, ResultFailure))


def test_a_fault_of_ours_is_its_type_and_the_place_in_the_exporter() -> None:
    """Its text may quote a secret and stays out. The place is the innermost one of ours, though others are below it."""

    class Odd(tuple[Any, ...]):
        """Labels that cannot be read."""

        def __iter__(self) -> Iterator[Any]:
            raise ValueError("hunter2")

    samples = Samples(Family("n", MetricType.GAUGE, "N.", ("a",)), Odd(("x",)), [1])
    with pytest.raises(ValueError, match="hunter2") as ours:
        samples.series  # noqa: B018 - it is read
    assert re.fullmatch(r"ValueError in Samples\.label_values \(samples\.py, line \d+\)", fault_text(ours.value))


def test_a_fault_outside_of_the_exporter_is_its_type_alone() -> None:
    """Where none of our functions is on the way, none is named."""
    with pytest.raises(ValueError, match="Expecting") as theirs:
        json.loads("{ hunter2")
    assert fault_text(theirs.value) == "JSONDecodeError"
    assert fault_text(KeyError("hunter2")) == "KeyError"
