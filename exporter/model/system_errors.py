"""Errors of the system and of TLS in words."""

from __future__ import annotations

import os
import re


def tls_problem(error: BaseException) -> str:
    """What OpenSSL says, without its codes and the place in its source."""
    text = re.sub(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$", "", str(error))
    return text or "the connection was closed during the TLS handshake"


def os_problem(error: BaseException | None) -> str:
    """The system's own words for an error, looked for in what it was raised from."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror
        error = error.exceptions[0] if isinstance(error, ExceptionGroup) else error.__cause__ or error.__context__
    return "no more is known"
