"""What a token endpoint's answer grants (RFC 6749 §5): a pure function of the answer."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass, field
from typing import Final

from exporter.model.errors import Reason, TokenFailure
from exporter.upstream.diagnosis import json_object, object_in, server_words
from exporter.upstream.limits import header_limits
from exporter.upstream.retry_after import http_date
from exporter.upstream.transport import WireResponse

MAX_LIFETIME_SECONDS: Final = 86_400.0
DEFAULT_LIFETIME_SECONDS: Final = 300.0
_MAX_TOKEN_LENGTH: Final = 64 * 1024
_ALLOWED_MISMATCH_SECONDS: Final = 5.0
_PERMANENT_ERRORS: Final = frozenset(  # RFC 6749 §5.2, RFC 8707 §2
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token endpoint granted."""

    text: str = field(repr=False)
    lifetime_seconds: float
    mismatch: bool


def read_token(response: WireResponse, wall_time: float) -> Granted:
    """The token of an answer (RFC 6749 §5.1). `wall_time` stands in for a missing `Date`. Raises `TokenFailure`, with
    the wait that the answer asks for."""
    try:
        return _read_grant(response, wall_time)
    except TokenFailure as failure:
        failure.retry_after_seconds = header_limits(response.status, response.headers).wait_seconds
        raise


def revocation_failure(response: WireResponse) -> TokenFailure | None:
    """Why an answer does not confirm a revocation (RFC 7009 §2.2); None where it does."""
    if response.status == 200:
        return None
    try:
        _check_status(response, "revocation")
    except TokenFailure as failure:
        return failure
    return TokenFailure(Reason.OAUTH_ERROR, f"the revocation endpoint answered {response.status}")


def _read_grant(response: WireResponse, wall_time: float) -> Granted:
    _check_status(response)
    if not response.is_json:
        raise TokenFailure(Reason.CONTENT_TYPE, "the token endpoint did not answer with JSON")
    answer = object_in(response.body)
    if answer is None:
        raise TokenFailure(Reason.JSON, "the token endpoint's answer is not a JSON object")
    if answer.get("error"):  # some servers send it beside a token, as null or empty
        raise _oauth_failure(answer["error"], server_words(response))
    text = answer.get("access_token")
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_TOKEN_LENGTH:
        raise TokenFailure(Reason.BAD_TOKEN, "the answer has no usable access_token")
    if not re.fullmatch(r"[!-~]+", text):
        raise TokenFailure(Reason.BAD_TOKEN, "the access_token has characters that a header cannot contain")
    kind = answer.get("token_type")
    if kind is not None and (not isinstance(kind, str) or kind.lower() != "bearer"):
        raise TokenFailure(Reason.TOKEN_TYPE, "the token_type is not Bearer")
    declared = _expires_in(answer.get("expires_in"))
    date = http_date(response.headers.get("date"))
    own = _jwt_lifetime(text, wall_time if date is None else date)
    if own is not None and own <= 0:
        raise TokenFailure(Reason.BAD_TOKEN, "the access token has already expired, by its own exp")
    known = [seconds for seconds in (declared, own) if seconds is not None]
    mismatch = declared is not None and own is not None and abs(declared - own) > _ALLOWED_MISMATCH_SECONDS
    return Granted(text, min(MAX_LIFETIME_SECONDS, *(known or [DEFAULT_LIFETIME_SECONDS])), mismatch)


def _check_status(response: WireResponse, endpoint: str = "token") -> None:
    """Raises `TokenFailure` for every status that is not a success, with the server's own words."""
    status = response.status
    if 200 <= status < 300:
        return
    answer, words = json_object(response), server_words(response)
    after = f": {words}" if words else ""
    detail = f"the {endpoint} endpoint answered {status}{after}"
    if status == 429:
        raise TokenFailure(Reason.HTTP_429, f"the {endpoint} endpoint asks to wait{after}")
    if status >= 500:
        raise TokenFailure(Reason.HTTP_5XX, detail)
    if answer is not None and answer.get("error"):
        raise _oauth_failure(answer["error"], words, endpoint)
    if status == 401:
        raise TokenFailure(Reason.INVALID_CLIENT, detail, permanent=True)
    raise TokenFailure(Reason.HTTP_4XX, detail)


def _oauth_failure(error: object, words: str, endpoint: str = "token") -> TokenFailure:
    """The failure for an error code of RFC 6749 §5.2, or for one of the server's own."""
    reason = Reason.INVALID_CLIENT if error == "invalid_client" else Reason.OAUTH_ERROR
    is_permanent = isinstance(error, str) and error in _PERMANENT_ERRORS
    detail = f"the {endpoint} endpoint answered {words or 'an error without a word'}"
    return TokenFailure(reason, detail, permanent=is_permanent)


def _expires_in(value: object) -> float | None:
    """The seconds of `expires_in`, a number or one in a string; None if there is none. Raises `TokenFailure`."""
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise TokenFailure(Reason.BAD_TOKEN, "expires_in is not a number of seconds above 0")
    return float(min(value, MAX_LIFETIME_SECONDS))


def _jwt_lifetime(text: str, now: float) -> float | None:
    """Seconds from `now` to a JWT's own `exp` (RFC 7519 §4.1.4); None for what is no JWT with one."""
    parts = text.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = object_in(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        expiry = (claims or {}).get("exp")
        if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not math.isfinite(expiry):
            return None
    except (ValueError, OverflowError):
        return None
    return min(float(expiry) - now, MAX_LIFETIME_SECONDS)
