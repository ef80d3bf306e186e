"""The head of an answer as h11 takes it: what every other client passes over is taken out before.

What is left to h11, and so refused: more than 100 KiB, a status line of another form, a Content-Length that is no
number or is two, a Transfer-Encoding other than chunked. More than 1 000 fields are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MAX_BYTES: Final = 100 * 1024  # httpcore's own limit
MAX_FIELDS: Final = 1000  # each is looked at many times on the event loop, and 100 KiB hold 25 000
_END: Final = re.compile(rb"\r?\n\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_TOKEN: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")  # RFC 9110 §5.6.2
_NOT_IN_A_VALUE: Final = bytes.maketrans(b"\0\v\f\r\x1c\x1d\x1e\x1f", b"        ")
_INTERIM: Final = re.compile(rb"HTTP/\d\.\d 1(?!01)\d\d(?!\d)")  # 101 is an answer: what follows is no HTTP


class TooManyFields(ValueError):
    """An answer has more header fields than `MAX_FIELDS`."""


class HeadReader:
    """Collects the bytes of an answer until its head is whole, and gives it back in h11's form.

    `is_done` says that the final head has gone by, so that all that follows is the body.
    """

    def __init__(self) -> None:
        self._received = bytearray()
        self._searched = 0
        self.is_done = False

    def add(self, data: bytes) -> bytes:
        """What can be passed on: nothing while the final head is not whole; as it came where it is too long for one.
        Interim answers are never passed on: h11 would take its time for thousands of them.

        Raises `TooManyFields`.
        """
        self._received += data
        passed = b""
        while not self.is_done and (end := _END.search(self._received, max(0, self._searched - 3))) is not None:
            head = bytes(self._received[: end.end()])
            del self._received[: end.end()]
            self._searched = 0
            if _INTERIM.match(head) is None:
                self.is_done = True
                passed = _clean(head)
        self._searched = len(self._received)
        if self.is_done or len(self._received) > MAX_BYTES:
            self.is_done = True
            passed += self.rest()
        return passed

    def rest(self) -> bytes:
        """What came of a head that is not whole."""
        rest = bytes(self._received)
        self._received.clear()
        return rest


def _clean(head: bytes) -> bytes:
    status, *lines = _LINE_END.split(head.rstrip(b"\r\n"))
    if len(lines) > MAX_FIELDS:
        raise TooManyFields
    return b"\r\n".join([status, *_fields(lines)]) + b"\r\n\r\n"


def _fields(lines: list[bytes]) -> Iterator[bytes]:
    """The lines that are fields, each with what continues it; of repeated codings one."""
    is_kept, has_coding = False, False
    for line in lines:
        if line.startswith((b" ", b"\t")):
            if is_kept:
                yield line.translate(_NOT_IN_A_VALUE)
            continue
        name, colon, value = line.partition(b":")
        name, value = name.rstrip(b" \t"), value.translate(_NOT_IN_A_VALUE).strip()
        is_kept = bool(colon) and _TOKEN.fullmatch(name) is not None
        if is_kept and name.lower() == b"transfer-encoding":
            is_kept = value.lower() != b"identity" and not (has_coding and value.lower() == b"chunked")
            has_coding = has_coding or is_kept
        if is_kept:
            yield name + b": " + value
