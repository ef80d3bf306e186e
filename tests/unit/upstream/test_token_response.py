"""What a token endpoint can answer, and what becomes of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from exporter.model.errors import Reason, TokenFailure
from exporter.upstream.token_response import read_token
from exporter.upstream.transport import WireResponse

DATE = "Tue, 24 Nov 2026 00:00:00 GMT"
DATE_TIME = 1795478400


def answer(content: Any, status: int = 200, **headers: str) -> WireResponse:
    """A token endpoint's answer."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireResponse(status, {"content-type": "application/json", "date": DATE, **named}, body)


def token(**fields: Any) -> dict[str, Any]:
    """A good answer with these fields changed; None takes one away."""
    return {
        name: value
        for name, value in {"access_token": "test-token", "token_type": "Bearer", "expires_in": 60, **fields}.items()
        if value is not ...
    }


def jwt(**claims: Any) -> str:
    """An unsigned JWT with these claims."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.x"


@pytest.mark.parametrize(
    ("fields", "lifetime"),
    [
        ({}, 60),
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3600.0}, 3600),
        ({"expires_in": 10**12}, 86400),
        ({"expires_in": ...}, 300),
        ({"expires_in": None}, 300),
        ({"expires_in": ..., "access_token": jwt(exp=DATE_TIME + 40)}, 40),
        ({"access_token": jwt(exp=DATE_TIME + 40)}, 40),
        ({"access_token": jwt(exp=DATE_TIME + 400)}, 60),
        ({"access_token": "not.a.jwt"}, 60),
        ({"access_token": jwt(exp="soon")}, 60),
        ({"token_type": "BEARER"}, 60),
        ({"token_type": ...}, 60),
    ],
)
def test_good_answers_have_a_lifetime(fields: dict[str, Any], lifetime: float) -> None:
    """The lifetime is the earlier of `expires_in` and the token's own `exp`; a day at most, 300 s without both."""
    assert read_token(answer(token(**fields)), 0.0).lifetime_seconds == lifetime


def test_a_lifetime_that_the_token_contradicts_is_noted() -> None:
    """`expires_in` and `exp` that differ are a mismatch, which a metric shows."""
    assert read_token(answer(token(access_token=jwt(exp=DATE_TIME + 30))), 0.0).mismatch
    assert not read_token(answer(token(access_token=jwt(exp=DATE_TIME + 61))), 0.0).mismatch


@pytest.mark.parametrize(
    ("response", "reason", "permanent"),
    [
        (answer(token(access_token="")), Reason.BAD_TOKEN, False),
        (answer(token(access_token=None)), Reason.BAD_TOKEN, False),
        (answer(token(access_token=7)), Reason.BAD_TOKEN, False),
        (answer(token(access_token="x" * 10**6)), Reason.BAD_TOKEN, False),
        (answer(token(access_token="a\r\nb: c")), Reason.BAD_TOKEN, False),
        (answer(token(access_token="ä")), Reason.BAD_TOKEN, False),
        (answer(token(access_token=jwt(exp=DATE_TIME - 1))), Reason.BAD_TOKEN, False),
        (answer(token(expires_in=0)), Reason.BAD_TOKEN, False),
        (answer(token(expires_in=-1)), Reason.BAD_TOKEN, False),
        (answer(token(expires_in="abc")), Reason.BAD_TOKEN, False),
        (answer(token(token_type="mac")), Reason.TOKEN_TYPE, False),
        (answer({"error": "invalid_scope"}), Reason.OAUTH_ERROR, True),
        (answer({"error": "temporarily_unavailable"}), Reason.OAUTH_ERROR, False),
        (answer({"error": "invalid_client"}, 401), Reason.INVALID_CLIENT, True),
        (answer({"error": "invalid_client"}, 400), Reason.INVALID_CLIENT, True),
        (answer(b"<html>", content_type="text/html"), Reason.CONTENT_TYPE, False),
        (answer(b"{"), Reason.JSON, False),
        (answer([]), Reason.JSON, False),
        (answer(b"", 503), Reason.HTTP_5XX, False),
        (answer(b"", 429), Reason.HTTP_429, False),
        (answer(b"", 404), Reason.HTTP_4XX, False),
    ],
)
def test_bad_answers_have_a_reason(response: WireResponse, reason: Reason, permanent: bool) -> None:
    """Whatever is wrong with an answer has its own word; only OAuth's own permanent errors are not retried soon."""
    with pytest.raises(TokenFailure) as caught:
        read_token(response, 0.0)
    assert (caught.value.reason, caught.value.permanent) == (reason, permanent)
    assert "test-token" not in caught.value.detail


WORDS = {
    "description": (
        answer({"error": "invalid_scope", "error_description": "no scope a"}, 400),
        "invalid_scope: no scope a",
    ),
    "an error of its own": (answer({"error": "E42", "error_description": "no"}, 400), "E42: no"),
    "with 200": (
        answer({"error": "server_error", "error_description": "down\x1b[31m\nnow"}),
        "server_error: down [31m now",
    ),
    "with 503": (answer({"error": "temporarily_unavailable"}, 503), "answered 503: temporarily_unavailable"),
    "a gateway": (answer({"fault": {"code": 900801, "description": "too much"}}, 429), "to wait: 900801: too much"),
    "a page": (answer(b"<h1>No</h1>", 400, content_type="text/html"), "the token endpoint answered 400"),
    "a long one": (answer({"error": "x", "error_description": "y" * 10**5}, 400), "x: " + "y" * 197),
}


@pytest.mark.parametrize(("response", "words"), WORDS.values(), ids=WORDS.keys())
def test_the_server_says_what_is_wrong(response: WireResponse, words: str) -> None:
    """Row 90: its own words are the end of the failure's text, in one line of at most 200 characters."""
    with pytest.raises(TokenFailure) as caught:
        read_token(response, 0.0)
    assert caught.value.detail.endswith(words)
