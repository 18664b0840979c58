"""Curves as SVG, without script or style, for a page whose security policy allows neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 400
HEIGHT: Final = 90

_TOP: Final = 4


@dataclass(frozen=True)
class Curve:
    """A curve that begins at 0 and never falls, as the points of an SVG polyline and of the area below it."""

    line: str
    area: str


def curve(values: Sequence[float]) -> Curve:
    """Return the curve of values at evenly spread times, the first of which begins at 0."""
    most = max(values, default=0) or 1
    heights = [0.0, *values]
    step = WIDTH / (len(heights) - 1) if len(heights) > 1 else WIDTH
    points = [(at * step, HEIGHT - (HEIGHT - _TOP) * value / most) for at, value in enumerate(heights)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Curve(line, f"0,{HEIGHT} {line} {points[-1][0]:.1f},{HEIGHT}")
