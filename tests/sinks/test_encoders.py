"""Encoders by name: those that work write what plays, the others say why before anything is written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edge_harmony.cli import main
from edge_harmony.errors import BackendUnavailableError, ConfigError, SinkError
from edge_harmony.sinks import encoders
from edge_harmony.sinks.encoders import ENCODERS, Encoder, encoder_of, why_not
from edge_harmony.sinks.push import Push
from edge_harmony.sinks.push_connection import Encoding, PushConnection
from edge_harmony.sinks.video import VideoOptions, VideoSink

HERE = [name for name in ENCODERS if not why_not(name)]
NOT_HERE = [name for name in ENCODERS if why_not(name)]


@pytest.mark.parametrize("codec", HERE)
def test_what_works_writes_what_plays(tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]) -> None:
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[:, 64:] = (40, 160, 220)
    options = VideoOptions(crf=10, preset="ultrafast", codec=codec)
    with VideoSink(tmp_path / "out.mp4", (96, 128), Fraction(1, 25), Fraction(25), options) as sink:
        for index in range(5):
            sink.write(picture, index, 1)
    with av.open(str(tmp_path / "out.mp4")) as file:
        frames = [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]
    assert len(frames) == 5
    assert np.abs(frames[4][48, 100].astype(int) - (40, 160, 220)).max() <= 6
    assert capfd.readouterr().err == "", "no encoder talks on the terminal"


@pytest.mark.skipif(not NOT_HERE, reason="every encoder works here")
@pytest.mark.parametrize("codec", NOT_HERE)
def test_what_does_not_says_why_and_what_does(tmp_path: Path, codec: str) -> None:
    with pytest.raises(BackendUnavailableError, match=f"{ENCODERS[codec].name} cannot be opened: ") as caught:
        VideoSink(tmp_path / "out.mp4", (96, 128), Fraction(1, 25), Fraction(25), VideoOptions(codec=codec))
    assert f"use --codec {HERE[0]}" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BackendUnavailableError):
        Push("rtmp://127.0.0.1/app/key", codec=codec)


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match="unknown"):
        encoder_of("divx")
    with pytest.raises(SinkError, match="servers take no av1"):
        Push("rtmp://127.0.0.1/app/key", codec="av1")


def test_a_server_gets_the_chosen_encoder() -> None:
    """Without a server: what stands in the container that goes to the process which holds the line."""
    connection = PushConnection(
        {"url": "rtmp://127.0.0.1:1/a/b", "format": "flv", "options": {}, "timeout_s": 1.0}, (96, 128), Fraction(25),
        Encoding(500_000, codec="h264"),
    )  # fmt: skip
    try:
        assert connection._video.codec_context.codec.name == "libx264"
        assert connection._video.options["tune"] == "zerolatency"
    finally:
        connection.kill()


@pytest.mark.skipif("av1" not in HERE, reason="no AV1 encoder here")
def test_stream_takes_a_codec(tmp_path: Path) -> None:
    words = ["stream", "--source", "test:128x96,frames=5", "--matte", "none", "--bg", "#336699", "--model", "none"]
    assert main([*words, "--no-window", "--codec", "av1", "-o", str(tmp_path / "out.mp4")]) == 0
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert "av1" in file.streams.video[0].codec_context.name or "dav1d" in file.streams.video[0].codec_context.name


def test_an_encoder_with_alpha_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoders.WITH_ALPHA, ".webm", Encoder("no_such_encoder", "crf"))
    with pytest.raises(BackendUnavailableError, match="no_such_encoder") as error:
        encoders.alpha_encoder_of(".webm")
    assert ".mov" in error.value.hint
    assert encoders.alpha_encoder_of(".mov").name == "prores_ks"
