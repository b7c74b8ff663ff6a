"""What libraries say is caught, and what others say meanwhile is not."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import av
import av.logging as av_logging
import cv2
import pytest

from edge_harmony.capture.native import ffmpeg_lines, in_one_line, stderr_lines


def test_opencvs_words_are_caught_and_other_lines_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with stderr_lines() as said:
        cv2.VideoCapture("/nowhere/at/all.mp4", cv2.CAP_V4L2)
        os.write(2, b"a line of another thread\n")
        os.write(2, b"[ WARN:0@0.012] global cap_x.cpp:9 open VIDEOIO(X): broken.\n")
    assert "broken" in in_one_line(said)
    assert capfd.readouterr().err == "a line of another thread\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_message_over_several_lines_is_one_and_hides_no_cause(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        gst = ctypes.CDLL("libgstreamer-1.0.so.0")
    except OSError:
        pytest.skip("no GStreamer here (apt's gstreamer1.0-plugins-base has it)")
    assert gst.gst_init_check(None, None, None)
    gst.gst_parse_launch.restype = ctypes.c_void_p
    gst.gst_parse_launch.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
    gst.gst_element_set_state.argtypes = (ctypes.c_void_p, ctypes.c_int)
    gst.gst_object_unref.argtypes = (ctypes.c_void_p,)
    with stderr_lines() as said:
        os.write(2, b"[ WARN:0@0.012] global cap_x.cpp:9 open VIDEOIO(X): the cause.\n")
        element = gst.gst_parse_launch(b"identity", None)
        gst.gst_element_set_state(element, 2)  # ready: GStreamer complains when it is let go of now
        gst.gst_object_unref(element)
        os.write(2, b"a line of another thread\n")
    assert any("Trying to dispose" in line and "refcounting bug" in line for line in said)
    assert in_one_line(said) == "VIDEOIO(X): the cause"
    assert capfd.readouterr().err == "a line of another thread\n"


def test_standard_error_is_restored_after_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), stderr_lines():
        raise ZeroDivisionError
    os.write(2, b"here\n")
    assert capfd.readouterr().err == "here\n"


def test_without_standard_error_nothing_is_caught_and_nothing_breaks() -> None:
    before = os.dup(2)
    os.close(2)
    try:
        with stderr_lines() as said:
            pass
    finally:
        os.dup2(before, 2)
        os.close(before)
    assert said == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["[ WARN:0@0.020] global ./modules/videoio/src/cap_gstreamer.cpp (2401) handleMessage OpenCV | GStreamer "
          "warning: Embedded video playback halted; module src0 reported: Device busy",
          "[ WARN:0@0.020] global ./modules/videoio/src/cap_gstreamer.cpp (1356) open OpenCV | GStreamer warning: "
          "unable to start pipeline"], "module src0 reported: Device busy"),
        (["[ WARN:0@1.5] global cap_v4l.cpp:914 open VIDEOIO(V4L2:/dev/video0): can't open camera by index"],
         "VIDEOIO(V4L2:/dev/video0): can't open camera by index"),
        (["same.", "same", "  ", "other"], "same; other"),
        (["1", "2", "3", "4"], "2; 3; 4"),
        ([], ""),
    ],
)  # fmt: skip
def test_lines_become_one(lines: list[str], words: str) -> None:
    assert in_one_line(lines) == words


def test_ffmpegs_log_is_caught_by_thread_and_its_level_restored(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(64))
    level = av_logging.get_level()
    caught: dict[str, list[str]] = {}
    inside = threading.Barrier(2)

    def listen(name: str, fail: bool) -> None:
        with ffmpeg_lines(av) as said:
            inside.wait(20)
            if fail:
                with pytest.raises(av.error.FFmpegError):
                    av.open(str(tmp_path / "bad.mp4"))
            inside.wait(20)
        caught[name] = said

    threads = [
        threading.Thread(target=listen, args=("loud", True)),
        threading.Thread(target=listen, args=("quiet", False)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert any("moov" in line for line in caught["loud"])
    assert caught["quiet"] == []
    assert av_logging.get_level() == level
