"""Imports structlog and httpx without rich and Pygments, of which both take hold where they are installed.

Our own `query`, `verify` and `backfill` print with rich and import it themselves. Everybody else would pay 0.1 s at
each start and 4 MB for good, for a traceback in colours and httpx' own command, neither of which is used.
"""

import sys

_NEEDLESS = [name for name in ("rich", "pygments") if name not in sys.modules]

sys.modules.update(dict.fromkeys(_NEEDLESS))  # type: ignore[arg-type]  # None: an import says that there is none
try:
    import httpx
    import structlog
finally:
    for _name in _NEEDLESS:
        del sys.modules[_name]

__all__ = ["httpx", "structlog"]
