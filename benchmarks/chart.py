"""Plain charts drawn with OpenCV: lines over time or over size, and stacked bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]  # BGR

INK: Final[Colour] = (60, 60, 60)
FAINT: Final[Colour] = (225, 225, 225)
PALETTE: Final[tuple[Colour, ...]] = (
    (180, 119, 31), (14, 127, 255), (44, 160, 44), (40, 39, 214), (189, 103, 148), (75, 86, 140), (127, 127, 127),
)  # fmt: skip
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 20, 44, 46


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: for the legend; empty leaves it out.
        x, y: of the same length.
        colour: BGR. thickness: pixels. dots: mark each point.
    """

    name: str
    x: Sequence[float] | NDArray[Any]
    y: Sequence[float] | NDArray[Any]
    colour: Colour
    thickness: int = 2
    dots: bool = False


def line_chart(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    size: tuple[int, int] = (960, 420),
    logarithmic: bool = False,
    x_names: Sequence[tuple[float, str]] = (),
) -> np.ndarray:
    """Draw lines over a common axis.

    Args:
        size: width and height.
        logarithmic: of both axes.
        x_names: positions on the x axis and what to write there; round numbers if empty.

    Returns:
        uint8 (height, width, 3) BGR.
    """
    width, height = size
    canvas = np.full((height, width, 3), 255, np.uint8)
    xs = np.concatenate([np.asarray(line.x, float) for line in lines])
    ys = np.concatenate([np.asarray(line.y, float) for line in lines])
    x_ticks = [at for at, _ in x_names] or _ticks(float(xs.min()), float(xs.max()), logarithmic)
    y_ticks = _ticks(float(ys.min()), float(ys.max()), logarithmic)
    x_low, x_high = min(xs.min(), x_ticks[0]), max(xs.max(), x_ticks[-1])
    y_low, y_high = min(ys.min(), y_ticks[0]), max(ys.max(), y_ticks[-1])

    def place(values: Sequence[float] | NDArray[Any], low: float, high: float, start: int, end: int) -> np.ndarray:
        found = np.asarray(values, float)
        if logarithmic:
            found, low, high = np.log(found), np.log(low), np.log(high)
        return start + (found - low) / max(high - low, 1e-12) * (end - start)

    across = lambda values: place(values, x_low, x_high, _LEFT, width - _RIGHT)  # noqa: E731
    up = lambda values: place(values, y_low, y_high, height - _BOTTOM, _TOP)  # noqa: E731
    names = [name for _, name in x_names] or [f"{tick:g}" for tick in x_ticks]
    for at, name in zip(across(x_ticks), names, strict=True):
        cv2.line(canvas, (int(at), _TOP), (int(at), height - _BOTTOM), FAINT, 1)
        _write(canvas, name, (int(at), height - _BOTTOM + 16), centred=True)
    for tick, at in zip(y_ticks, up(y_ticks), strict=True):
        cv2.line(canvas, (_LEFT, int(at)), (width - _RIGHT, int(at)), FAINT, 1)
        _write(canvas, f"{tick:g}", (_LEFT - 8 - 8 * len(f"{tick:g}"), int(at) + 4))
    for line in lines:
        points = np.stack([across(line.x), up(line.y)], axis=1)
        cv2.polylines(canvas, [(points * 16).astype(np.int32)], False, line.colour, line.thickness, cv2.LINE_AA, 4)
        if line.dots:
            for x, y in points.astype(int).tolist():
                cv2.circle(canvas, (x, y), 4, line.colour, -1, cv2.LINE_AA)
    _write(canvas, title, (_LEFT, 20), 0.55)
    _write(canvas, y_label, (8, _TOP - 8))
    _write(canvas, x_label, (width - _RIGHT - 8 * len(x_label), height - 10))
    _legend(canvas, [(line.name, line.colour) for line in lines if line.name], _LEFT + 8 + 8 * len(y_label), _TOP - 8)
    return canvas


def bar_chart(title: str, bars: Sequence[tuple[str, Sequence[tuple[str, float]]]], unit: str) -> np.ndarray:
    """Draw stacked horizontal bars.

    Args:
        bars: for each bar its name and its parts, each with a name and a length.
        unit: of the lengths.

    Returns:
        uint8 (H, 960, 3) BGR.
    """
    width, row = 960, 44
    canvas = np.full((_TOP + row * len(bars) + 70, width, 3), 255, np.uint8)
    names = list(dict.fromkeys(name for _, parts in bars for name, _ in parts))
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
    longest = max(sum(length for _, length in parts) for _, parts in bars)
    left, scale = 210, (width - 300) / longest
    for index, (name, parts) in enumerate(bars):
        top = _TOP + 16 + row * index
        _write(canvas, name, (10, top + 18))
        at = float(left)
        for part, length in parts:
            end = at + length * scale
            cv2.rectangle(canvas, (int(at), top), (max(int(end) - 1, int(at)), top + 26), colours[part], -1)
            if end - at > 44:
                _write(canvas, f"{length:.2f}", (int((at + end) / 2), top + 18), colour=(255, 255, 255), centred=True)
            at = end
        _write(canvas, f"{sum(length for _, length in parts):.2f} {unit}", (int(at) + 8, top + 18))
    _write(canvas, title, (10, 22), 0.55)
    _legend(canvas, list(colours.items()), left, canvas.shape[0] - 22)
    return canvas


def save(path: Path, *charts: np.ndarray) -> None:
    """Write charts of the same width as one PNG, one below the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.concatenate(charts))


def _legend(canvas: np.ndarray, entries: Sequence[tuple[str, Colour]], x: int, y: int) -> None:
    x += 24
    for name, colour in entries:
        cv2.rectangle(canvas, (x, y - 9), (x + 14, y), colour, -1)
        _write(canvas, name, (x + 20, y))
        x += 44 + 8 * len(name)


def _write(
    canvas: np.ndarray, text: str, at: tuple[int, int], scale: float = 0.42, colour: Colour = INK, centred: bool = False
) -> None:
    x, y = at
    if centred:
        x -= cv2.getTextSize(text, _FONT, scale, 1)[0][0] // 2
    cv2.putText(canvas, text, (x, y), _FONT, scale, colour, 1, cv2.LINE_AA)


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    if logarithmic:
        powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        steps = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        inside = [step for step in steps if low * 0.99 <= step <= high * 1.01]
        return inside if len(inside) > 1 else [low, high]
    rough = max(high - low, 1e-9) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [float(v) for v in np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step]
