"""The window: shown on a real (virtual) display, closed by its user, and not missed where there is none."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from edge_harmony.sinks.base import LiveSink
from edge_harmony.sinks.window import CLOSED, Window, has_windows, why_no_window
from tests.displays import virtual_display

IMAGE = np.zeros((90, 160, 3), np.uint8)

SHOW = """
import json, time, numpy as np
from edge_harmony.sinks.window import Window
window = Window("edge-harmony")
assert not window.reason, window.reason
keys, count, deadline = [], 0, time.monotonic() + 40
while not window.closed and time.monotonic() < deadline:
    shape = (90, 160, 3) if count % 2 else (200, 100, 3)  # a source that changes its size
    keys += window.show(np.full(shape, count % 255, np.uint8))
    count += 1
    if count == 10:
        print("shown", flush=True)
    if "x" in keys:
        break
    time.sleep(0.01)
window.close()
window.close()
assert window.show(np.zeros((9, 9, 3), np.uint8)) == []
print(json.dumps(keys))
"""


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform in ("win32", "darwin"):
        pytest.skip("there is always a display")


@pytest.mark.usefixtures("no_display")
def test_no_display_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    keys: list[str] = []
    window = Window(on_key=keys.append, instead="the page shows them")
    assert isinstance(window, LiveSink)
    window.start((90, 160), Fraction(30))
    for index in range(3):
        window.write(IMAGE, index / 30)
        assert window.show(IMAGE) == []
    window.close()
    assert keys == []
    assert len(caplog.records) == 1  # said once
    assert "the page shows them" in caplog.text


@pytest.mark.skipif(not sys.platform.startswith("linux") or not has_windows(), reason="needs X11 and OpenCV's windows")
def test_a_display_that_does_not_work_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    # Qt ends the whole process there.
    monkeypatch.setenv("DISPLAY", ":4095")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert ":4095" in why_no_window()


@pytest.mark.usefixtures("no_display")
def test_an_opencv_without_windows_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.getBuildInformation", lambda: "  GUI:                           NONE\n")
    assert "opencv-python-headless" in why_no_window()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A display of our own."""
    if not has_windows():
        pytest.skip("this OpenCV has no windows")
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("needs Xvfb and xdotool")
    with virtual_display("800x600x24") as name:
        yield name


def _xdotool(display: str, *words: str) -> str:
    done = subprocess.run(
        ["xdotool", *words], env={**os.environ, "DISPLAY": display}, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


def _shown(display: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW], env={**os.environ, "DISPLAY": display},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if line != "shown\n":
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    found = _xdotool(display, "search", "--sync", "--onlyvisible", "--name", "^edge-harmony$").splitlines()
    return process, found[-1]


def _ask_to_close(display: str, window: int) -> None:
    """What a window manager sends when the window's button is clicked."""
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        pytest.skip("needs libX11")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.argtypes, x11.XInternAtom.restype = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int], ctypes.c_ulong
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(display.encode())
    protocols, delete = (x11.XInternAtom(connection, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    client_message = 33  # type, serial, sent, display, window, kind, format, data: an XEvent is 24 longs
    event = (ctypes.c_long * 24)(client_message, 0, 0, 0, window, protocols, 32, delete)
    assert x11.XSendEvent(connection, window, 0, 0, event)
    x11.XCloseDisplay(connection)


def test_keys_are_told_and_nothing_is_printed(display: str) -> None:
    process, window = _shown(display)
    _xdotool(display, "windowfocus", "--sync", window)
    _xdotool(display, "key", "--delay", "50", "h", "bracketleft", "space", "question", "x")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])[-5:] == ["h", "[", " ", "?", "x"]
    assert err == ""


def test_a_window_closed_by_its_user_gives_escape_and_stays_closed(display: str) -> None:
    process, window = _shown(display)
    _ask_to_close(display, int(window))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1]) == [CLOSED]
