"""What the sections of a configuration are made of: their base, and the scalars with their rules. No I/O.

Every rule's text says what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import idna
from msgspec.structs import replace
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)

from exporter.model.duration import duration_seconds
from exporter.model.response_path import PATH_PATTERN, ResponsePath, parse_path
from exporter.model.samples import Json
from exporter.model.secret import FromEnvironment, Secret
from exporter.model.template import Template, parse_template
from exporter.model.time_format import TimeFormat, parse_time_format
from exporter.model.window import CALENDAR_PERIODS, Period, aligns

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_WORD: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
_REFERENCE_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED_PREFIXES: Final = ("insights_exporter_", "process_", "python_")
_RESERVED_LABELS: Final = frozenset({"job", "instance"})
_RESERVED_ROOTS: Final = frozenset({"source", "window", "period"})
_CREDENTIAL_NAME: Final = re.compile(r"(?i)auth|cookie|credential|key|password|secret|session|token")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_FOUR_NUMBERS: Final = re.compile(r"[0-9]+(\.[0-9]+){3}")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")
_BYTES: Final = re.compile(r"([0-9]{1,15})\s*(B|KB|KiB|MB|MiB|GB|GiB)?")
_BYTE_UNITS: Final = {"B": 1, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        unit = f"write {value}s" if isinstance(value, int) and not isinstance(value, bool) else "write 30s or 5m"
        raise ValueError(f"a duration is text with a unit; {unit}")
    return timedelta(seconds=duration_seconds(value))


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0; write a time such as 30s")
    return value


def _alignment(value: timedelta) -> timedelta:
    if not aligns(value):
        raise ValueError("must divide a day without remainder (1s, 30s, 1m, 15m, 1h, 1d), or be 7d")
    return value


def _count(value: object) -> int:
    if not _COUNT.fullmatch(str(value)):
        raise ValueError("not a count; write a whole number of 1 or more")
    return int(str(value))


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
    if value in CALENDAR_PERIODS:
        return value
    try:
        return _positive(_duration(value))
    except ValueError:
        raise ValueError("not a period; write day, week, month, quarter, year or a duration such as 6h") from None


def _time_format(value: object) -> TimeFormat:
    return value if isinstance(value, TimeFormat) else parse_time_format(str(value))


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_domain_name(host: str) -> bool:
    """Whether httpx takes a host: it encodes letters beyond ASCII by IDNA 2008 (RFC 5891), and decodes `xn--…`."""
    try:
        if not host.isascii():
            idna.encode(host)
        elif host.startswith("xn--"):
            idna.decode(host)
    except idna.IDNAError:
        return False
    return True


def check_url(value: str) -> str:
    """An HTTP URL, without a line end behind it, as YAML's `|` leaves one. Raises `ValueError`, also where it carries a
    user or a password."""
    value = value.rstrip("\r\n")
    if value != value.strip() or _CONTROL.search(value):  # which urlsplit drops, and who sends it refuses or encodes
        raise ValueError("has a line end, a control character, or a blank around it; write it in one line without them")
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        valid = parts.scheme in ("http", "https") and host != "" and " " not in host and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("not a URL; write one such as https://host/path")
    if _FOUR_NUMBERS.fullmatch(host) and not _is_address(host):
        raise ValueError("its host is not an IPv4 address; write one such as 192.0.2.1")
    if not _is_domain_name(host):
        raise ValueError("its host is not an international domain name (IDNA); write one such as münchen.example")
    if parts.username or parts.password:
        raise ValueError("a URL must not carry a user or a password; use basic_auth")
    return value


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("must be text that is not empty; write ${NAME} to take it from the environment")
    return Secret(inline=value)


def _name_secret(value: object) -> Secret:
    """Not shown in any case, but what was written down in the file is not searched for in answers."""
    made = _secret(value)
    return replace(made, is_credential=isinstance(value, FromEnvironment)) if made is not value else made


def names_credential(name: str) -> bool:
    """Whether a header or a parameter of that name holds a credential."""
    return _CREDENTIAL_NAME.search(name) is not None


def mark_credentials(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Headers, of which those are credentials whose names say so."""
    return {
        name: replace(value, is_credential=True) if isinstance(value, Secret) and names_credential(name) else value
        for name, value in values.items()
    }


