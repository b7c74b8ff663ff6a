"""RTSP as GStreamer's server speaks it, over TCP and UDP, killed and started again."""

from __future__ import annotations

import functools
import logging
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_harmony.capture import CaptureOptions, open_source
from edge_harmony.capture.live import LiveReader

PATIENCE_S = 40.0

SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
sys.exit(0) if sys.argv[1:] == ["probe"] and Gst.ElementFactory.find("x264enc") else None
server = GstRtspServer.RTSPServer(service=sys.argv[1], address="127.0.0.1")
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch(sys.argv[2])
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""
LAUNCH = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height=240,framerate=25/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96 )"
)


@functools.cache
def python_with_server() -> str | None:
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3", shutil.which("python3") or "")):
        if python and Path(python).exists():
            done = subprocess.run([python, "-c", SERVER, "probe"], capture_output=True, timeout=120)
            if done.returncode == 0:
                return python
    return None


class Server:
    """A server process, there on leaving the constructor."""

    def __init__(self, port: int, width: int) -> None:
        python = python_with_server()
        assert python is not None
        self.process = subprocess.Popen(
            [python, "-c", SERVER, str(port), LAUNCH.format(width=width)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_server_that_is_killed_and_comes_back_with_another_size(transport: str, caplog) -> None:
    if python_with_server() is None:
        pytest.skip("no Python here has GStreamer's RTSP server (apt: gir1.2-gst-rtsp-server-1.0, python3-gi)")
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Server(port, 320)
    try:
        source = open_source(
            f"rtsp://127.0.0.1:{port}/cam", CaptureOptions(transport=transport, open_timeout_s=15, read_timeout_s=5)
        )
        assert source.size_hw == (240, 320)
        with LiveReader(source, backoff_s=(0.1, 0.5)) as reader:

            def comes_in(width: int) -> bool:
                frame = reader.read(1.0)
                return frame is not None and frame.image_bgr.shape == (240, width, 3)

            wait_for(lambda: reader.received >= 20)
            wait_for(lambda: comes_in(320))
            server.kill()
            wait_for(lambda: reader.state == "lost" and reader.outages == 1)
            server = Server(port, 400)
            wait_for(lambda: comes_in(400))
            assert (reader.state, reader.outages) == ("live", 1)
    finally:
        server.kill()
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
