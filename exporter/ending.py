"""How the process ends: at once, or at the latest after some seconds."""

from __future__ import annotations

import os
import sys
import threading
from typing import NoReturn


def exit_at_once(code: int) -> NoReturn:
    """Ends the process at once: a hung name look-up in a thread must not hold it up."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


def exit_within(seconds: float, code: int) -> None:
    """Ends the process after that time, whatever it does then."""
    timer = threading.Timer(seconds, exit_at_once, (code,))
    timer.daemon = True
    timer.start()
