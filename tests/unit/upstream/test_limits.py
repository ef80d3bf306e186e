"""What the headers of an answer say of the server's limits."""

from __future__ import annotations

import pytest

from exporter.model.budget import Budget
from exporter.upstream.limits import ServerLimits, fault_wait_seconds, header_limits, means_throttled

NOW = 1_795_478_400  # the moment of DATE
DATE = "Tue, 24 Nov 2026 00:00:00 GMT"
X = "x-ratelimit-"


@pytest.mark.parametrize(
    ("headers", "wait", "budget"),
    [
        ({}, None, None),
        ({X + "remaining": "7", X + "limit": "60", X + "reset": "30"}, None, Budget(7, 60)),
        ({X + "remaining": "0", X + "limit": "60", X + "reset": "30"}, 30, Budget(0, 60)),
        ({X + "remaining": "0", X + "reset": str(NOW + 30)}, 30, Budget(0)),
        ({X + "remaining": "0", X + "reset": str((NOW + 30) * 1000)}, 30, Budget(0)),
        ({X + "remaining": "0", X + "reset": str(NOW - 30)}, 0, Budget(0)),
        ({X + "remaining": "0", X + "reset": "2026-11-24T00:00:30Z"}, 30, Budget(0)),
        ({X + "remaining": "0", X + "reset": "Tue, 24 Nov 2026 00:00:30 GMT"}, 30, Budget(0)),
        ({X + "remaining": "0", X + "reset": "1m30s"}, 90, Budget(0)),
        ({X + "remaining": "0", X + "reset": "250ms"}, 0.25, Budget(0)),
        ({X + "remaining": "0", X + "reset-after": "1.5", X + "reset": str(NOW + 30)}, 30, Budget(0)),
        ({X + "remaining": "0", X + "reset": "soon"}, None, Budget(0)),
        ({X + "remaining": "0", X + "reset": "9" * 15}, 3600, Budget(0)),
        ({X + "remaining": "-3", X + "reset": "5"}, 5, Budget(0)),
        ({X + "remaining": "many"}, None, None),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "5"}, 5, Budget(0)),
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "0", "ratelimit-reset": "5"}, 5, Budget(0, 100)),
        ({X + "limit-minute": "9", X + "remaining-minute": "0", "ratelimit-reset": "5"}, 5, Budget(0, 9)),
        ({X + "remaining-minute": "0", X + "remaining-hour": "9"}, 60, Budget(0)),
        ({X + "remaining-requests": "0", X + "reset-requests": "2s", X + "remaining-tokens": "9"}, 2, Budget(0)),
        ({"x-contentful-ratelimit-second-remaining": "0"}, 1, Budget(0)),
        ({"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'}, None, Budget(50, 100)),
        ({"ratelimit": '"default";r=0;t=30'}, 30, Budget(0)),
        ({"ratelimit": "default;r=0;t=30"}, 30, Budget(0)),
        ({"ratelimit": '"a, b";r=9;t=9,"c" ; r=0 ; t=30'}, 30, Budget(0)),
        ({"ratelimit": '"a";r=0', "ratelimit-policy": '"b";q=5;w=5, "a";q=9;w=60;pk=:cHsdsRa894==:'}, 60, Budget(0, 9)),
        ({"ratelimit": "limit=100, remaining=0, reset=30"}, 30, Budget(0, 100)),
        ({"ratelimit": '";;=,"", r=0;t=' + "9" * 5000}, None, None),
        ({"retry-after": "5", X + "remaining": "0", X + "reset": "30"}, 5, Budget(0)),
    ],
)
def test_a_good_answer_says_what_is_left(headers: dict[str, str], wait: float | None, budget: Budget | None) -> None:
    """The scarcest budget, and how long to wait if one is spent: in each form that APIs are known to have."""
    assert header_limits(200, {"date": DATE, **headers}) == ServerLimits(wait, budget)


def test_a_refusal_says_when_to_come_again() -> None:
    """429 with a reset alone is a budget that is spent; another status is not."""
    headers = {"date": DATE, X + "reset": "30"}
    assert header_limits(429, headers).wait_seconds == 30
    assert header_limits(404, headers).wait_seconds is None
    assert header_limits(429, {**headers, X + "remaining": "3"}).wait_seconds is None


@pytest.mark.parametrize(
    "code",
    ["THROTTLED", "RATE_LIMITED", "rate-limited", "RATE_LIMIT_EXCEEDED", "TOO_MANY_REQUESTS", "ThrottlingException",
     "RATELIMITED", "TOO_MANY_REQUESTS_PER_SECOND", "QUOTA_EXCEEDED", "COMPLEXITY_BUDGET_EXHAUSTED", "429"],
)  # fmt: skip
def test_codes_of_too_many_requests_are_known(code: str) -> None:
    """However a server spells it."""
    assert means_throttled(code)


@pytest.mark.parametrize("code", ["", "FORBIDDEN", "UNAUTHENTICATED", "MAX_COST_EXCEEDED", "4290", "BAD_USER_INPUT"])
def test_other_codes_are_no_reason_to_wait(code: str) -> None:
    """What waiting does not help is not waited for."""
    assert not means_throttled(code)


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        ({"fault": {"code": 900802, "nextAccessTime": "2026-Nov-24 00:00:30+0000 UTC"}}, 30),
        ({"code": "900802", "nextAccessTime": "2026-Nov-24 00:00:30+0000 UTC"}, 30),
        ({"nextAccessTime": "2026-Nov-23 00:00:30+0000 UTC"}, 0),
        ({"nextAccessTime": "tomorrow"}, None),
        ({"nextAccessTime": "2026-Nov-44 00:00:30+0000"}, None),
        ({}, None),
        ([], None),
    ],
)
def test_wso2_gateways_name_the_next_access(content: object, seconds: float | None) -> None:
    """Their body has the moment, in a form of its own."""
    assert fault_wait_seconds(content, NOW) == seconds
