"""Cases of what the API answers: each touches one query, all share a source (rows 5 to 38, 65)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any, Final

from tests.faults.causes import api, api_of, then_closed
from tests.faults.experiment import Case, Sign, who_is_known
from tests.faults.signs import asked, every, fails, goes_on, grows, publishes, shows
from tests.support.upstream import (
    HEAD,
    Behaviour,
    after,
    answer,
    close,
    dribble,
    endless,
    gzipped,
    oddly,
    raw,
    reply,
    reset,
    silence,
    status,
)

GOOD: Final = b'{"data":{"value":1}}'
_NO: Final = [{"message": "no such thing"}]


def case(row: int, variant: str, behaviour: Behaviour, sign: Sign, **more: Any) -> Case:
    """A case in which the API answers so."""
    return Case(row, variant, api(behaviour), sign, **more)


def _items(*items: Mapping[str, object]) -> dict[str, Any]:
    return {"items": list(items)}


ROWS_QUERY: Final = {"rows": "items", "labels": {"id": "id"}}
A, B = {"id": "a", "value": 1}, {"id": "b", "value": 2}
ROWED: Final[dict[str, Any]] = {"selection": "{ items { id value } }", "query": ROWS_QUERY, "sound": _items(A, B)}

_WILD: Final = ('"', "\\", "\n", "\0", "😀", "l" * 1_000_000)
_WILD_ANSWER: Final = json.dumps({"data": _items(*({"id": text, "value": 1} for text in (*_WILD, "\ud800")))}).encode()

THE_WIRE: Final = (
    case(5, "silence", silence, fails("timeout")),
    case(6, "headers", dribble(b"HTTP/1.1 200 OK\r\n" * 99, pause_seconds=0.5), fails("timeout")),
    case(
        7,
        "body",
        raw(HEAD + b"content-length: 999\r\n\r\n", then=dribble(b" " * 999, pause_seconds=0.5)),
        fails("timeout"),
    ),
    case(8, "reset", reset, every(fails("reset"), asked(at_most_per_poll=2))),
    case(8, "closed", close, every(fails("reset"), asked(at_most_per_poll=2))),
    case(9, "reset", raw(HEAD + b"content-length: 20\r\n\r\n" + GOOD[:9], then=reset), fails("reset")),
    case(9, "closed", raw(HEAD + b"content-length: 99\r\n\r\n" + GOOD), fails("reset")),
    case(10, "chunks", raw(HEAD + b"transfer-encoding: chunked\r\n\r\n14\r\n" + GOOD + b"\r\n"), fails("reset")),
    case(11, "idle", then_closed(who_is_known(reply(GOOD))), goes_on),
    case(12, "ssh", raw(b"SSH-2.0-OpenSSH_9.2\r\n", then=silence), fails("protocol")),
    case(12, "chunk", raw(HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", then=silence), fails("protocol")),
    case(13, "header", raw(HEAD + b"x: " + b"y" * 204_800, then=silence), fails("protocol")),
    case(14, "interim", endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause_seconds=0.02), fails("timeout")),
    case(16, "length", raw(HEAD + b"content-length: 10000000000\r\n\r\n", then=silence), fails("too_large")),
    case(18, "gzip", reply(b"\x1f\x8b" + GOOD, headers={"content-encoding": "gzip"}), fails("decode")),
    case(18, "gzip_cut", reply(gzip.compress(GOOD)[:-4], headers={"content-encoding": "gzip"}), fails("decode")),
    case(18, "brotli", gzipped(GOOD, encoding="br"), fails("decode")),
    case(82, "odd", oddly(reply(GOOD)), goes_on),
    case(82, "plain", reply(GOOD, content_type="text/plain"), goes_on),
    case(82, "page", reply(GOOD, content_type="text/html; charset=utf-8"), goes_on),
    *(
        case(100, name, reply(body, headers={"content-encoding": "gzip"}), goes_on)
        for name, body in {
            "members": gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:]),
            "zeros": gzip.compress(GOOD) + bytes(512),
            "empty": gzip.compress(GOOD) + gzip.compress(b""),
        }.items()
    ),
    Case(
        65,
        "slow",
        api_of(lambda place: after(3 * place.pace.interval_seconds, reply(GOOD))),
        every(fails("timeout"), shows("polls_in_flight", lambda polls: polls <= 1), grows("poll_overruns_total")),
    ),
)

THE_BODY: Final = (
    case(19, "invalid", reply(b"{'data': {}}"), fails("json")),
    case(19, "truncated", reply(GOOD[:-1]), fails("json")),
    case(20, "deep", reply(b'{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), fails("json")),
    case(21, "digits", reply(b'{"data":{"value":' + b"9" * 5000 + b"}}"), fails("json")),
    case(22, "utf8", reply(b'{"data":{"value":"\xff"}}'), fails("json")),
    case(22, "mark", reply(b"\xef\xbb\xbf" + GOOD), goes_on),
    case(22, "utf16", reply(GOOD.decode().encode("utf-16")), fails("json")),
    case(23, "null", reply(b"null"), fails("schema")),
    case(23, "list", reply(b"[]"), fails("schema")),
    case(23, "string", reply(b'"x"'), fails("schema")),
    case(23, "object", reply(b"{}"), fails("schema")),
    case(24, "page", status(200), fails("content_type")),
    case(25, "page", status(502), fails("http_5xx")),
    case(26, "no_content", raw(b"HTTP/1.1 204 No Content\r\n\r\n"), fails("json")),
    case(26, "empty", reply(b""), fails("json")),
    case(29, "errors", answer({"data": None, "errors": _NO}), fails("graphql")),
    case(30, "kept", answer({"data": {"value": 2}, "errors": _NO}), fails("graphql")),
    case(
        30,
        "published",
        answer({"data": {"value": 2}, "errors": _NO}),
        every(goes_on, publishes(({}, 2)), shows("query_partial", lambda partial: partial == 1)),
        query={"on_partial": "publish"},
    ),
    case(31, "empty", answer({"data": {"value": 1}, "errors": []}), goes_on),
    case(31, "null", answer({"data": {"value": 1}, "errors": None}), goes_on),
    case(31, "string", answer({"data": {"value": 1}, "errors": "x"}), fails("graphql")),
    case(
        32,
        "graphql",
        answer({"errors": _NO}, code=400, content_type="application/graphql-response+json"),
        fails("graphql"),
    ),
)

THE_DATA: Final = (
    case(33, "null", answer({"data": {"value": None}}), every(goes_on, publishes())),
    case(33, "missing", answer({"data": {}}), fails("schema")),
    case(33, "object", answer({"data": {"value": {"a": 1}}}), fails("schema")),
    case(
        33,
        "no_object",
        answer({"data": {"outer": "x"}}),
        fails("schema"),
        selection="{ outer { value } }",
        metric={"value": "outer.value"},
        sound={"outer": {"value": 1}},
    ),
    case(
        34,
        "numbers",
        reply(
            b'{"data":{"items":[{"id":"nan","value":NaN},{"id":"inf","value":Infinity},{"id":"big","value":1e308},'
            b'{"id":"over","value":1e999},{"id":"zero","value":-0},{"id":"2^63","value":9223372036854775808},'
            b'{"id":"2^53","value":9007199254740991},{"id":"true","value":true},{"id":"text","value":"12"},'
            b'{"id":"word","value":"abc"},{"id":"null","value":null}]}}'
        ),
        every(
            goes_on,
            publishes(
                ({"id": "big"}, 1e308),
                ({"id": "zero"}, 0),
                ({"id": "2^63"}, 2.0**63),
                ({"id": "2^53"}, 9007199254740991),
            ),
            grows("values_skipped_total", by=3, reason="not_finite"),
            grows("values_skipped_total", by=3, reason="not_a_number"),
        ),
        **ROWED,
    ),
    case(
        34,
        "texts",
        answer({"data": _items({"id": "a", "value": "12"}, {"id": "b", "value": "abc"})}),
        every(goes_on, publishes(({"id": "a"}, 12))),
        metric={"from": "string"},
        **ROWED,
    ),
    case(
        34,
        "booleans",
        answer({"data": _items({"id": "a", "value": True}, {"id": "b", "value": False})}),
        every(goes_on, publishes(({"id": "a"}, 1), ({"id": "b"}, 0))),
        metric={"from": "boolean"},
        **{**ROWED, "sound": _items({"id": "a", "value": True})},
    ),
    case(36, "refused", answer({"data": _items(A, A)}), fails("duplicate_series"), **ROWED),
    case(
        36,
        "summed",
        answer({"data": _items(A, A)}),
        every(goes_on, publishes(({"id": "a"}, 2))),
        metric={"aggregate": "sum"},
        **ROWED,
    ),
    case(
        37,
        "labels",
        reply(_WILD_ANSWER),
        every(goes_on, publishes(*(({"id": text}, 1) for text in (*_WILD, "\N{REPLACEMENT CHARACTER}")))),
        **ROWED,
    ),
    case(38, "gone", answer({"data": _items(A)}), every(goes_on, publishes(({"id": "a"}, 1))), **ROWED),
)

CASES: Final = (*THE_WIRE, *THE_BODY, *THE_DATA)
