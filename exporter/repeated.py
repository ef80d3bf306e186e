"""An answer that is sent again and again, given to the kernel once: sendfile(2) out of memory copies nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

_WORTH_BYTES: Final = 16384  # less is copied sooner than it is asked for


class Repeated:
    """Notices when the same answer is sent twice in a row, and has the kernel keep it until there is another.

    Only Linux has memory that is a file. Where there is none, or no more of it, nothing is sent here.
    """

    def __init__(self) -> None:
        self._head = b""
        self._body = b""
        self._file: int | None = None

    def sent(self, socket: int, head: bytes, body: bytes) -> int:
        """How many bytes of head and body the socket has taken; what is left is for the caller to send."""
        if len(body) < _WORTH_BYTES:
            return 0
        if body is not self._body or head != self._head:
            self.forget()
            self._head, self._body = head, body
            return 0
        try:
            if self._file is None:
                self._file = os.memfd_create("answer")
                os.writev(self._file, (head, body))
            return os.sendfile(socket, self._file, 0, len(head) + len(body))
        except (OSError, AttributeError):  # the socket takes nothing now, among others
            return 0

    def forget(self) -> None:
        """Lets go of the answer. What sockets have taken of it stays with them."""
        self._head = self._body = b""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None
