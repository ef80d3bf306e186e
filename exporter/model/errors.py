"""The tree of errors. Every failure carries a `Reason`, used as label value and as log field.

    ExporterError
    ├── ConfigError          the configuration cannot be used: all problems at once
    └── Failure              something failed while running; has a reason
        ├── UpstreamFailure  the API could not be asked, or answered badly
        ├── TokenFailure     the token endpoint gave no usable access token
        ├── SecretUnreadable a secret's variable or file cannot be read, or not be sent
        └── ResultFailure    the answer came, but cannot become series

A failure's text is fit for a log line: it never quotes a token or a secret, and of an answer only what the server says
of its refusal, in one clean line.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Final

from msgspec import Struct

from exporter.model.budget import Budget

_LONGEST: Final = 1000  # characters of a part of a problem, which may quote a whole text of a file


class Reason(StrEnum):
    """Why a poll or a renewal failed: a closed list, so that it can be a label value."""

    # the wire
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    PROTOCOL = "protocol"
    TOO_LARGE = "too_large"
    DECODE = "decode"
    # HTTP
    REDIRECT = "redirect"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    HTTP_429 = "http_429"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    CONTENT_TYPE = "content_type"
    # what the body says
    JSON = "json"
    GRAPHQL = "graphql"
    SCHEMA = "schema"
    # the access token
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    OAUTH_ERROR = "oauth_error"
    INVALID_CLIENT = "invalid_client"
    BAD_TOKEN = "bad_token"  # noqa: S105
    TOKEN_TYPE = "token_type"  # noqa: S105
    SECRET = "secret"  # noqa: S105
    # what the rows became
    DUPLICATE_SERIES = "duplicate_series"
    CARDINALITY = "cardinality"
    FAN_OUT = "fan_out"
    # a fault of ours
    INTERNAL = "internal"


class ExporterError(Exception):
    """The root of every error that this program raises on purpose."""


class Problem(Struct, frozen=True):
    """One fault of a configuration: where it is, what is wrong, and what would be right."""

    file: str
    line: int | None
    key: str
    wrong: str
    remedy: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key, wrong, remedy = map(_short, (self.key, self.wrong, self.remedy))
        text = f"{place}: {key}: {wrong}" if key else f"{place}: {wrong}"
        return f"{text}; {remedy}" if remedy else text


def _short(text: str) -> str:
    """The text, or the beginning of one that nobody would read to its end; without NUL, which ends a text elsewhere."""
    text = text.replace("\0", "\\0")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems by their files and lines, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line or 0)))


class ConfigError(ExporterError):
    """The configuration cannot be used. `problems` has every fault that was found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Failure(ExporterError):
    """Something failed while running. `reason` is closed; `retry_after_seconds` is the upstream's own wish, and
    `budget` what it says is left."""

    def __init__(
        self,
        reason: Reason,
        detail: str,
        *,
        retry_after_seconds: float | None = None,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.budget = budget


class UpstreamFailure(Failure):
    """The API could not be asked, or answered badly."""


class TokenFailure(Failure):
    """The token endpoint gave no usable access token. `permanent` ones are not retried soon (RFC 6749 §5.2)."""

    def __init__(
        self, reason: Reason, detail: str, *, permanent: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(reason, detail, retry_after_seconds=retry_after_seconds)
        self.permanent = permanent


class SecretUnreadable(Failure):
    """A secret's environment variable or file cannot be read, or holds what cannot be sent."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.SECRET, detail)


class ResultFailure(Failure):
    """The answer came, but cannot become series."""


def fault_text(error: BaseException) -> str:
    """A fault of ours, fit for a log line: its type, and the function, file and line of the exporter that it came from.
    Its text is left out, as nobody knows what it quotes."""
    places = [
        f" in {frame.f_code.co_qualname} ({Path(frame.f_code.co_filename).name}, line {line})"
        for frame, line in walk_tb(error.__traceback__)
        if _is_ours(frame)
    ]
    return f"{type(error).__name__}{''.join(places[-1:])}"


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "exporter"
