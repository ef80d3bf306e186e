"""How the loadings of a configuration went."""

from __future__ import annotations

import time


class ReloadStatus:
    """How the last loading went, when it ended and when one last went well, in Unix time. The first has gone well."""

    def __init__(self) -> None:
        self.successful = True
        self.time = self.success_time = time.time()

    def note(self, *, successful: bool) -> None:
        """Takes in how a loading went."""
        self.successful, self.time = successful, time.time()
        if successful:
            self.success_time = self.time
