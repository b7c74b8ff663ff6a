"""The window as it is watched here: the picture with text over it, and its keys. The text goes nowhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cv2

from edge_harmony.live.controls import Controls
from edge_harmony.live.figures import Figures
from edge_harmony.live.hotkeys import help_lines, press
from edge_harmony.live.result import Result
from edge_harmony.pixels.frame import Frame
from edge_harmony.sinks.base import Display

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Final = (255, 255, 255)
_YELLOW: Final = (90, 220, 255)
_FIGURES_EVERY_S: Final = 0.5  # how often the figures on the picture change: often enough, and readable


class Screen:
    """Shows results in a window, with figures, help, notices and the countdown over them, and does what keys ask for.

    Args:
        window: used in the thread that calls, and closed with this one.
        controls: what keys act on.
        figures: what is drawn, and told when a picture was shown.
    """

    def __init__(self, window: Display, controls: Controls, figures: Figures) -> None:
        self._window, self._controls, self._figures = window, controls, figures
        self._show_help = False
        self._drawn: tuple[float, dict[str, Any]] | None = None

    def show(self, result: Result, countdown: str, again: bool = False) -> None:
        """Show a result; ``again`` when it is there already, so that the window keeps answering.

        Args:
            countdown: large text in the middle, or "".
        """
        figures = self._figures_now() if self._controls.get("figures") else None
        image = draw(result.image_bgr, figures, self._show_help, self._figures.notice, countdown)
        for key in self._window.show(image):
            said = press(self._controls, key)
            if said:
                self._figures.say(said, 1.5)
        if not (again or result.held):
            self._figures.note_latency(result.captured_s, "display")

    def toggle_help(self) -> None:
        """Show the list of keys, or hide it."""
        self._show_help = not self._show_help

    def close(self) -> None:
        """Close the window; may be called twice."""
        self._window.close()

    def _figures_now(self) -> dict[str, Any]:
        now = time.monotonic()
        if self._drawn is None or now - self._drawn[0] > _FIGURES_EVERY_S:
            self._drawn = (now, self._figures.snapshot())
        return self._drawn[1]


def draw(
    image_bgr: Frame,
    figures: Mapping[str, Any] | None = None,
    show_help: bool = False,
    notice: str = "",
    countdown: str = "",
) -> Frame:
    """Draw what is to be said.

    Args:
        image_bgr: uint8 (H, W, 3); not changed.
        figures: a snapshot of ``Figures``, or None.
        show_help: whether the keys are listed.
        notice: one line at the bottom.
        countdown: large text in the middle, such as the seconds left.

    Returns:
        A new frame, or ``image_bgr`` itself when there is nothing to say.
    """
    if figures is None and not (show_help or notice or countdown):
        return image_bgr
    image = image_bgr.copy()
    height, width = image.shape[:2]
    scale = max(0.35, height / 1080 * 0.8)
    step = round(36 * scale / 0.8) + 2
    if figures is not None:
        _block(image, _figure_lines(figures), (step // 2, step // 2), scale, step)
    if show_help:
        lines = help_lines()
        longest = max(cv2.getTextSize(line, _FONT, scale, 1)[0][0] for line in lines)
        _block(image, lines, (max(0, width - longest - 2 * step), step // 2), scale, step)
    if notice:
        _block(image, [notice], (step // 2, height - 2 * step), scale, step, _YELLOW)
    if countdown:
        _centred(image, countdown, height / 1080 * 3.0)
    return image


def _figure_lines(figures: Mapping[str, Any]) -> list[str]:
    lines = [f"{figures['fps']:.1f} fps   {figures['frames']} frames   {figures.get('state', '')}"]
    lines += [
        f"capture to {kind} {values['p50']:.0f} ms, 95 % {values['p95']:.0f} ms"
        for kind, values in figures["latency_ms"].items()
    ]
    lines += [f"dropped by {name}: {count}" for name, count in figures.get("dropped", {}).items() if count]
    lines += [f"{name}  {one['p50_ms']:.1f} / {one['p95_ms']:.1f} ms" for name, one in figures["stages"].items()]
    return lines


def _block(
    image: Frame,
    lines: Sequence[str],
    place_xy: tuple[int, int],
    scale: float,
    step: int,
    colour: tuple[int, int, int] = _WHITE,
) -> None:
    """Lines of text on a darkened rectangle, drawn into ``image``."""
    x, y = place_xy
    widest = max(cv2.getTextSize(line, _FONT, scale, 1)[0][0] for line in lines)
    box = image[y : y + step * len(lines) + step // 2, x : x + widest + step]
    if not box.size:
        return
    cv2.multiply(box, (0.35, 0.35, 0.35, 1.0), dst=box)
    for number, line in enumerate(lines, 1):
        place = (x + step // 2, y + step * number)
        cv2.putText(image, line, place, _FONT, scale, colour, max(1, round(scale * 1.6)), cv2.LINE_AA)


def _centred(image: Frame, text: str, scale: float) -> None:
    """Large text on a darkened band in the middle."""
    thickness = max(2, round(scale * 2.5))
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    while width > image.shape[1] * 0.9 and scale > 0.3:
        scale *= 0.8
        thickness = max(2, round(scale * 2.5))
        (width, height), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    middle = image.shape[0] // 2
    band = image[max(0, middle - 3 * height // 2) : middle + 3 * height // 2]
    cv2.multiply(band, (0.45, 0.45, 0.45, 1.0), dst=band)
    place = ((image.shape[1] - width) // 2, middle + height // 2)
    cv2.putText(image, text, place, _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
