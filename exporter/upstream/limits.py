"""What an answer says of the server's limits: how long to leave it alone, and what is left of a budget.

`Retry-After` (RFC 9110 §10.2.3), `RateLimit` and `RateLimit-Policy` in all forms of the IETF's draft
(draft-ietf-httpapi-ratelimit-headers), `x-ratelimit-*` as most APIs have it, and `extensions.cost` as Shopify has it.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from exporter.model.budget import Budget
from exporter.model.outcome import WAIT_KEYS
from exporter.upstream.retry_after import MAX_WAIT_SECONDS, http_date, retry_after_seconds

_EARLIEST_TIME: Final = 1e9  # a smaller number is seconds to wait, a larger one a Unix time
_EARLIEST_MILLISECONDS: Final = 1e12
_MAX_HEADER_LENGTH: Final = 1000
_FIRST_OWN_WAIT_SECONDS: Final = 1.0
_LONGEST_OWN_WAIT_SECONDS: Final = 60.0
_WINDOWS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": MAX_WAIT_SECONDS}


class ServerLimits(Struct, frozen=True):
    """How long the server wants to be left alone, if it does, and the scarcest budget that it names, if any."""

    wait_seconds: float | None = None
    budget: Budget | None = None

    def beside(self, other: ServerLimits) -> ServerLimits:
        """Both: the longer wait, the scarcer budget."""
        waits = [one.wait_seconds for one in (self, other) if one.wait_seconds is not None]
        return ServerLimits(max(waits, default=None), _scarcest(one.budget for one in (self, other)))


NO_LIMITS: Final = ServerLimits()


class _Quota(Struct):
    """One budget of the headers, as far as it was read. `reset_seconds` is when it is whole again."""

    remaining: float | None = None
    limit: float | None = None
    reset_seconds: float | None = None


def header_limits(status: int, headers: Mapping[str, str]) -> ServerLimits:
    """What the headers say; `Retry-After` goes before the budgets' resets, as the draft has it."""
    now = http_date(headers.get("date"))
    now = time.time() if now is None else now
    quotas = list(_quotas(headers, now))
    wait = retry_after_seconds(headers.get("retry-after"), headers.get("date"))
    if wait is None:
        # Without `remaining`, only the refusal says that nothing is left.
        spent = [one for one in quotas if (one.remaining <= 0 if one.remaining is not None else status == 429)]
        resets = [one.reset_seconds for one in spent if one.reset_seconds is not None]
        wait = min(max(resets), MAX_WAIT_SECONDS) if resets else None
    known = (Budget(max(0.0, one.remaining), one.limit) for one in quotas if one.remaining is not None)
    return ServerLimits(wait, _scarcest(known))


def cost_limits(extensions: object) -> ServerLimits:
    """What Shopify's `extensions.cost.throttleStatus` says of an answer; a budget that is spent needs a wait until the
    same request can be made again."""
    cost = field(extensions, "cost")
    status = field(cost, "throttleStatus")
    remaining, limit = number(field(status, "currentlyAvailable")), number(field(status, "maximumAvailable"))
    if remaining is None:
        return NO_LIMITS
    budget = Budget(max(0.0, remaining), limit)
    return ServerLimits(refill_seconds(extensions) if remaining <= 0 else None, budget)


def refill_seconds(extensions: object) -> float | None:
    """How long it takes, by `extensions.cost`, until a request of the same cost can be made; None where that is not
    said."""
    cost = field(extensions, "cost")
    status = field(cost, "throttleStatus")
    remaining, rate = number(field(status, "currentlyAvailable")), number(field(status, "restoreRate"))
    wanted = number(field(cost, "requestedQueryCost"))
    if remaining is None or rate is None or rate <= 0:
        return None
    missing = max(1.0, (1.0 if wanted is None else wanted) - remaining)
    return min(missing / rate, MAX_WAIT_SECONDS)


def error_wait_seconds(extensions: object) -> float | None:
    """How long the extensions of a GraphQL error ask to wait; an hour at most."""
    for key, unit in WAIT_KEYS.items():
        seconds = number(field(extensions, key))
        if seconds is not None and seconds >= 0:
            return min(seconds * unit, MAX_WAIT_SECONDS)
    return None


def means_throttled(code: str) -> bool:
    """Whether a code of an error says that requests come too fast: THROTTLED, RATE_LIMITED, TOO_MANY_REQUESTS …"""
    return bool(_THROTTLED.search(re.sub(r"[^a-z0-9]", "", code.lower())))


_THROTTLED: Final = re.compile(r"throttl|ratelimit|toomanyrequest|quotaexceeded|budgetexhausted|^429$")


class OwnWait:
    """How long to leave a server alone that says "too fast", but not for how long: 1 s, 2 s … 60 s."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._times = 0
        self._until = -math.inf

    def next_seconds(self) -> float:
        """Seconds from now. Refusals of requests that were under way together count as one."""
        now = self._monotonic()
        if now >= self._until:
            self._until = now + min(_LONGEST_OWN_WAIT_SECONDS, _FIRST_OWN_WAIT_SECONDS * 2.0 ** min(self._times, 10))
            self._times += 1
        return self._until - now

    def end(self) -> None:
        """It does not say so any more."""
        self._times = 0


def field(content: object, name: str) -> object:
    """A field of a JSON object, as a mapping or as an object that was made of it; None where there is none."""
    return content.get(name) if isinstance(content, Mapping) else getattr(content, name, None)


def number(value: object) -> float | None:
    """A finite number, also one in a text; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}(\.[0-9]{1,18})?\s*", value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _scarcest(budgets: Iterable[Budget | None]) -> Budget | None:
    return min((budget for budget in budgets if budget is not None), key=lambda budget: budget.share, default=None)


