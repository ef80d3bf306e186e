"""The configuration's shape: frozen types, their defaults and their rules. No I/O.

Every type refuses unknown keys, and every rule's text says what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from exporter.duration import duration_seconds
from exporter.model import Json, MetricType
from exporter.path import ResponsePath, parsed_path
from exporter.secret import Secret
from exporter.template import Reference, Template, Text, parsed_template, parsed_text
from exporter.value import UNIT_DIVISORS, ValueKind
from exporter.window import Period, aligns

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_WORD: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
_REFERENCE_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED_PREFIXES: Final = ("insights_exporter_", "process_", "python_")
_RESERVED_LABELS: Final = frozenset({"job", "instance", "le", "quantile"})
_RESERVED_ROOTS: Final = frozenset({"source", "window", "period"})
_RESERVED_SUFFIXES: Final = ("_sum", "_count", "_bucket", "_created")
SHIPPED_SCHEMAS: Final[Mapping[str, str]] = {"choreo": "insights.graphql"}


# ---------------------------------------------------------------------------------------------- scalars


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("a duration is text with a unit; write 30s or 5m")
    return timedelta(seconds=duration_seconds(value))


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0")
    return value


def _alignment(value: timedelta) -> timedelta:
    if not aligns(value):
        raise ValueError("must divide a day without remainder (1s, 30s, 1m, 15m, 1h, 1d), or be 7d")
    return value


_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")


def _count(value: object) -> int:
    if not _COUNT.fullmatch(str(value)):
        raise ValueError("not a count; write a whole number of 1 or more")
    return int(str(value))


_BYTES: Final = re.compile(r"([0-9]{1,15})\s*(B|KB|KiB|MB|MiB|GB|GiB)?")
_BYTE_UNITS: Final = {"B": 1, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def _byte_count(value: object) -> int:
    match = _BYTES.fullmatch(str(value)) if not isinstance(value, bool) else None
    if not match or int(match[1]) == 0:
        raise ValueError("not a size; write a number with a unit, such as 32MiB")
    return int(match[1]) * _BYTE_UNITS[match[2] or "B"]


def _zone(value: object) -> ZoneInfo:
    try:
        return value if isinstance(value, ZoneInfo) else ZoneInfo(str(value))
    except (KeyError, OSError, ValueError):  # KeyError: no such zone
        raise ValueError("not a time zone; write an IANA name such as UTC or Asia/Colombo") from None


def _period(value: object) -> Period:
    if value in ("day", "month"):
        return value
    try:
        return _positive(_duration(value))
    except ValueError:
        raise ValueError("not a period; write day, month or a duration such as 6h") from None


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("not a URL; write one such as https://host/path")
    if parts.username or parts.password:
        raise ValueError("a URL must not carry a user or a password; use basic_auth")
    return value


def _proxy_url(value: str) -> str:
    if "@" in value:
        remedy = 'write proxy_connect_header: {Proxy-Authorization: ["Basic ${PROXY_CREDENTIALS}"]}'
        raise ValueError(f"a URL must not carry a user or a password; {remedy}")
    return _url(value)


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("must be text that is not empty; write ${NAME} to take it from the environment")
    return Secret(inline=value)


def _beside(file: Path, info: ValidationInfo) -> Path:
    """The path as meant: relative ones start at the configuration's folder, as in Prometheus."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / file


def _schema_name(value: str, info: ValidationInfo) -> str:
    return value if value in SHIPPED_SCHEMAS else str(_beside(Path(value), info))


