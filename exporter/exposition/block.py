"""Bytes with their deflated form, made so that any sequence of blocks is one gzip member without deflating again."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from msgspec import Struct
from zlib_ng import zlib_ng

# zlib-ng's level 5 makes pages 6 % smaller than `gzip -6` and takes three quarters of the time of zlib's level 4.
_LEVEL = 5
_MEMBER_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, no system (RFC 1952 §2.3)
_LAST_BLOCK = b"\x03\x00"  # an empty block with fixed codes and the final bit (RFC 1951 §3.2.3)


class Block(Struct, frozen=True):
    """Some bytes, in pieces, and the same bytes deflated: raw, starting with an empty window and ending on a byte
    (full flush)."""

    raw: tuple[bytes, ...] = ()
    deflated: bytes = b""

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> Block:
        """The block of these pieces. This is where they are deflated; it takes 3 µs a kilobyte."""
        deflate = zlib_ng.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        raw, deflated = [], []
        for piece in pieces:
            raw.append(piece)
            deflated.append(deflate.compress(piece))
        return cls(tuple(raw), b"".join((*deflated, deflate.flush(zlib.Z_FULL_FLUSH)))) if raw else cls()

    @property
    def length(self) -> int:
        """Bytes before they were deflated."""
        return sum(map(len, self.raw))


class OpenMember(Struct, frozen=True):
    """A gzip member (RFC 1952) without its end. `crc32` and `length` are those of the raw bytes so far.

    The checksum runs through all raw bytes: zlib-ng takes 0.7 ms for the 11 MB of 100 000 series.
    """

    deflated: tuple[bytes, ...] = ()
    crc32: int = 0
    length: int = 0

    def with_blocks(self, blocks: Iterable[Block]) -> OpenMember:
        """The member with these blocks behind what it has. Nothing is deflated."""
        deflated, crc32, length = list(self.deflated), self.crc32, self.length
        for block in blocks:
            deflated.append(block.deflated)
            for piece in block.raw:
                crc32 = zlib_ng.crc32(piece, crc32)
                length += len(piece)
        return OpenMember(tuple(deflated), crc32, length)

    def close(self) -> bytes:
        """The whole member."""
        trailer = struct.pack("<LL", self.crc32, self.length & 0xFFFFFFFF)
        return b"".join((_MEMBER_HEAD, *self.deflated, _LAST_BLOCK, trailer))
