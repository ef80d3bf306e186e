"""Blocks of deflated bytes that make one gzip member, in any order."""

from __future__ import annotations

import gzip
import random
import zlib

from exporter.exposition.block import Block, OpenMember


def test_blocks_of_all_sizes_are_one_gzip_member() -> None:
    """Decoders that stop after the first member see everything."""
    source = random.Random(2)
    raws = [bytes(source.choices(b"abc\n", k=size)) for size in (0, 1, 5, 5000, 32768, 32769, 200_000, 0, 7)]
    member = OpenMember().with_blocks([Block.of(raws[:4]), Block.of([raws[4]])])
    whole = member.with_blocks([Block.of([raw]) for raw in raws[5:]]).close()
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert decoder.decompress(whole) == b"".join(raws)
    assert decoder.eof
    assert decoder.unused_data == b""


def test_nothing_is_a_gzip_member_too() -> None:
    """An empty page can be asked for in gzip."""
    assert gzip.decompress(OpenMember().close()) == b""
    assert gzip.decompress(OpenMember().with_blocks([Block.of([]), Block.of([b""])]).close()) == b""


def test_blocks_can_stand_in_any_order_and_again() -> None:
    """A block does not refer to what stands before it, so that it is deflated once, wherever it comes to stand."""
    one, two = Block.of([b"abc" * 5000]), Block.of([b"cab" * 5000, b"x"])
    for order in ([one, two], [two, one], [one, one, two]):
        whole = b"".join(piece for block in order for piece in block.raw)
        assert gzip.decompress(OpenMember().with_blocks(order).close()) == whole


def test_a_block_has_its_bytes_and_their_length() -> None:
    """They are kept in the pieces in which they came; nothing at all takes no bytes when it is deflated either."""
    block = Block.of([b"one\n", b"two\n" * 1000])
    assert block.raw == (b"one\n", b"two\n" * 1000)
    assert block.length == 4004
    assert len(block.deflated) < 100
    assert Block.of([]) == Block()
    assert Block().deflated == b""


def test_a_member_goes_on_without_changing_what_was_there() -> None:
    """The polled series are the same for many scrapes; each gets its own end."""
    start = OpenMember().with_blocks([Block.of([b"polled\n"])])
    ends = [start.with_blocks([Block.of([own])]).close() for own in (b"own 1\n", b"own 2\n")]
    assert [gzip.decompress(end) for end in ends] == [b"polled\nown 1\n", b"polled\nown 2\n"]
    assert gzip.decompress(start.close()) == b"polled\n"
    assert (start.length, start.crc32) == (7, zlib.crc32(b"polled\n"))
