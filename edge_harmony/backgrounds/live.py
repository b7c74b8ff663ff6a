"""What stands behind the subject: it may change, move by its own clock, or lose its file, and the stream goes on."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from edge_harmony.backgrounds.blur import BlurBackground
from edge_harmony.backgrounds.open import Background, open_background
from edge_harmony.backgrounds.still import StillBackground, is_colour
from edge_harmony.errors import ConfigError, EdgeHarmonyError
from edge_harmony.pixels.frame import Alpha, Frame, check_frame

_log = logging.getLogger(__name__)

_AHEAD: Final = 3  # frames of a video decoded before they are due


def expand(specs: Sequence[str]) -> list[str]:
    """The backgrounds that some specs stand for: a folder stands for the pictures and videos in it, by name;
    a pattern for the files that it fits.

    Raises:
        ConfigError: a folder without any.
    """
    from edge_harmony.capture.kind import is_picture, is_video, kind_of, literal_pattern
    from edge_harmony.capture.picture import counting_order

    found: list[str] = []
    for spec in specs:
        folder = Path(spec).expanduser()
        if not is_colour(spec) and kind_of(folder) == "pattern":
            fitting = [Path(name) for name in glob.glob(literal_pattern(str(folder)))]
            found += [str(path) for path in sorted(fitting, key=counting_order)] or [spec]
            continue
        if not folder.is_dir():
            found.append(spec)
            continue
        inside = [p for p in folder.iterdir() if is_picture(p) or is_video(p)]
        shown = [str(p) for p in sorted(inside, key=counting_order) if not p.name.startswith(".")]
        if not shown:
            raise ConfigError(f"there is no picture or video in {spec}", "name another folder, or a file")
        found += shown
    return found


class LiveBackground:
    """The background of a running stream. ``at`` never waits for a file: a new background is opened in a thread.

    When a background cannot be opened or read any more, the last picture stays and that is said once.

    Attributes:
        spec: what is shown, as it was asked for; "" for an array.
        generation: grows each time another background appears, so that smoothing can start afresh.
        refused: the last one that could not be opened; "" for none.
    """

    def __init__(
        self,
        spec: str | Frame,
        size_hw: tuple[int, int],
        mode: str = "cover",
        exact: bool = False,
        say: Callable[[str], None] = _log.warning,
        sample_aspect_ratio: Fraction = Fraction(1),
    ) -> None:
        """Open the first background, at once.

        Args:
            spec: what ``open_background`` opens; ``blur`` or ``blur:N`` (the source itself, blurred by N pixels in a
                thousand of its height); or uint8 (h, w, 3) BGR, which is copied.
            size_hw: size of the frames to come.
            mode: how another shape fills the frame: ``cover``, ``contain`` or ``stretch``.
            exact: whether a video waits until the very frame that is due has been decoded.
            say: told once, when a video cannot be read any more; its last picture stays.
            sample_aspect_ratio: of the frames' pixels.

        Raises:
            SourceError, ConfigError: it cannot be opened.
        """
        self._size_hw, self._mode, self._exact, self._say = size_hw, mode, exact, say
        self._sample_aspect_ratio = sample_aspect_ratio
        self.spec = spec if isinstance(spec, str) else ""
        self.generation = 0
        self.refused = ""
        self._shown: Background | BlurBackground = self._open(spec)
        self._origin_s: float | None = None
        self._opener = ThreadPoolExecutor(1, "edge-harmony background")
        self._coming: tuple[str, Future[Background | BlurBackground]] | None = None

    def change(self, spec: str | Frame) -> None:
        """Show another background as soon as it is open; asking again replaces what is not open yet."""
        self._drop_coming()
        name = spec if isinstance(spec, str) else ""
        self._coming = (name, self._opener.submit(self._open, spec))

    @property
    def wanted(self) -> str:
        """What is shown, or what will be when it is open."""
        return self._coming[0] if self._coming is not None else self.spec

    def at(self, time_s: float, frame_bgr: Frame, alpha: Alpha) -> Frame:
        """The background for a frame.

        Args:
            time_s: the stream's time in seconds; must not go back. Each background starts when it first appears.
            frame_bgr: uint8 (H, W, 3); its size is the background's, its colours are what ``blur`` blurs.
            alpha: uint8 (H, W) of this frame.

        Returns:
            uint8 (H, W, 3); only to be read, and another array than any that was returned before and changed.
        """
        self._size_hw = (frame_bgr.shape[0], frame_bgr.shape[1])
        self._take_coming()
        if self._origin_s is None:
            self._origin_s = time_s
        if isinstance(self._shown, BlurBackground):
            return self._shown.behind(frame_bgr, alpha)
        return self._shown.at(time_s - self._origin_s, self._size_hw)

    def close(self) -> None:
        """End every thread and close every file; may be called twice."""
        self._drop_coming()
        self._opener.shutdown(wait=True, cancel_futures=True)
        self._shown.close()

    def _open(self, spec: str | Frame) -> Background | BlurBackground:
        if not isinstance(spec, str):
            return StillBackground(check_frame(spec, "background").copy(), self._mode, self._sample_aspect_ratio)
        name, _, argument = spec.partition(":")
        if name == "blur" and not Path(spec).exists():
            return BlurBackground(argument)
        return open_background(
            spec, self._size_hw, self._mode, self._sample_aspect_ratio, _AHEAD, self._exact, self._say
        )

    def _take_coming(self) -> None:
        if self._coming is None or not (self._coming[1].done() or self._exact):
            return
        name, future = self._coming
        self._coming = None
        try:
            opened = future.result()
        except EdgeHarmonyError as error:
            self.refused = name
            self._say(f"{error.message}; the last background stays")
            return
        self._shown.close()
        self._shown, self.spec, self._origin_s = opened, name, None
        self.generation += 1

    def _drop_coming(self) -> None:
        if self._coming is not None:
            _, future = self._coming
            self._coming = None
            if not future.cancel():
                future.add_done_callback(_close_opened)


def _close_opened(future: Future[Any]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