def resolve_path(file: Path, info: ValidationInfo) -> Path:
    """The path as meant: relative ones start at the configuration's folder, as in Prometheus."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / file


def _secret_source(value: object, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    match value:
        case {"env": str(name), **rest} if not rest and name:
            return Secret(env=name)
        case {"file": str(path), **rest} if not rest and path:
            return Secret(file=resolve_path(Path(path), info))
    raise ValueError("not a secret value; write {env: NAME} or {file: PATH}")


def _parameter(value: object, info: ValidationInfo) -> str | Secret:
    match value:
        case str() | Secret():
            return value
        case {"secret": str(text), **rest} if not rest and text:
            return Secret(inline=text)
    try:
        return _secret_source(value, info)
    except ValueError:
        raise ValueError(
            "not a parameter; write text in quotes, or {secret: TEXT}, {env: NAME} or {file: PATH}"
        ) from None


def _parameters(value: object) -> object:
    """A parameter may be sent several times, as in Prometheus' `params`, and seldom is."""
    return value if isinstance(value, list | tuple) else (value,)


def _metric_name(value: str) -> str:
    if not _METRIC_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a metric name; use letters, digits, _ and :, and no digit first")
    if value.startswith(_RESERVED_PREFIXES):
        prefix = next(prefix for prefix in _RESERVED_PREFIXES if value.startswith(prefix))
        raise ValueError(f"names that begin with {prefix} are the exporter's own; choose another prefix")
    return value


def check_label_name(value: str) -> str:
    """A label's name as it is. Raises `ValueError`."""
    if not _LABEL_NAME.fullmatch(value):
        raise ValueError("not a label name; use letters, digits and _, and no digit first")
    if value in _RESERVED_LABELS or value.startswith("__"):
        raise ValueError(f"the label {value} is reserved by Prometheus; choose another name")
    return value


def check_name(value: str) -> str:
    """The name of an entry as it is. Raises `ValueError`."""
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
        raise ValueError("a response path is text; write one such as usage.count")
    return parse_path(value)


def _template(value: Json) -> Template:
    return parse_template(value)


Conditions: TypeAlias = Mapping[str, tuple[Json, ...]]


def conditions(where: Mapping[str, object]) -> tuple[Conditions, Conditions]:
    """The values that fields have, and those that they do not have. Raises `ValueError`."""
    positive, negative = {}, {}
    for name, values in where.items():
        match values:
            case {"not": unwanted, **rest} if not rest:
                negative[str(name)] = _scalars(unwanted)
            case _:
                positive[str(name)] = _scalars(values)
    return positive, negative


def _scalars(values: object) -> tuple[Json, ...]:
    wanted = tuple(values) if isinstance(values, list) else (values,)
    if not wanted or any(not isinstance(value, str | int | float | None) for value in wanted):
        raise ValueError(
            "where compares a field with a scalar or a list of scalars; write {field: value} or {field: {not: value}}"
        )
    return wanted


DURATION_PATTERN: Final = r"^([0-9]+(y|w|d|h|m|s|ms))+$"
URL_PATTERN: Final = "^https?://"
WORD_PATTERN: Final = f"^{_WORD.pattern}$"
METRIC_NAME_PATTERN: Final = f"^(?!{'|'.join(_RESERVED_PREFIXES)}){_METRIC_NAME.pattern}$"
LABEL_NAME_PATTERN: Final = f"^(?!__|(?:{'|'.join(sorted(_RESERVED_LABELS))})$){_LABEL_NAME.pattern}$"
SIZE_PATTERN: Final = f"^{_BYTES.pattern}$"
_TEXT_SCHEMA: Final = WithJsonSchema({"type": "string"})
_SIZE_SCHEMA: Final = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "minimum": 1}]}
)
_DURATION: Final = {"type": "string", "pattern": DURATION_PATTERN}
_DURATION_SCHEMA: Final = WithJsonSchema(_DURATION)
_PERIOD_SCHEMA: Final = WithJsonSchema({"anyOf": [{"enum": list(CALENDAR_PERIODS), "type": "string"}, _DURATION]})
_NAME_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": WORD_PATTERN})
PATH_SCHEMA: Final = {"type": "string", "pattern": PATH_PATTERN}

