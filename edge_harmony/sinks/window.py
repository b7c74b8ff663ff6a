"""A window on this machine, through OpenCV."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.run.child_process import call

_log = logging.getLogger(__name__)

CLOSED: Final = "\x1b"  # the key that stands for a window closed by its user: Escape
_WIDEST: Final = 1280  # of the window at first; it can be resized
_HIGHEST: Final = 720
_PROBE_S: Final = 15.0
_PROBED: dict[str, str] = {}  # what was found out about each display


class Window:
    """Shows pictures of any size in a window that can be resized; a ``LiveSink`` for the thread that runs the stream.

    Where no window is possible (no display, an OpenCV without windows) nothing fails: ``reason`` says why, one line
    is logged, and pictures are ignored.

    Every call belongs into one thread, on macOS the main one.

    Attributes:
        closed: whether it was closed, by its user or by ``close``.
    """

    lossless = False
    own_thread = False

    def __init__(
        self,
        title: str = "edge-harmony",
        on_key: Callable[[str], object] | None = None,
        *,
        on_click: Callable[[float, float], object] | None = None,
        instead: str = "pictures are not shown; --web 8765 shows them in a browser",
    ) -> None:
        """Begin to find out whether a window is possible, which takes up to a second; it opens with the first picture.

        Args:
            title: what it is called.
            on_key: called by ``write`` with each key, as ``show`` returns them.
            on_click: called with each double click's place in the picture, as shares of its width and height.
            instead: what the log is to say is done where no window is possible.
        """
        self.name = "window"
        self.closed = False
        self._title, self._on_key, self._on_click = title, on_key, on_click
        self._size_hw = (1, 1)  # of the picture that is shown
        self._open = self._seen = False
        self._instead = instead
        self._reason = ""
        self._probe: threading.Thread | None = threading.Thread(target=self._find_out, name="edge-harmony display")
        self._probe.daemon = True
        self._probe.start()

    @property
    def reason(self) -> str:
        """Why there is no window; "" when there can be one. Waits until that is known."""
        if self._probe is not None:
            self._probe.join()
            self._probe = None
            if self._reason:
                _log.warning("no window: %s; %s", self._reason, self._instead)
        return self._reason

    def show(self, image_bgr: NDArray[np.uint8]) -> list[str]:
        """Show a picture and let the window live.

        Args:
            image_bgr: uint8 (H, W, 3); not kept.

        Returns:
            The keys pressed since the last call, one character each; ``CLOSED`` (Escape) once when the window was
            closed by its user, after which it stays closed.
        """
        if self.closed or self.reason:
            return []
        if self._open and self._was_closed():
            self.close()
            return [CLOSED]
        if not self._open:
            self._make(image_bgr)
        self._size_hw = image_bgr.shape[:2]
        cv2.imshow(self._title, image_bgr)
        keys = []
        while (code := cv2.pollKey()) >= 0:
            code &= 0xFF
            if 0 < code < 0x7F:
                keys.append(chr(code))
        return keys

    def start(self, size_hw: tuple[int, int], rate: Fraction) -> None:
        """See ``LiveSink``; there is nothing to prepare."""

    def write(self, image_bgr: NDArray[np.uint8], pts_s: float) -> None:
        """Show a picture and hand each key to ``on_key``; see ``LiveSink``."""
        for key in self.show(image_bgr):
            if self._on_key is not None:
                self._on_key(key)

    def close(self) -> None:
        """Close it; may be called twice."""
        self.closed = True
        if self._probe is not None:
            self._probe.join()
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(self._title)
            cv2.pollKey()  # some toolkits close it only now

    def abort(self) -> None:
        """The same."""
        self.close()

    def _find_out(self) -> None:
        self._reason = why_no_window()

    def _make(self, image_bgr: NDArray[np.uint8]) -> None:
        _quieten_qt()
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        height, width = image_bgr.shape[:2]
        scale = min(1.0, _WIDEST / width, _HIGHEST / height)
        cv2.resizeWindow(self._title, max(1, round(width * scale)), max(1, round(height * scale)))
        self._open, self._seen = True, False
        if self._on_click is not None:
            cv2.setMouseCallback(self._title, self._clicked)

    def _clicked(self, event: int, x: int, y: int, *_: object) -> None:
        """OpenCV gives the place in the picture's own pixels."""
        height, width = self._size_hw
        if event == cv2.EVENT_LBUTTONDBLCLK and self._on_click is not None and 0 <= x < width and 0 <= y < height:
            self._on_click((x + 0.5) / width, (y + 0.5) / height)

    def _was_closed(self) -> bool:
        """Whether a window that could be seen cannot be seen any more; some toolkits never say."""
        try:
            visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt has forgotten it
            return True
        self._seen = self._seen or visible
        return self._seen and not visible


def why_no_window() -> str:
    """Why no window can be opened, in words; "" when one can.

    A display that is named but does not work ends the process in some toolkits, so it is tried in another process
    first, once.
    """
    if not has_windows():
        return "this OpenCV was built without them (opencv-python-headless); pip install opencv-python has them"
    if sys.platform in ("win32", "darwin"):
        return ""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or ""
    if not display:
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    if display not in _PROBED:
        answer = call("edge_harmony.sinks.window:_try_window", timeout_s=_PROBE_S)
        _PROBED[display] = (
            "" if answer.value else f"the display {display} cannot be used ({answer.reason or 'unknown'})"
        )
    return _PROBED[display]


def has_windows() -> bool:
    """Whether this OpenCV was built with windows at all."""
    for line in cv2.getBuildInformation().splitlines():
        name, _, value = line.strip().partition(":")
        if name == "GUI":
            return value.strip() not in ("", "NONE")
    return hasattr(cv2, "namedWindow")


def _try_window() -> bool:  # pyright: ignore[reportUnusedFunction]
    """Open a window and close it; run in a process of its own."""
    _quieten_qt()
    cv2.namedWindow("edge-harmony", cv2.WINDOW_NORMAL)
    cv2.pollKey()
    cv2.destroyAllWindows()
    return True


def _quieten_qt() -> None:
    """OpenCV's own Qt brings no fonts and complains of it on every start."""
    os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
