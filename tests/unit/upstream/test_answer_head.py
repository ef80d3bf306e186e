"""Heads of answers: what is no field goes, what is one stays as it was, however the bytes come."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as some

from exporter.upstream.answer_head import MAX_BYTES, MAX_FIELDS, HeadReader, TooManyFields

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"


def read(data: bytes, size: int) -> bytes:
    """What is passed on of an answer that comes so many bytes at a time."""
    reader, passed = HeadReader(), b""
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        passed += piece if reader.is_done else reader.add(piece)
    return passed + reader.rest()


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_good_head_and_its_body_are_passed_on_as_they_are(size: int) -> None:
    """Names keep their letters; a body that looks like a head is a body."""
    body = b"HTTP/1.1 500 No\r\nnot a field\r\n\r\n"
    assert read(GOOD + body, size) == GOOD + body


def test_nothing_is_passed_on_before_a_head_is_whole() -> None:
    """h11 sees final heads, not parts of them, and no interim ones."""
    reader = HeadReader()
    assert reader.add(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 2") == b""
    assert reader.add(b"00 OK\r\n") == b""
    assert not reader.is_done
    assert reader.add(b"\r\nbody") == b"HTTP/1.1 200 OK\r\n\r\nbody"
    assert reader.is_done


def test_a_switch_of_protocols_is_an_answer() -> None:
    """What follows 101 is no HTTP, in which no further head is sought."""
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 2"
    assert HeadReader().add(switched) == switched


def test_a_head_without_end_is_not_kept() -> None:
    """Beyond httpcore's limit everything is handed on, so that it refuses."""
    reader = HeadReader()
    endless = b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_BYTES
    assert reader.add(endless) == endless
    assert reader.is_done
    assert reader.rest() == b""


def test_a_head_of_too_many_fields_is_refused() -> None:
    """Each field costs time on the event loop; 1 000 are more than any server sends."""
    head = b"HTTP/1.1 200 OK\r\n" + b"x:\r\n" * MAX_FIELDS
    assert HeadReader().add(head + b"\r\n").count(b"x: ") == MAX_FIELDS
    with pytest.raises(TooManyFields):
        HeadReader().add(head + b"x:\r\n\r\n")


@given(
    some.lists(some.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=8), some.integers(1, 50)
)
def test_whatever_the_lines_are_h11_takes_them(lines: list[bytes], size: int) -> None:
    """No line of a head, in any bytes, fails an answer whose framing is right."""
    framing = {b"content-length", b"transfer-encoding"}
    harmless = [line for line in lines if line.strip(b"\r") and line.partition(b":")[0].strip().lower() not in framing]
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *harmless, b"Content-Length: 4", b"", b""])
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("host", "a"), ("content-length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(read(head + b"body", size))
    response = client.next_event()
    assert isinstance(response, h11.Response)
    data = client.next_event()
    assert isinstance(data, h11.Data)
    assert bytes(data.data) == b"body"
