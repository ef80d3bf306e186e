"""What a token endpoint's answer grants (RFC 6749 §5): a pure function of the answer."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exporter.model.errors import Reason, TokenFailure
from exporter.upstream.retry_after import http_date, retry_after_seconds
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
_KNOWN_ERRORS: Final = _PERMANENT_ERRORS | {"server_error", "slow_down", "temporarily_unavailable"}


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token endpoint granted."""

    text: str = field(repr=False)
    lifetime_seconds: float
    mismatch: bool


def read_token(response: WireResponse, wall_time: float) -> Granted:
    """The token of an answer (RFC 6749 §5.1). `wall_time` stands in for a missing `Date`. Raises `TokenFailure`."""
    _check_status(response)
    if not response.is_json:
        raise TokenFailure(Reason.CONTENT_TYPE, "the token endpoint did not answer with JSON")
    answer = _json_object(response.body)
    if answer is None:
        raise TokenFailure(Reason.JSON, "the token endpoint's answer is not a JSON object")
    if answer.get("error"):  # some servers send it beside a token, as null or empty
        raise _oauth_failure(answer["error"])
    text = answer.get("access_token")
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_TOKEN_LENGTH:
        raise TokenFailure(Reason.BAD_TOKEN, "the answer has no usable access_token")
    if not re.fullmatch(r"[!-~]+", text):
        raise TokenFailure(Reason.BAD_TOKEN, "the access_token has characters that a header cannot carry")
    kind = answer.get("token_type")
    if kind is not None and (not isinstance(kind, str) or kind.lower() != "bearer"):
        raise TokenFailure(Reason.TOKEN_TYPE, "the token_type is not Bearer")
    declared = _expires_in(answer.get("expires_in"))
    date = http_date(response.headers.get("date"))
    own = _jwt_lifetime(text, wall_time if date is None else date)
    if own is not None and own <= 0:
        raise TokenFailure(Reason.BAD_TOKEN, "the access token has expired already, by its own exp")
    known = [seconds for seconds in (declared, own) if seconds is not None]
    mismatch = declared is not None and own is not None and abs(declared - own) > _ALLOWED_MISMATCH_SECONDS
    return Granted(text, min(MAX_LIFETIME_SECONDS, *(known or [DEFAULT_LIFETIME_SECONDS])), mismatch)


def _check_status(response: WireResponse) -> None:
    """Raises `TokenFailure` for every status that is not a success; an OAuth error in the body is told by its name."""
    status = response.status
    if 200 <= status < 300:
        return
    wait = retry_after_seconds(response.headers.get("retry-after"), response.headers.get("date"))
    if status == 429:
        raise TokenFailure(Reason.HTTP_429, "the token endpoint asks to wait", retry_after_seconds=wait)
    if status >= 500:
        raise TokenFailure(Reason.HTTP_5XX, f"the token endpoint answered {status}", retry_after_seconds=wait)
    answer = _json_object(response.body)
    if answer is not None and "error" in answer:
        raise _oauth_failure(answer["error"])
    if status == 401:
        raise TokenFailure(Reason.INVALID_CLIENT, "the token endpoint answered 401", permanent=True)
    raise TokenFailure(Reason.HTTP_4XX, f"the token endpoint answered {status}", retry_after_seconds=wait)


def _oauth_failure(error: object) -> TokenFailure:
    """The failure for an error code of RFC 6749 §5.2; what is not in that list is not repeated in the log."""
    word = error if isinstance(error, str) and error in _KNOWN_ERRORS else "an error of its own"
    reason = Reason.INVALID_CLIENT if word == "invalid_client" else Reason.OAUTH_ERROR
    return TokenFailure(reason, f"the token endpoint answered {word}", permanent=word in _PERMANENT_ERRORS)


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object of a body in UTF-8; None if it is not one."""
    try:
        found = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


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
        claims = _json_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        expiry = (claims or {}).get("exp")
        if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not math.isfinite(expiry):
            return None
    except (ValueError, OverflowError):
        return None
    return min(float(expiry) - now, MAX_LIFETIME_SECONDS)
