"""What a piece of work costs, beside another of the same run."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_seconds(work: Callable[[], object]) -> float:
    """The processor time of the work in the best of five runs, which what else the machine does hardly changes."""

    def seconds() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return min(seconds() for _ in range(5))
