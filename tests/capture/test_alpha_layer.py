"""HEVC with an alpha layer: read, straight or premultiplied as it says, and used by the commands."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from edge_harmony.capture.alpha_layer import units_of
from edge_harmony.capture.video import VideoFile
from tests.capture.hevc_alpha import VIEWS, write_hevc_alpha
from tests.cli.runner import run

SIZE_HW = (96, 128)
RED = (40, 40, 200)
pytestmark = pytest.mark.skipif("libx265" not in av.codecs_available, reason="this FFmpeg has no x265 to make it with")


def _pictures(count: int = 8) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Red everywhere; the alpha a bar that moves, half of it half clear."""
    alphas = []
    for index in range(count):
        alpha = np.zeros(SIZE_HW, np.uint8)
        alpha[16:80, 16 + 4 * index : 56 + 4 * index] = 255
        alpha[48:80][alpha[48:80] > 0] = 128
        alphas.append(alpha)
    return [np.full((*SIZE_HW, 3), RED, np.uint8)] * count, alphas


def _agrees(found: np.ndarray | None, expected: np.ndarray, at_most: float = 1.5) -> bool:
    assert found is not None
    return float(np.abs(found.astype(float) - expected).mean()) < at_most


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("x265", ["keyint=1:bframes=0", "keyint=8:bframes=2:b-adapt=0", "keyint=4:bframes=0"])
def test_it_is_read_frame_by_frame(tmp_path: Path, suffix: str, x265: str) -> None:
    colours, alphas = _pictures()
    source = VideoFile(write_hevc_alpha(tmp_path / f"a{suffix}", colours, alphas, x265=x265))
    assert source.has_alpha
    assert source.straight
    frames = list(source)
    assert len(frames) == len(alphas)
    for frame, alpha in zip(frames, alphas, strict=True):
        assert _agrees(frame.alpha, alpha)
        assert np.abs(frame.image_bgr.astype(int) - RED).max() <= 3
    for mask, alpha in zip(source.masks(), alphas, strict=True):
        assert _agrees(mask.alpha, alpha)


def test_premultiplied_colours_are_divided(tmp_path: Path) -> None:
    colours, alphas = _pictures(3)
    dark = [np.round(c * (a[..., None] / 255.0)).astype(np.uint8) for c, a in zip(colours, alphas, strict=True)]
    frame = next(iter(VideoFile(write_hevc_alpha(tmp_path / "a.mov", dark, alphas, message=(1, 0, 255)))))
    for row in (32, 64):
        assert np.abs(frame.image_bgr[row, 24:48].astype(int) - RED).max() <= 6


@pytest.mark.parametrize(
    ("message", "clear", "opaque"), [(None, 0, 255), ((0, 16, 235), 16, 235), ((0, 255, 0), 255, 0)]
)
def test_codes_mean_what_the_message_says(
    tmp_path: Path, message: tuple[int, int, int] | None, clear: int, opaque: int
) -> None:
    colours, alphas = _pictures(2)
    codes = [np.round(clear + alpha / 255.0 * (opaque - clear)).astype(np.uint8) for alpha in alphas]
    frame = next(iter(VideoFile(write_hevc_alpha(tmp_path / "a.mov", colours, codes, message=message))))
    assert _agrees(frame.alpha, alphas[0])


def test_a_second_view_is_no_alpha(tmp_path: Path) -> None:
    """As a phone's spatial video has it: the first view is read."""
    colours, alphas = _pictures(2)
    source = VideoFile(write_hevc_alpha(tmp_path / "a.mov", colours, alphas, mask=VIEWS))
    assert not source.has_alpha
    assert len(list(source)) == 2


def test_a_layer_that_needs_the_colours_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    colours, alphas = _pictures(2)
    path = write_hevc_alpha(tmp_path / "a.mov", colours, alphas, dependent=True)
    with caplog.at_level(25):
        source = VideoFile(path)
        assert len(list(source)) == 2
    said = sum("cannot be read: save it as ProRes 4444" in record.message for record in caplog.records)
    assert said == (0 if source.has_alpha else 1), "PyAV 19 and later read it by themselves"


def test_a_layer_that_is_damaged_costs_no_picture(tmp_path: Path) -> None:
    colours, alphas = _pictures()
    path = write_hevc_alpha(tmp_path / "a.mov", colours, alphas)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        assert units_of(bytes(file.streams.video[0].codec_context.extradata))
        third = [packet for packet in file.demux(file.streams.video[0]) if packet.size][2]
        end = third.pos + third.size
    data[end - 12 : end - 2] = bytes(10)  # the second layer's picture comes last
    path.write_bytes(data)
    assert len(list(VideoFile(path))) == len(alphas)


def test_commands_use_it(tmp_path: Path) -> None:
    colours, alphas = _pictures()
    source = write_hevc_alpha(tmp_path / "a.mov", colours, alphas)
    done = run(
        "process", source, "--bg", "#00ff00", "--model", "none", "--crf", 0, "-o", tmp_path / "o.mkv",
        "--alpha-out", tmp_path / "m.mkv",
    )  # fmt: skip
    assert done.code == 0, done.err
    frame = next(iter(VideoFile(tmp_path / "o.mkv"))).image_bgr
    assert np.abs(frame[32, 30].astype(int) - RED).max() <= 4
    assert np.abs(frame[5, 100].astype(int) - (0, 255, 0)).max() <= 4
    assert _agrees(next(VideoFile(tmp_path / "m.mkv").masks()).alpha, alphas[0])