def _secret_source(value: object, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    match value:
        case {"env": str(name), **rest} if not rest and name:
            return Secret(env=name)
        case {"file": str(path), **rest} if not rest and path:
            return Secret(file=_beside(Path(path), info))
    raise ValueError("a secret value comes from somewhere; write {env: NAME} or {file: PATH}")


def _metric_name(value: str) -> str:
    if not _METRIC_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a metric name; use letters, digits, _ and :, and no digit first")
    if value.startswith(_RESERVED_PREFIXES):
        prefix = next(prefix for prefix in _RESERVED_PREFIXES if value.startswith(prefix))
        raise ValueError(f"names that begin with {prefix} are the exporter's own; choose another prefix")
    return value


def _label_name(value: str) -> str:
    if not _LABEL_NAME.fullmatch(value):
        raise ValueError("not a label name; use letters, digits and _, and no digit first")
    if value in _RESERVED_LABELS or value.startswith("__"):
        raise ValueError(f"the label {value} is reserved by Prometheus; choose another name")
    return value


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise ValueError(f"{value!r} is not a name; use letters, digits, _ and -, and no digit first")
    return value


def _reference_name(value: str) -> str:
    if not _REFERENCE_NAME.fullmatch(value):
        raise ValueError("cannot be referred to; use letters, digits and _, and no digit first")
    if value in _RESERVED_ROOTS:
        raise ValueError(f"{value} is taken; references to the source, the window and the period use it")
    return value


def _path(value: object) -> ResponsePath:
    if isinstance(value, ResponsePath):
        return value
    if not isinstance(value, str):
        raise ValueError("a response path is text, such as usage.count")
    return parsed_path(value)


def _template(value: Json) -> Template:
    return parsed_template(value)


_TEXT_SCHEMA: Final = WithJsonSchema({"type": "string"})
_DURATION_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": r"^([0-9]+(y|w|d|h|m|s|ms))+$"})
_SCALAR_SCHEMA: Final = WithJsonSchema({"type": ["string", "number", "boolean", "null"]})

Duration: TypeAlias = Annotated[timedelta, BeforeValidator(_duration), _DURATION_SCHEMA]
PositiveDuration: TypeAlias = Annotated[
    timedelta, BeforeValidator(_duration), AfterValidator(_positive), _DURATION_SCHEMA
]
Alignment: TypeAlias = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_alignment), _DURATION_SCHEMA]
File: TypeAlias = Annotated[Path, AfterValidator(_beside)]
Count: TypeAlias = Annotated[int, BeforeValidator(_count), Field(ge=1)]
ByteCount: TypeAlias = Annotated[int, BeforeValidator(_byte_count), WithJsonSchema({"type": ["string", "integer"]})]
Zone: TypeAlias = Annotated[Any, BeforeValidator(_zone), _TEXT_SCHEMA]
PeriodLength: TypeAlias = Annotated[Any, BeforeValidator(_period), _TEXT_SCHEMA]
Url: TypeAlias = Annotated[str, AfterValidator(_url)]
Name: TypeAlias = Annotated[str, AfterValidator(_word)]
MetricName: TypeAlias = Annotated[str, AfterValidator(_metric_name)]
LabelName: TypeAlias = Annotated[str, AfterValidator(_label_name)]
ReferenceName: TypeAlias = Annotated[str, AfterValidator(_reference_name)]
Path_: TypeAlias = Annotated[ResponsePath, BeforeValidator(_path), _TEXT_SCHEMA]
SecretText: TypeAlias = Annotated[Secret, BeforeValidator(_secret), PlainSerializer(str), _TEXT_SCHEMA]
SecretSource: TypeAlias = Annotated[
    Secret,
    BeforeValidator(_secret_source),
    PlainSerializer(str),
    WithJsonSchema({"type": "object", "properties": {"env": {"type": "string"}, "file": {"type": "string"}}}),
]
Tree: TypeAlias = Annotated[Any, BeforeValidator(_template), WithJsonSchema({})]


