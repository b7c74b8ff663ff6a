"""What the libraries underneath say when something fails, so that it reaches the user."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from typing import Any, Final

_stderr = threading.Lock()
_ffmpeg = threading.Lock()
_ffmpeg_users: list[int] = []  # the levels of those who listen now
_ffmpeg_before: list[Any] = []  # what FFmpeg's log was set to before the first of them
_NOWHERE: Final = logging.NullHandler()

_NATIVE_LINE: Final = re.compile(
    r"^\s*(\[\s*(WARN|ERROR|FATAL|INFO|DEBUG)\s*:|OpenCV|VIDEOIO|\(.*(GStreamer|GLib|GThread)|\*\* |GST_|libv4l|"
    r"NvM|nvbuf|nvargus|Error generated|\(Argus\)|V4L2|\[[\w,]+ @ 0x)"
)
_PREFIX: Final = re.compile(
    r"^\s*(\[\s*\w+\s*:\s*[\d@.]+\s*\]\s*)?(global\s+)?(\S+\.[ch]pp(:\d+|\s+\(\d+\))\s+\w+\s+)?(OpenCV \| )?"
    r"(GStreamer warning: )?(Embedded video playback halted; )?"
)
# Said after the cause, and saying nothing of it.
_EMPTY: Final = re.compile(
    r"unable to start pipeline|pipeline have not been created|Cannot query video position|"
    r"backend is generally available|Trying to dispose element"
)
# GLib's head of a message that begins on the next line and ends with an empty one.
_GLIB_HEAD: Final = re.compile(r"^\(.+:\d+\): \S+-(CRITICAL|WARNING|ERROR) \*\*: [\d:.]+:\s*$")
_TURN_S: Final = 2.0  # longest wait for another device to have opened
_MOST: Final = 3  # lines that are worth repeating


@contextlib.contextmanager
def stderr_lines() -> Generator[list[str]]:
    """Collect what OpenCV, GStreamer and drivers write on standard error meanwhile.

    Yields:
        A list that is filled when the block ends. Lines that look like someone else's (another thread of the program
        wrote them at the same time) are written to standard error afterwards and are not in it.
    """
    lines: list[str] = []
    mine = _stderr.acquire(timeout=_TURN_S)  # another device that hangs while it opens must not hang us
    try:
        before = os.dup(2) if mine else None
        if before is not None:
            sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # no standard error at all: a service, pythonw
        before = None
    try:
        if before is None:
            yield lines
            return
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                yield lines
            finally:
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    sys.stderr.flush()
                os.dup2(before, 2)
                file.seek(0)
                native, others = _sort(file.read().splitlines(keepends=True))
                lines += native
                os.write(before, b"".join(others))
                os.close(before)
    finally:
        if mine:
            _stderr.release()


def _sort(written: Sequence[bytes]) -> tuple[list[str], list[bytes]]:
    """Lines of the libraries, a message of GLib's over several lines as one; and, as they are, those of others."""
    native: list[str] = []
    others: list[bytes] = []
    inside = False  # a message of GLib's
    for line in written:
        text = line.decode(errors="replace").rstrip()
        inside = inside and bool(text)
        if inside:
            native[-1] += " " + text
        elif _NATIVE_LINE.match(text):
            native.append(text)
            inside = bool(_GLIB_HEAD.match(text))
        elif text:
            others.append(line)
    return native, others


@contextlib.contextmanager
def ffmpeg_lines(av: Any) -> Generator[list[str]]:
    """Collect the errors that FFmpeg logs meanwhile in this thread; ``av`` is the imported PyAV."""
    lines: list[str] = []
    with ffmpeg_log(av, av.logging.ERROR) as logged:
        try:
            yield lines
        finally:
            lines += [words.strip() for level, _, words in logged if level <= av.logging.ERROR and words.strip()]


@contextlib.contextmanager
def ffmpeg_log(av: Any, level: int) -> Generator[list[tuple[int, str, str]]]:
    """What FFmpeg logs meanwhile in this thread, as (level, part of FFmpeg, words); its user may empty the list.

    What it logs in other threads goes nowhere, as it does before and after, unless the program set a level of its own.
    """
    quiet = logging.getLogger("libav")
    with _ffmpeg:
        if not _ffmpeg_users:
            _ffmpeg_before[:] = [av.logging.get_level(), av.logging.get_skip_repeated(), quiet.propagate]
            if _ffmpeg_before[0] is None:
                quiet.addHandler(_NOWHERE)
                quiet.propagate = False
            av.logging.set_skip_repeated(False)
        _ffmpeg_users.append(level)
        av.logging.set_level(max(_ffmpeg_users))
    try:
        with av.logging.Capture() as logged:
            yield logged
    finally:
        with _ffmpeg:
            _ffmpeg_users.remove(level)
            if _ffmpeg_users:
                av.logging.set_level(max(_ffmpeg_users))
            else:
                before, skips, quiet.propagate = _ffmpeg_before
                av.logging.set_level(before)
                av.logging.set_skip_repeated(skips)
                quiet.removeHandler(_NOWHERE)


def in_one_line(lines: Sequence[str]) -> str:
    """The last few different lines, without the libraries' own prefixes; "" for none."""
    plain = (" ".join(_PREFIX.sub("", line).split()).rstrip(".") for line in lines)
    different = [line for line in dict.fromkeys(plain) if line and not _EMPTY.search(line)]
    return "; ".join(different[-_MOST:])
