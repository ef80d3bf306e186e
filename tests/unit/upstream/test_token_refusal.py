"""Which answers say that the API does not know the access token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.config.source import INVALID_TOKEN_CODES
from exporter.upstream.token_refusal import TokenRefusal
from exporter.upstream.transport import WireResponse


def answered(content: Any, status: int = 200, **headers: str) -> WireResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireResponse(status, named, json.dumps(content).encode())


def errors(**error: Any) -> dict[str, Any]:
    return {"errors": [{"message": "no", **error}]}


REFUSALS = {
    "401": answered({}, 401),
    "code": answered(errors(extensions={"code": "UNAUTHENTICATED"})),
    "code in small letters": answered(errors(extensions={"code": "invalid-jwt"})),
    "classification": answered(errors(extensions={"classification": "UNAUTHORIZED"})),
    "a number": answered(errors(extensions={"code": 401})),
    "statusCode": answered(errors(extensions={"statusCode": 401})),
    "of the error itself": answered(errors(type="Unauthenticated")),
    "second error": answered({"errors": [{"message": "x"}, {"extensions": {"code": "TOKEN_EXPIRED"}}]}),
    "data null": answered({"data": None, **errors(extensions={"code": "UNAUTHENTICATED"})}),
    "each field null": answered({"data": {"a": None, "b": None}, **errors(extensions={"code": "UNAUTHENTICATED"})}),
    "a challenge": answered("no", 403, www_authenticate='Bearer realm="x", error="invalid_token"'),
    "a challenge with 400": answered("no", 400, www_authenticate="Bearer error=invalid_token"),
    "OAuth's error": answered({"error": "invalid_token"}, 403),
    "a gateway's fault": answered({"fault": {"code": 900901}}, 403),
    "a gateway's code": answered({"code": "900904", "message": "Access token inactive"}),
}
OTHERS = {
    "good": answered({"data": {"a": 1}}),
    "403": answered({}, 403),
    "rights": answered(errors(extensions={"code": "FORBIDDEN"})),
    "scope": answered("no", 403, www_authenticate='Bearer error="insufficient_scope", scope="invalid_token"'),
    "subscription": answered({"fault": {"code": 900908}}, 403),
    "one field of several": answered({"data": {"a": None, "b": 1}, **errors(extensions={"code": "UNAUTHENTICATED"})}),
    "in the data": answered({"data": {"errors": [{"extensions": {"code": "UNAUTHENTICATED"}}]}}),
    "in the message": answered({"errors": [{"message": "UNAUTHENTICATED"}]}),
    "errors of another shape": answered({"errors": "UNAUTHENTICATED"}),
    "error null": answered({"data": None, "errors": None, "error": None}),
}


@pytest.mark.parametrize("response", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refused_token_is_known_in_every_dialect(response: WireResponse) -> None:
    """Row 85: as status 401 says it, so do codes, challenges and gateways."""
    assert TokenRefusal(INVALID_TOKEN_CODES).is_in(response)


@pytest.mark.parametrize("response", OTHERS.values(), ids=OTHERS.keys())
def test_other_refusals_cost_no_token(response: WireResponse) -> None:
    """Rights, subscriptions and single fields are not the token's fault."""
    assert not TokenRefusal(INVALID_TOKEN_CODES).is_in(response)


def test_a_source_can_have_codes_of_its_own() -> None:
    """A list replaces the default; case and punctuation do not matter."""
    own = TokenRefusal(["E-Session_Gone"])
    assert own.is_in(answered(errors(extensions={"code": "e_session_gone"})))
    assert not own.is_in(answered(errors(extensions={"code": "UNAUTHENTICATED"})))
    assert own.is_in(answered({}, 401))