class Strict(BaseModel):
    """The base of every section: frozen, and no unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True, allow_inf_nan=False
    )


# ---------------------------------------------------------------------------------------------- sources


class TLSConfig(Strict):
    """How the upstream's certificate is verified, and the client's own; Prometheus' `tls_config`."""

    ca_file: File | None = None
    """The authorities that are trusted instead of the system's; PEM. Followed when it changes."""
    cert_file: File | None = None
    """The client's own certificate chain; PEM."""
    key_file: File | None = None
    """The key of `cert_file`, not encrypted; PEM."""
    server_name: str | None = None
    """The name that the certificate must have, where it is not the URL's host."""
    insecure_skip_verify: bool = False
    """Verifies nothing. Nobody should need it."""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    """The oldest version of TLS that is spoken."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; write both or neither")
        return self


class OAuth2(Strict):
    """The client-credentials grant (RFC 6749 §4.4); Prometheus' `oauth2`."""

    token_url: Url
    """The token endpoint; `https`, or `http` on loopback."""
    revocation_url: Url | None = None
    """Where tokens are revoked (RFC 7009)."""
    revoke_on_exit: bool = False
    """Revokes the access token when the exporter stops; off where replicas may share a token."""
    client_id: SecretText | None = None
    """The client's id, on Choreo the consumer key. One of this and `client_id_file`."""
    client_id_file: File | None = None
    """The file with the client's id; read at each use."""
    client_secret: SecretText | None = None
    """The client's secret, on Choreo the consumer secret. One of this and `client_secret_file`."""
    client_secret_file: File | None = None
    """The file with the client's secret; read at each use."""
    scopes: tuple[str, ...] = ()
    """The scopes that are asked for."""
    endpoint_params: Mapping[str, str] = Field(default_factory=dict)
    """Further parameters of the token request, such as Choreo's `orgHandle`."""
    auth_style: Literal["header", "params"] = "header"
    """Where id and secret stand in the token request: in the `Authorization` header, or among the parameters."""
    tls_config: TLSConfig = TLSConfig()
    """TLS to the token endpoint."""
    timeout: PositiveDuration = timedelta(seconds=30)
    """How long one token request may take in all."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name in ("client_id", "client_secret"):
            given = [getattr(self, name) is not None, getattr(self, f"{name}_file") is not None]
            if sum(given) != 1:
                raise ValueError(f"needs exactly one of {name} and {name}_file")
        if self.revoke_on_exit and self.revocation_url is None:
            raise ValueError("revoke_on_exit needs somewhere to ask; add revocation_url")
        for url in (self.token_url, self.revocation_url):
            if url is not None and not _protected(url):
                raise ValueError("would send the client secret in clear text; use https:// (http:// only on loopback)")
        return self

    @property
    def id_secret(self) -> Secret:
        """The client id, wherever it comes from."""
        return self.client_id or Secret(file=self.client_id_file)

    @property
    def key_secret(self) -> Secret:
        """The client secret, wherever it comes from."""
        return self.client_secret or Secret(file=self.client_secret_file)


def _protected(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


class Authorization(Strict):
    """A static `Authorization` header; Prometheus' `authorization`."""

    type: str = "Bearer"
    """The scheme of the header."""
    credentials: SecretText | None = None
    """What follows the scheme. One of this and `credentials_file`."""
    credentials_file: File | None = None
    """The file with the credentials; read at each use."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.credentials is None) == (self.credentials_file is None):
            raise ValueError("needs exactly one of credentials and credentials_file")
        return self

    @property
    def secret(self) -> Secret:
        """The credentials, wherever they come from."""
        return self.credentials or Secret(file=self.credentials_file)


class BasicAuth(Strict):
    """HTTP Basic authentication; Prometheus' `basic_auth`."""

    username: str
    """The user."""
    password: SecretText | None = None
    """The password. One of this and `password_file`."""
    password_file: File | None = None
    """The file with the password; read at each use."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("needs exactly one of password and password_file")
        return self

    @property
    def secret(self) -> Secret:
        """The password, wherever it comes from."""
        return self.password or Secret(file=self.password_file)


class RateLimit(Strict):
    """At most so many requests in any stretch of that length."""

    requests: Annotated[int, Field(ge=1)]
    """How many requests."""
    per: PositiveDuration
    """In any stretch of that length."""


class Source(Strict):
    """Where to ask, and as whom."""

    name: Name
    """The name, a label of the exporter's own metrics."""
    url: Url
    """The GraphQL endpoint; `https`, or `http` without credentials or on loopback."""
    schema_: Annotated[str, AfterValidator(_schema_name)] | None = Field(default=None, alias="schema")
    """`choreo` (shipped), or a file in SDL or with an introspection answer; documents and the types of their
    variables are checked against it."""
    labels: Mapping[LabelName, str] = Field(default_factory=dict)
    """Labels of every series of this source; all sources have the same names, with different values."""
    oauth2: OAuth2 | None = None
    """The client-credentials grant; the access token renews itself."""
    authorization: Authorization | None = None
    """A static `Authorization` header."""
    basic_auth: BasicAuth | None = None
    """HTTP Basic authentication."""
    http_headers: Mapping[str, SecretText] = Field(default_factory=dict)
    """Further headers; their values are secret."""
    tls_config: TLSConfig = TLSConfig()
    """TLS to the API."""
    proxy_url: Annotated[str, AfterValidator(_proxy_url)] | None = None
    """A proxy, for the API and the token endpoint; the environment's proxies are not used."""
    proxy_connect_header: Mapping[str, Annotated[tuple[SecretText, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Headers for the proxy, each with a list of values, which are secret: `{Proxy-Authorization: ["Basic
    ${PROXY_CREDENTIALS}"]}`."""
    values: Mapping[ReferenceName, Annotated[Any, WithJsonSchema({})]] = Field(default_factory=dict)
    """What `{{ source.NAME }}` refers to."""
    secret_values: Mapping[ReferenceName, SecretSource] = Field(default_factory=dict)
    """The same, from `{env: NAME}` or `{file: PATH}`, for variables only; never shown."""
    concurrency: Annotated[Count, Field(le=1000)] = 10
    """Polls at once."""
    rate_limit: RateLimit | None = None
    """Never more requests than that in any stretch of that length; queries wait in turn, however many calls each
    has."""
    max_body_size: ByteCount = 32 * 2**20
    """The largest answer."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        ways = [self.oauth2, self.authorization, self.basic_auth]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("has more than one of oauth2, authorization and basic_auth; keep one")
        if self.proxy_connect_header and self.proxy_url is None:
            raise ValueError("has proxy_connect_header but no proxy_url; add it")
        if any(name.lower() == "authorization" for name in self.http_headers) and any(ways):
            raise ValueError("http_headers sets Authorization beside another way to authenticate; keep one")
        for name in self.values:
            if name in self.secret_values:
                raise ValueError(f"{name} stands in both values and secret_values; keep one")
        if (any(ways) or self.http_headers or self.secret_values) and not _protected(self.url):
            raise ValueError("would send credentials in clear text; use https:// (http:// only on loopback)")
        return self


# ---------------------------------------------------------------------------------------------- labels


@dataclass(frozen=True, slots=True)
class PathLabel:
    """A label whose value is taken from the answer."""

    path: ResponsePath


@dataclass(frozen=True, slots=True)
class ConstLabel:
    """A label with the same value always."""

    text: str


@dataclass(frozen=True, slots=True)
class ReferenceLabel:
    """A label made of references to the target, the source or the window."""

    template: Reference | Text


@dataclass(frozen=True, slots=True)
class LookupLabel:
    """A label whose value a lookup gives for a key, which is itself a label's value."""

    lookup: str
    key: PathLabel | ReferenceLabel
    field: str


LabelSpec: TypeAlias = PathLabel | ConstLabel | ReferenceLabel | LookupLabel


def _label(value: object) -> LabelSpec:
    match value:
        case PathLabel() | ConstLabel() | ReferenceLabel() | LookupLabel():
            return value
        case str():
            return _text_label(value)
        case {"const": str(text), **rest} if not rest:
            return ConstLabel(text)
        case {"const": _, **rest} if not rest:
            raise ValueError('the text of a constant must be text; put it in quotes, as in {const: "1"}')
        case {"lookup": str(lookup), "key": str(key), "field": str(field), **rest} if not rest:
            return LookupLabel(lookup, _text_label(key), field)
    raise ValueError(
        "not a label; write a response path, text with {{ references }}, {const: text}"
        " or {lookup: name, key: path, field: name}"
    )


def _text_label(text: str) -> PathLabel | ReferenceLabel:
    template = parsed_text(text)
    return PathLabel(parsed_path(template)) if isinstance(template, str) else ReferenceLabel(template)


_LABEL_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "object", "properties": {"const": {"type": "string"}}, "required": ["const"]},
            {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("lookup", "key", "field")},
                "required": ["lookup", "key", "field"],
            },
        ]
    }
)
Label: TypeAlias = Annotated[Any, BeforeValidator(_label), _LABEL_SCHEMA]
Labels: TypeAlias = Mapping[LabelName, Label]


