"""Pipelines as text, and, where an OpenCV with GStreamer can be found, running ones."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from edge_harmony.capture import CaptureOptions
from edge_harmony.capture.gst_parse import parse_error
from edge_harmony.capture.gstreamer import complete_pipeline, csi_pipeline
from edge_harmony.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
END = "appsink drop=true max-buffers=1 sync=false"


def test_csi_with_nothing_asked() -> None:
    assert complete_pipeline(csi_pipeline("csi://0", CaptureOptions())) == (
        "nvarguscamerasrc sensor-id=0 ! "
        "video/x-raw(memory:NVMM), width=(int)1920, height=(int)1080, framerate=(fraction)30/1, format=(string)NV12 ! "
        "nvvidconv ! video/x-raw, format=(string)BGRx ! videoconvert ! video/x-raw, format=(string)BGR ! " + END
    )


def test_csi_with_everything_asked() -> None:
    options = CaptureOptions(size_hw=(720, 1280), rate=Fraction(60000, 1001), exposure=8e6, white_balance="lock")
    assert csi_pipeline("csi://1?flip-method=2&sensor-mode=4", options) == (
        'nvarguscamerasrc sensor-id=1 sensor-mode=4 exposuretimerange="8000000 8000000" awblock=true ! '
        "video/x-raw(memory:NVMM), width=(int)1280, height=(int)720, framerate=(fraction)60000/1001, "
        "format=(string)NV12 ! nvvidconv flip-method=2 ! video/x-raw, format=(string)BGRx ! videoconvert ! "
        "video/x-raw, format=(string)BGR"
    )
    assert "aelock=true" in csi_pipeline("csi://0", CaptureOptions(exposure="lock"))


@pytest.mark.parametrize("spec", ["csi://", "csi://a", "csi://0?turn=2", "csi://0?flip-method=x", "csi://0 ! fakesink"])
def test_csi_that_is_none(spec: str) -> None:
    with pytest.raises(ConfigError) as caught:
        csi_pipeline(spec, CaptureOptions())
    assert caught.value.hint


def test_csi_has_no_kelvin() -> None:
    with pytest.raises(ConfigError, match="kelvin"):
        csi_pipeline("csi://0", CaptureOptions(white_balance=4500))


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        ("a ! b", f"a ! b ! videoconvert ! video/x-raw, format=(string)BGR ! {END}"),
        ("a ! b ! ", f"a ! b ! videoconvert ! video/x-raw, format=(string)BGR ! {END}"),
        ("a ! video/x-raw,width=640,format=BGR", f"a ! video/x-raw,width=640,format=BGR ! {END}"),
        ("a ! video/x-raw,format=BGRx ! b", f"a ! video/x-raw,format=BGRx ! b ! videoconvert ! "
         f"video/x-raw, format=(string)BGR ! {END}"),
        ("a ! appsink", "a ! appsink"),
        ("a ! appsink name=x drop=1", "a ! appsink name=x drop=1"),
    ],
)  # fmt: skip
def test_the_end_is_added_where_it_is_missing(given: str, complete: str) -> None:
    assert complete_pipeline(given) == complete


# From here on with a real GStreamer. pip's OpenCV has none, so another Python may have to run it.
_PROBE = "import cv2, re, sys; sys.exit(0 if re.search(r'GStreamer:\\s+YES', cv2.getBuildInformation()) else 1)"


@functools.cache
def python_with_gstreamer() -> str | None:
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3", shutil.which("python3") or "")):
        if python and Path(python).exists():
            done = subprocess.run([python, "-c", _PROBE], capture_output=True, timeout=120)
            if done.returncode == 0:
                return python
    return None


def run_there(code: str) -> str:
    python = python_with_gstreamer()
    if python is None:
        pytest.skip("no Python here has an OpenCV with GStreamer (apt's python3-opencv has)")
    code = "from edge_harmony.capture import open_source\nfrom edge_harmony.errors import SourceError\n" + code
    done = subprocess.run(
        [python, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_running_pipeline_that_ends_is_lost_and_found() -> None:
    out = run_there(
        "import time\n"
        "from edge_harmony.capture.live import LiveReader\n"
        "import logging; logging.disable(logging.WARNING)\n"
        "source = open_source('videotestsrc is-live=true num-buffers=20 ! video/x-raw,width=320,height=240')\n"
        "print(source.size_hw, source.live)\n"
        "reader = LiveReader(source, backoff_s=(0.05, 0.1))\n"
        "deadline = time.monotonic() + 60\n"
        "while reader.received < 30 and time.monotonic() < deadline: reader.read(1)\n"
        "print(reader.outages >= 1, reader.received >= 30)\n"
        "reader.close()\n"
        "print(reader.state)\n"
    )
    assert out.split("\n")[:3] == ["(240, 320) True", "True True", "ended"]


def test_gstreamers_own_words_reach_the_user_and_no_password() -> None:
    words = {
        "nosuchelement ! videoconvert": 'no element "nosuchelement"',
        "filesrc location=/nowhere.mp4 ! decodebin": "Resource not found",
        "videotestsrc ! video/x-raw,format=NOPE": "videotestsrc",
        "rtspsrc location=rtsp://me:geheim@127.0.0.1:1/x user-pw=heimlich ! decodebin": "127.0.0.1:1/x",
    }
    if not Path("/etc/nv_tegra_release").exists():
        words["csi://0"] = "nvarguscamerasrc"
    out = run_there(
        "import json\n"
        "said = {}\n"
        f"for pipeline in {list(words)}:\n"
        "    try: open_source(pipeline)\n"
        "    except SourceError as error: said[pipeline] = [error.message, error.hint]\n"
        "print(json.dumps(said))\n"
    )
    said = json.loads(out)
    for pipeline, word in words.items():
        message, hint = said[pipeline]
        assert word in message
        assert hint
    for secret in ("geheim", "heimlich"):
        assert secret not in str(list(said.values()))


def test_parsing_says_nothing_where_there_is_nothing_to_say() -> None:
    assert parse_error("fakesrc ! fakesink") == ""  # also where there is no GStreamer