Duration: TypeAlias = Annotated[timedelta, BeforeValidator(_duration), _DURATION_SCHEMA]
PositiveDuration: TypeAlias = Annotated[
    timedelta, BeforeValidator(_duration), AfterValidator(_positive), _DURATION_SCHEMA
]
Alignment: TypeAlias = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_alignment), _DURATION_SCHEMA]
File: TypeAlias = Annotated[Path, AfterValidator(resolve_path)]
Count: TypeAlias = Annotated[int, BeforeValidator(_count), Field(ge=1)]
ByteCount: TypeAlias = Annotated[int, BeforeValidator(_byte_count), _SIZE_SCHEMA]
Zone: TypeAlias = Annotated[Any, BeforeValidator(_zone), PlainSerializer(str), _TEXT_SCHEMA]
PeriodLength: TypeAlias = Annotated[Any, BeforeValidator(_period), _PERIOD_SCHEMA]
TimeForm: TypeAlias = Annotated[Any, BeforeValidator(_time_format), _TEXT_SCHEMA]
_URL_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": URL_PATTERN})
_METRIC_NAME_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": METRIC_NAME_PATTERN})
_LABEL_NAME_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": LABEL_NAME_PATTERN})
Url: TypeAlias = Annotated[str, AfterValidator(check_url), _URL_SCHEMA]
Name: TypeAlias = Annotated[str, AfterValidator(check_name), _NAME_SCHEMA]
MetricName: TypeAlias = Annotated[str, AfterValidator(_metric_name), _METRIC_NAME_SCHEMA]
LabelName: TypeAlias = Annotated[str, AfterValidator(check_label_name), _LABEL_NAME_SCHEMA]
ReferenceName: TypeAlias = Annotated[str, AfterValidator(_reference_name), _LABEL_NAME_SCHEMA]
Path_: TypeAlias = Annotated[ResponsePath, BeforeValidator(_path), WithJsonSchema(PATH_SCHEMA)]
SecretText: TypeAlias = Annotated[Secret, BeforeValidator(_secret), PlainSerializer(str), _TEXT_SCHEMA]
SecretSource: TypeAlias = Annotated[
    Secret,
    BeforeValidator(_secret_source),
    PlainSerializer(str),
    WithJsonSchema({"type": "object", "properties": {"env": {"type": "string"}, "file": {"type": "string"}}}),
]
_FORM: Final = {
    "type": "object",
    "properties": {"secret": {"type": "string"}, "env": {"type": "string"}, "file": {"type": "string"}},
}
_PARAMETER_SCHEMA: Final = {"anyOf": [{"type": "string"}, _FORM]}
Parameter: TypeAlias = Annotated[Any, BeforeValidator(_parameter), WithJsonSchema(_PARAMETER_SCHEMA)]
Parameters: TypeAlias = Annotated[
    tuple[Parameter, ...],
    BeforeValidator(_parameters),
    WithJsonSchema({"anyOf": [*_PARAMETER_SCHEMA["anyOf"], {"type": "array", "items": _PARAMETER_SCHEMA}]}),
]
# Not shown, as secrets are not, but a name if it is written in the file: it is not searched for in answers.
NameText: TypeAlias = Annotated[Secret, BeforeValidator(_name_secret), PlainSerializer(str), _TEXT_SCHEMA]
Tree: TypeAlias = Annotated[Any, BeforeValidator(_template), WithJsonSchema({})]


class Strict(BaseModel):
    """The base of every section: frozen, and no unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        defer_build=True,  # a section within another is validated by that one, and needs no validator of its own
    )
