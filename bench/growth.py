"""The picture of how a poll's time grows, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP = 640, 360, 70, 50, 20


def drawing(seconds: Mapping[int, float]) -> str:
    """Seconds by rows on logarithmic axes, beside the straight line through 10 000 rows."""
    least, most = min(seconds), max(seconds)
    slope = seconds[10_000] / 10_000
    low, high = log10(least * slope) - 0.3, log10(most * slope) + 0.3

    def place(count: float, taken: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (log10(count / least) / log10(most / least))
        y = _TOP + (_HEIGHT - _TOP - 50) * (high - log10(taken)) / (high - low)
        return round(x, 1), round(y, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="12"><title>Processor time of a poll by its rows</title>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    (x1, y1), (x2, y2) = place(least, least * slope), place(most, most * slope)
    parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#999" stroke-dasharray="4 4"/>')
    points = " ".join(f"{x},{y}" for x, y in (place(*each) for each in seconds.items()))
    parts.append(f'<polyline points="{points}" fill="none" stroke="#0b62c4" stroke-width="2"/>')
    for count, taken in seconds.items():
        x, y = place(count, taken)
        label = f"{1000 * taken:.3g} ms" if taken < 1 else f"{taken:.3g} s"
        parts.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="#0b62c4"/>')
        parts.append(f'<text x="{x + 6}" y="{y + 16}">{label}</text>')
        if str(count).startswith("1"):
            name = f"{count:,}".replace(",", " ")
            parts.append(f'<text x="{x}" y="{_HEIGHT - 30}" text-anchor="middle">{name}</text>')
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle">rows of the answer</text>')
    parts.append('<text x="12" y="190" transform="rotate(-90 12 190)" text-anchor="middle">processor time</text>')
    return "\n".join((*parts, "</svg>\n"))