# ---------------------------------------------------------------------------------------------- queries


class WindowConfig(Strict):
    """The time range that a query asks for: end = floor(now - delay, align), start = end - length."""

    length: PositiveDuration
    """How long it is: start = end - length."""
    delay: Duration = timedelta(0)
    """How late the API's data is: end = floor(now - delay, align)."""
    align: Alignment = timedelta(minutes=1)
    """The clock that its end is rounded down to; divides a day without remainder, or `7d`."""


class Audit(Strict):
    """A period's totals are asked for again, and the difference to what was published becomes a metric."""

    after: PositiveDuration = timedelta(hours=6)
    """How long after the period's end: longer than data comes late, shorter than the period."""


class Bucket(Strict):
    """One bucket of an answer by the clock: the last that ends at or before `window.end`."""

    start: Path_
    """The response path of the bucket's start, such as `timeSpan`."""
    width: Alignment
    """How long a bucket is; an answer in narrower ones fails the poll."""


class Missing(Strict):
    """The value of every row of another query that a successful answer did not name."""

    rows_of: Name
    """The query whose rows are expected."""
    labels: Annotated[Mapping[LabelName, Path_], Field(min_length=1)]
    """Which field of those rows makes each label."""
    value: float = 0
    """The value of rows that a good answer did not name."""