def _quotas(headers: Mapping[str, str], now: float) -> Iterator[_Quota]:
    if "ratelimit" in headers:
        yield from _quotas_of_draft(headers["ratelimit"][:_MAX_HEADER_LENGTH], headers.get("ratelimit-policy", ""))
    yield from _quotas_by_name(headers, now)


_NAME: Final = re.compile(r"(?:[a-z0-9]+-){0,3}?rate-?limit-([a-z-]{1,60})")
_PARTS: Final = {"remaining": "remaining", "limit": "limit", "reset": "reset", "resettime": "reset"}


def _quotas_by_name(headers: Mapping[str, str], now: float) -> Iterator[_Quota]:
    """The budgets of `x-ratelimit-remaining`, `-limit` and `-reset` and of their relatives, such as
    `x-rate-limit-remaining`, `x-ratelimit-remaining-minute`, `x-ratelimit-reset-requests` and `ratelimit-reset`."""
    quotas: dict[str, _Quota] = {}
    for name, value in headers.items():
        found = _NAME.fullmatch(name)
        words = found[1].split("-") if found else []
        part = next((_PARTS[word] for word in words if word in _PARTS), None)
        if part is None:
            continue
        window = "-".join(word for word in words if word not in _PARTS and word != "after")
        quota, text = quotas.setdefault(window, _Quota()), value[:_MAX_HEADER_LENGTH].strip()
        if part == "reset":
            quota.reset_seconds = _reset_seconds(text, now, is_wait="after" in words)
        else:
            first = re.match(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?", text)
            setattr(quota, part, None if first is None else float(first[0]))
    general = quotas.get("", _Quota())
    for window, quota in quotas.items():
        if quota.reset_seconds is None:
            quota.reset_seconds = _WINDOWS.get(window) if general.reset_seconds is None else general.reset_seconds
        if quota is not general or quota.remaining is not None or len(quotas) == 1:
            yield quota


_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def _reset_seconds(text: str, now: float, *, is_wait: bool) -> float | None:
    """Seconds until a reset that is given as seconds, as a Unix time (in seconds or milliseconds), as a date, or as a
    duration like `1m30s`; never negative."""
    found = number(text)
    if found is not None:
        if not is_wait and found >= _EARLIEST_MILLISECONDS:
            found = found / 1000 - now
        elif not is_wait and found >= _EARLIEST_TIME:
            found -= now
        return max(0.0, found)
    if re.fullmatch(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|[hms])){1,4}", text):
        return sum(float(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9.]+)(ms|[hms])", text))
    until = http_date(text)
    if until is None:
        try:
            moment = datetime.fromisoformat(text)
            until = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    return max(0.0, until - now)


_ITEM: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",])+')
_PARAMETER: Final = re.compile(r";\s*(\w+)\s*=\s*\"?(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)")


def _quotas_of_draft(text: str, policy_text: str) -> Iterator[_Quota]:
    """The budgets of the field `RateLimit`: `"default";r=0;t=30`, or `limit=10, remaining=0, reset=30` of the drafts 3
    to 7. Without `t`, the window `w` of the policy is the longest that a reset can take."""
    pairs = {name: float(found) for name, found in re.findall(r"\b(limit|remaining|reset)=\"?(-?[0-9]{1,15})", text)}
    if pairs:
        yield _Quota(pairs.get("remaining"), pairs.get("limit"), _not_negative(pairs.get("reset")))
        return
    policies = dict(_items(policy_text[:_MAX_HEADER_LENGTH]))
    for name, values in _items(text):
        policy: Mapping[str, float] = policies.get(name, {})
        yield _Quota(values.get("r"), policy.get("q"), _not_negative(values.get("t", policy.get("w"))))


def _items(text: str) -> Iterator[tuple[str, dict[str, float]]]:
    """The items of a list of structured fields (RFC 9651), by name, with those parameters that are numbers."""
    for item in _ITEM.findall(text):
        name, _, parameters = item.partition(";")
        yield name.strip().strip('"'), {key: float(value) for key, value in _PARAMETER.findall(";" + parameters)}


def _not_negative(value: float | None) -> float | None:
    return None if value is None else max(0.0, value)


def fault_wait_seconds(content: Any, now: float) -> float | None:
    """How long WSO2's gateways ask to wait in the body of a refusal: until `nextAccessTime`."""
    fault = field(content, "fault")
    text = field(fault if fault is not None else content, "nextAccessTime")
    found = re.fullmatch(r"([0-9]{4}-[A-Z][a-z]{2}-[0-9]{2} [0-9:]{8}[+-][0-9]{4})(?: UTC)?", str(text)[:60])
    if found is None:
        return None
    try:
        until = datetime.strptime(found[1], "%Y-%b-%d %H:%M:%S%z").timestamp()
    except ValueError:
        return None
    return min(max(0.0, until - now), MAX_WAIT_SECONDS)
