"""Small charts of the last polls: a bar for each, as inline SVG that needs no script."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

from exporter.telemetry.recent_polls import RecentPoll

_STEP: Final = 3  # from one bar to the next; all lengths are pixels
_HEIGHT: Final = 16  # of the longest poll's bar
_BELOW: Final = 4  # what a failed poll's bar has below the line, for those who cannot tell the colours apart


def sparkline(polls: Iterable[RecentPoll], title: str) -> str:
    """A bar for each poll, as high as its duration, the newest on the right; `title` says the same in words."""
    shown = tuple(polls)
    longest = max((poll.duration_seconds for poll in shown), default=0.0)
    bars: dict[bool, list[str]] = {False: [], True: []}
    for place, poll in enumerate(shown):
        height = max(1, round(_HEIGHT * poll.duration_seconds / longest)) if longest else 1
        below = _BELOW if poll.failed else 0
        bars[poll.failed].append(f"M{place * _STEP + 1} {_HEIGHT + below}v-{height + below}")
    classes = {False: "", True: ' class="failed"'}
    paths = (f'<path{classes[failed]} d="{"".join(parts)}"/>' for failed, parts in bars.items() if parts)
    return (
        f'<svg role="img" width="{len(shown) * _STEP}" height="{_HEIGHT + _BELOW}"><title>{html.escape(title)}</title>'
        f"{''.join(paths)}</svg>"
    )
