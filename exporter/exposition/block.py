"""Bytes with their deflated form, made so that any sequence of blocks is one gzip member without deflating again."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, repeat

# Measured on pages of 12 and 17 MB: level 4 takes two thirds of level 6's time and is 1 to 7 % larger.
DEFLATE_LEVEL = 4

_MEMBER_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, no system (RFC 1952 §2.3)
_LAST_BLOCK = b"\x03\x00"  # an empty block with fixed codes and the final bit (RFC 1951 §3.2.3)

_POLYNOMIAL = 0xEDB88320  # CRC-32's, bits reversed (RFC 1952 §8)
_ONE = 0x80000000  # the polynomial 1 in that order of bits: the highest bit is x^0
_X8 = _ONE >> 8
_RUN_THROUGH_BYTES = 16384  # up to here, running through the bytes is faster than multiplying polynomials
_RUN = 16


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes and the same bytes deflated: raw, starting with an empty window and ending on a byte (full flush).

    Both are kept in pieces, so that joining blocks copies references. `crc32` and `length` are those of the raw bytes.
    """

    raw: tuple[bytes, ...] = ()
    deflated: tuple[bytes, ...] = ()
    crc32: int = 0
    length: int = 0

    @classmethod
    def of(cls, raw: bytes) -> Block:
        """The block of these bytes. This is where they are deflated; it takes 4 to 6 µs a kilobyte."""
        if not raw:
            return cls()
        deflate = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        deflated = deflate.compress(raw) + deflate.flush(zlib.Z_FULL_FLUSH)
        return cls((raw,), (deflated,), zlib.crc32(raw), len(raw))

    @classmethod
    def joined(cls, blocks: Iterable[Block]) -> Block:
        """One block after the other, as one. Nothing is deflated."""
        blocks = tuple(blocks)
        if len(blocks) == 1:
            return blocks[0]
        crc32 = length = 0
        for block in blocks:
            if block.length <= _RUN_THROUGH_BYTES:
                for piece in block.raw:
                    crc32 = zlib.crc32(piece, crc32)
            else:
                crc32 = combined_crc32(crc32, block.crc32, block.length)
            length += block.length
        return cls(
            tuple(chain.from_iterable(block.raw for block in blocks)),
            tuple(chain.from_iterable(block.deflated for block in blocks)),
            crc32,
            length,
        )


class Chain:
    """Joins blocks one after the other, again and again: what has not changed stays joined.

    They are joined in runs, the runs in runs of runs, and so on, so that one change among n blocks remakes one run on
    each of log(n) floors.
    """

    def __init__(self) -> None:
        self._known: list[tuple[tuple[Block, ...], Block]] = []
        self._above: Chain | None = None

    def joined(self, blocks: Sequence[Block]) -> Block:
        """All of them as one block."""
        runs = [tuple(blocks[at : at + _RUN]) for at in range(0, len(blocks), _RUN)]
        known = islice(chain(self._known, repeat(((), Block()))), len(runs))
        self._known = [was if was[0] == run else (run, Block.joined(run)) for run, was in zip(runs, known, strict=True)]
        joined = [block for _, block in self._known]
        if len(joined) < 2:
            self._above = None  # nor what it knows
            return joined[0] if joined else Block()
        if self._above is None:
            self._above = Chain()
        return self._above.joined(joined)


def gzip_member(block: Block) -> bytes:
    """The block as one whole gzip member (RFC 1952). Only copies bytes."""
    trailer = struct.pack("<LL", block.crc32, block.length & 0xFFFFFFFF)
    return b"".join((_MEMBER_HEAD, *block.deflated, _LAST_BLOCK, trailer))


def combined_crc32(first: int, second: int, second_length: int) -> int:
    """The CRC-32 of two sequences of bytes, one after the other, from theirs and the length of the second.

    A CRC is the remainder of a polynomial: appending n bytes multiplies it by x^(8n). The same arithmetic as zlib's
    `crc32_combine`.
    """
    return _product(_shift(second_length), first) ^ second


@lru_cache(maxsize=4096)
def _shift(length: int) -> int:
    """x^(8·length) modulo the polynomial: what appending that many bytes multiplies a CRC by."""
    shift = _ONE
    position = 0
    while length:
        length, digit = divmod(length, 256)
        if digit:
            shift = _product(shift, _digit_shift(digit, position))
        position += 1
    return shift


@lru_cache(maxsize=1024)
def _digit_shift(digit: int, position: int) -> int:
    """x^(8·digit·256^position) modulo the polynomial."""
    base = _X8
    for _ in range(8 * position):
        base = _product(base, base)
    shift = _ONE
    while digit:
        if digit & 1:
            shift = _product(shift, base)
        base = _product(base, base)
        digit >>= 1
    return shift


def _product(a: int, b: int) -> int:
    """a·b modulo the polynomial, over GF(2)."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product
