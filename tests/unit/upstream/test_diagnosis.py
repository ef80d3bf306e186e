"""What a server itself says of a refusal, in one clean line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.secret import Secret
from exporter.upstream.diagnosis import MAX_WORDS, challenge, clean_line, object_in, server_words
from exporter.upstream.memory import BIG_BYTES
from exporter.upstream.transport import WireResponse
from tests.support.effort import least_seconds


def words(body: object, challenge_text: str = "") -> str:
    """What is shown of a refusal with this body."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server_words(WireResponse(401, {"www-authenticate": challenge_text} if challenge_text else {}, text))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"error": "invalid_client", "error_description": "Unknown id."}, "invalid_client: Unknown id."),
        (
            {"fault": {"code": 900901, "message": "Invalid Credentials", "description": "Log in."}},
            "900901: Invalid Credentials: Log in.",
        ),
        ({"error": {"message": "No such app", "code": "E7"}}, "E7: No such app"),
        ({"title": "Forbidden", "detail": "Ask for a subscription."}, "Forbidden: Ask for a subscription."),
        ({"message": "same", "description": "same"}, "same"),
        ({"message": " two\r\nlines\x1b[31m "}, "two lines [31m"),
        ({"code": True, "message": "no"}, "no"),
        ({"code": 0, "message": "no"}, "no"),
        ({"message": ["a"], "other": "b"}, ""),
        (["a"], ""),
        (b"<html>sorry</html>", ""),
        (b"\xef\xbb\xbf" + b'{"message": "marked"}', "marked"),
        (b"\xff", ""),
        (b"[" * 5000, ""),
        (b"", ""),
    ],
)
def test_the_body_says_what_is_wrong(body: object, shown: str) -> None:
    """OAuth 2.0, WSO2's faults, RFC 9457 and relatives; a page says nothing."""
    assert words(body) == shown


def test_a_challenge_says_it_where_the_body_does_not() -> None:
    """RFC 6750 section 3."""
    text = 'Bearer realm="x", error="invalid_token", error_description="It has \\"ended\\""'
    assert words(b"", text) == 'invalid_token: It has "ended"'
    assert words({"error": "invalid_token"}, text) == 'invalid_token: It has "ended"'


def test_of_a_parameter_the_first_counts() -> None:
    """Names have no case, and values may be without quotes."""
    assert challenge({"www-authenticate": "Bearer Scope=a, scope=b, error = invalid_token"}) == {
        "scope": "a",
        "error": "invalid_token",
    }
    assert not challenge({})


@pytest.mark.parametrize("part", ["a", "a ", "a=", 'a="', '\\"', 'a="\\', "a=  ", '"'])
def test_a_hostile_challenge_is_read_in_time(part: str) -> None:
    """Names without a value, and quotes without an end, are looked at once, and not from each of their characters."""

    def seconds(length: int) -> float:
        header = {"www-authenticate": part * (length // len(part))}
        return least_seconds(lambda: challenge(header))

    assert seconds(8000) < 10 * seconds(2000)  # a look from each character would take sixteen times as long


def test_a_value_without_an_end_goes_to_the_end() -> None:
    """A server that forgets a quote still says what is wrong."""
    assert challenge({"www-authenticate": 'Bearer error="invalid_token, x=1'}) == {"error": "invalid_token, x=1"}


def test_no_part_of_a_credential_is_left_of_a_long_challenge() -> None:
    """Neither where it is cut, nor where it is too long to be read."""
    secret = Secret(inline="a-credential-of-the-test").reveal()
    for before in range(1900, 2100, 7):
        text = f'Bearer error="{"x" * before}{secret}", error_description="y"'
        assert secret[:4] not in str(challenge({"www-authenticate": text}))
    assert challenge({"www-authenticate": f'Bearer error="{"x" * 10_000}{secret}"'}) == {}


def test_a_long_body_is_not_read() -> None:
    """A refusal of many megabytes is a page or an attack."""
    assert words({"message": "x" * BIG_BYTES}) == ""


@given(st.text())
def test_a_line_is_one_line_whatever_it_was(text: str) -> None:
    """Printable, without spaces at its ends, and short."""
    line = clean_line(text)
    assert line.isprintable()
    assert line == line.strip()
    assert len(line) <= MAX_WORDS


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_nothing(body: bytes) -> None:
    """No body makes an error."""
    found = object_in(body)
    assert found is None or isinstance(found, dict)