class Top(Strict):
    """The n largest values by a label; the others are summed under one value of it."""

    n: Annotated[int, Field(ge=1)]
    """How many values of the label stay."""
    label: LabelName
    """The label."""
    rest: str = "Other"
    """The label's value for the sum of the others."""


class Pages(Strict):
    """Where page size and position go in the variables, and where the answer says how many rows or pages there are."""

    size: Annotated[int, Field(ge=1)]
    """Rows of a page."""
    limit: Path_
    """Where the page's size goes in the variables."""
    offset: Path_ | None = None
    """Where the number of rows to pass over goes in the variables; with `total`."""
    total: Path_ | None = None
    """Where the answer says how many rows there are; with `offset`."""
    cursor: Path_ | None = None
    """Where the cursor goes in the variables; with `info`."""
    info: Path_ | None = None
    """Where the answer has its `pageInfo { hasNextPage endCursor }`; with `cursor`."""
    max_rows: Annotated[int, Field(ge=1)] = 5000
    """The most rows of a poll; what is left behind is counted in `insights_exporter_query_rows_cut_total`."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        offset, cursor = (self.offset, self.total), (self.cursor, self.info)
        by_offset = None not in offset and cursor == (None, None)
        by_cursor = None not in cursor and offset == (None, None)
        if not (by_offset or by_cursor):
            raise ValueError("needs either offset and total, or cursor and info")
        return self


def _value(value: object) -> ResponsePath | int | float:
    if isinstance(value, ResponsePath | int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return parsed_path(value)
    raise ValueError("not a value; write a response path such as usage.count, or a number")


class Metric(Strict):
    """One metric family that a query publishes; several entries may share a family."""

    name: MetricName
    """The metric family; several entries may share one. A counter's ends in `_total`."""
    help: Annotated[str, Field(min_length=1)]
    """The family's help text."""
    type: MetricType = MetricType.GAUGE
    """`gauge`, or `counter`: the total from the period's start."""
    value: Annotated[Any, BeforeValidator(_value), WithJsonSchema({"type": ["string", "number"]})]
    """The response path of the value from the row, or a number."""
    labels: Labels = Field(default_factory=dict)
    """Name → response path, text with `{{ references }}`, `{const: text}`, or `{lookup: name, key: path, field:
    name}`."""
    from_: ValueKind = Field(default=ValueKind.NUMBER, alias="from")
    """How the value is read: a `number`; a `string`, a `boolean`, an `enum` (with `map`) or a `timestamp`."""
    from_unit: Literal[tuple(UNIT_DIVISORS)] | None = None  # type: ignore[valid-type]  # one list for both
    """The unit that the value comes in, to base units."""
    map: Mapping[str, float] = Field(default_factory=dict)
    """The numbers of an enum's words."""
    aggregate: Literal["sum", "max", "min", "last"] | None = None
    """What becomes of rows with the same labels; without it they are an error."""
    bucket: Bucket | None = None
    """Takes only the last bucket of the answer that ends by the window's end."""
    missing: Missing | None = None
    """The value of each row of another query which a good answer did not name; without it there is no sample."""
    top: Top | None = None
    """The n largest values by a label, the others summed; for gauges."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.type is MetricType.COUNTER and not self.name.endswith("_total"):
            raise ValueError(f"a counter's name ends in _total; write {self.name}_total")
        if self.type is MetricType.GAUGE and self.name.endswith("_total"):
            raise ValueError("a name that ends in _total is a counter's; write type: counter, or drop _total")
        if self.name.endswith(_RESERVED_SUFFIXES):
            suffix = next(suffix for suffix in _RESERVED_SUFFIXES if self.name.endswith(suffix))
            raise ValueError(f"a name that ends in {suffix} belongs to a histogram or summary; drop the ending")
        if (self.from_ is ValueKind.ENUM) != bool(self.map):
            raise ValueError("from: enum and map go together; write map: {WORD: number}")
        if self.type is MetricType.COUNTER and isinstance(self.value, int | float) and self.aggregate != "sum":
            raise ValueError(
                "a counter's value comes from the answer; write a response path, or aggregate: sum for rows"
            )
        return self


def _shortest(period: Period) -> timedelta:
    """How long a period is at least; a day of the clock may have 23 hours, a month 28 days and one such."""
    if isinstance(period, timedelta):
        return period
    return timedelta(hours=23) if period == "day" else timedelta(days=27, hours=23)


ForEachList: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RowsOf:
    """The rows of a query, or those of them whose fields have one of the values in `where`."""

    query: str
    where: Mapping[str, tuple[Json, ...]]


def _for_each_value(value: object) -> RowsOf | ForEachList:
    match value:
        case RowsOf():
            return value
        case str():
            return RowsOf(_word(value), {})
        case {"query": str(query), "where": dict(where), **rest} if not rest and where:
            return RowsOf(_word(query), {str(field): _wanted(values) for field, values in where.items()})
        case list() | tuple() if value:
            for item in value:
                fields = item.values() if isinstance(item, dict) else [item]
                if any(isinstance(field, dict | list) or field is None for field in fields):
                    raise ValueError("the list of a for_each has scalars, or mappings of scalars")
            return tuple(value)
    raise ValueError(
        "for_each takes the name of a query, {query: name, where: {field: value}}, or a list that is not empty"
    )


def _wanted(values: object) -> tuple[Json, ...]:
    wanted = tuple(values) if isinstance(values, list) else (values,)
    if not wanted or any(not isinstance(value, str | int | float | None) for value in wanted):
        raise ValueError("where compares a field with a scalar or a list of scalars; write {field: value}")
    return wanted


_FOR_EACH_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "minItems": 1},
            {
                "type": "object",
                "properties": {"query": {"type": "string"}, "where": {"type": "object", "minProperties": 1}},
                "required": ["query", "where"],
                "additionalProperties": False,
            },
        ]
    }
)


class Query(Strict):
    """Our configured unit: a document with its variables, an interval and the metrics made of its answer."""

    name: Name
    """The name, a label of the exporter's own metrics."""
    interval: PositiveDuration = timedelta(minutes=1)
    """How often it is polled."""
    timeout: PositiveDuration | None = None
    """How long one poll may take in all, at most the interval; 10s unless written."""
    stale_after: PositiveDuration | None = None
    """How long the last good values stay; 5 intervals, at least 10m, unless written."""
    sources: tuple[Name, ...] | None = None
    """The names of the sources it runs on; all unless written."""
    for_each: Mapping[ReferenceName, Annotated[Any, BeforeValidator(_for_each_value), _FOR_EACH_SCHEMA]] = Field(
        default_factory=dict
    )
    """`{name: query}`: one call for each row of that query; `{name: [..]}`: for each item of the list; `{name:
    {query: tenants, where: {environment.type: ON_PREM}}}`: for each row whose field, or outer row's field, has that
    value, or one of a list."""
    batch: Count | None = None
    """Hands over the rows in lists of at most so many; one by one unless written."""
    pack: Annotated[Count, Field(le=1000)] | None = None
    """Sends the calls of up to so many targets as aliases in one operation; one by one unless written."""
    max_calls: Count = 1000
    """The most calls of a round (packs count once); beyond it the old targets stay."""
    window: WindowConfig | None = None
    """The time range that is asked for."""
    period: PeriodLength | None = None
    """`day`, `month` or a duration of two intervals or more: what counters count from. Its full total stands for one
    interval: scrape at least as often as that."""
    audit: Audit | None = None
    """Compares, once a period, what was published of it with what the API says later: `{after: 6h}`."""
    timezone: Zone = ZoneInfo("UTC")
    """The clock of window and period, an IANA name."""
    document: Annotated[str, Field(min_length=1)]
    """One GraphQL query operation."""
    variables: Mapping[str, Tree] = Field(default_factory=dict)
    """Its variables; `{{ references }}` are bound at each poll, and a value that is one whole reference keeps its
    type."""
    pages: Pages | None = None
    """The answer comes in pages."""
    rows: Path_ | None = None
    """The response path of the rows; the data itself unless written."""
    labels: Labels = Field(default_factory=dict)
    """Labels of all metrics of the query."""
    metrics: tuple[Metric, ...] = ()
    """What is published; may be left out where `rows` feed other queries."""
    max_series: Count = 20_000
    """The most series; beyond it nothing of the answer is taken."""
    on_partial: Literal["keep", "publish"] = "keep"
    """What becomes of answers with errors beside data: `keep` the old values, or `publish` what came."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.metrics and self.rows is None:
            raise ValueError("has neither metrics nor rows, so nothing would come of it; add metrics")
        if self.timeout is not None and self.timeout > self.interval:
            raise ValueError("timeout is longer than interval; shorten it, or poll less often")
        if self.period is not None and self.window is None:
            raise ValueError("period needs a window, whose end it counts to; add window")
        if self.audit is not None and self.period is None:
            raise ValueError("audit needs a period, whose totals it asks for again; add period")
        if self.audit is not None and self.period is not None and self.audit.after >= _shortest(self.period):
            raise ValueError("audit comes after the next period has ended already; shorten after")
        if isinstance(self.period, timedelta) and self.period < 2 * self.interval:
            raise ValueError(
                "period is shorter than two intervals, so a period's end could be jumped over; lengthen it"
            )
        feeding = [name for name, over in self.for_each.items() if isinstance(over, RowsOf)]
        if len(feeding) > 1:
            raise ValueError("for_each names more than one query; chain them: let one query be for each row of another")
        if self.batch is not None and not self.for_each:
            raise ValueError("batch needs for_each, whose rows it groups; add for_each")
        if self.batch is not None and len(self.for_each) > 1:
            raise ValueError("batch groups the rows of one for_each entry; keep one")
        if self.pack is not None and not self.for_each:
            raise ValueError("pack needs for_each, whose calls it puts together; add for_each")
        if self.pack is not None and self.pages is not None:
            raise ValueError("pack and pages cannot stand together, as each target has pages of its own; keep one")
        if self.pages is not None and self.rows is None:
            raise ValueError("pages needs rows, the list that comes in pages; add rows")
        return self

    @property
    def timeout_seconds(self) -> float:
        """Seconds that one poll may take in total; never above the interval."""
        return min(self.timeout or timedelta(seconds=10), self.interval).total_seconds()

    @property
    def stale_after_seconds(self) -> float:
        """Seconds after which the last good values are dropped: by default 5 intervals, at least 10 minutes."""
        return (self.stale_after or max(5 * self.interval, timedelta(minutes=10))).total_seconds()


class Lookup(Strict):
    """Names for ids: from the rows of a query, or from a table in the file."""

    name: Name
    """The name, for `{lookup: name, …}` in labels."""
    rows_of: Name | None = None
    """The query whose rows it is made of; with `key` and `fields`."""
    key: Path_ | None = None
    """Which field of those rows is the key."""
    fields: Mapping[ReferenceName, Path_] = Field(default_factory=dict)
    """Which field of those rows each field of the lookup is."""
    table: Mapping[str, Mapping[ReferenceName, str]] | None = None
    """Key → the fields, written here instead."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        parts = (self.rows_of is not None, self.key is not None, bool(self.fields))
        if (self.table is not None and any(parts)) or (self.table is None and not all(parts)):
            raise ValueError("needs either rows_of, key and fields, or table")
        return self


class Config(Strict):
    """A whole configuration file."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where to ask, and as whom."""
    queries: Annotated[tuple[Query, ...], Field(min_length=1)]
    """What to ask, and what becomes of it; this, `include` or both."""
    include: tuple[str, ...] = ()
    """Ready-made queries of Choreo Insights, by group."""
    lookups: tuple[Lookup, ...] = ()
    """Names for ids."""
    max_series: Count = 200_000
    """The most series in all; beyond it nothing of an answer is taken."""
