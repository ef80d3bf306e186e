"""Which of several exporters polls what: a stable split of one configuration, without a word between them."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from msgspec import Struct

_ORDINAL: Final = re.compile(r"-(\d{1,6})$")
_MASK: Final = 2**64 - 1


class Shard(Struct, frozen=True):
    """One of `count` exporters of the same configuration; the first has index 0."""

    index: int = 0
    count: int = 1

    def owns(self, *parts: str) -> bool:
        """Whether what these words name is this one's."""
        return self.count == 1 or shard_of("\0".join(parts), self.count) == self.index


NOT_SPLIT: Final = Shard()


def shard_of(key: str, count: int) -> int:
    """The index, below `count`, that a key belongs to. From n to n + 1 shards 1/(n + 1) of the keys move, to the new.

    Jump consistent hash (Lamping and Veach, arXiv:1406.2294), as shards come and go at the end, by number.
    """
    state = int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    found, following = -1, 0
    while following < count:
        found = following
        state = (state * 2862933555777941757 + 1) & _MASK
        following = int((found + 1) * (2**31 / ((state >> 33) + 1)))
    return found


def shard_of_flags(index: str | None, count: int, host_name: str) -> Shard:
    """The shard that the flags mean; `auto` is the ordinal at the end of the host's name, as a StatefulSet gives it.

    Raises `ValueError` with what would be right.
    """
    if index is None:
        if count > 1:
            raise ValueError(f"with --shards={count}, say which one this is: --shard=0 to --shard={count - 1}, or auto")
        return NOT_SPLIT
    if index == "auto":
        ordinal = _ORDINAL.search(host_name)
        if ordinal is None:
            raise ValueError(f"auto needs a host name that ends in a number, such as exporter-0; it is {host_name}")
        number = int(ordinal[1])
    elif index.isascii() and index.isdecimal():
        number = int(index)
    else:
        raise ValueError(f"{index!r} is neither a number nor auto")
    if number >= count:
        raise ValueError(f"with --shards={count}, shards are 0 to {count - 1}; this is {number}")
    return Shard(number, count)
