"""Video sinks: colour tags that are true, exact times, sound as it was, and nothing half-written."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edge_harmony.capture.video import VideoFile
from edge_harmony.errors import SinkError
from edge_harmony.sinks.file import VideoOptions, VideoSink, open_sink
from tests.capture.scenes import CELL, LUMA_WEIGHTS, PATCHES_BGR, write_clip, yuv_of

LOSSLESS = VideoOptions(crf=0, preset="ultrafast")
TIME_BASE = Fraction(1, 25)


def _patches(height: int = 64) -> np.ndarray:
    return np.repeat(np.repeat(np.array(PATCHES_BGR, np.uint8), CELL, 0)[None], height, 0)


def _sink(path: Path, size_hw: tuple[int, int], **kwargs: Any) -> VideoSink:
    return VideoSink(path, size_hw, TIME_BASE, 1 / TIME_BASE, kwargs.pop("options", LOSSLESS), **kwargs)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_tags_say_bt709_limited_and_the_codes_agree(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with _sink(path, (64, CELL * len(PATCHES_BGR))) as sink:
        sink.write(_patches(), 0)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frame = next(file.decode(stream))
        assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)
        assert stream.codec_context.name == "h264"
        assert frame.format.name == "yuv420p"
        codes = frame.to_ndarray()
    for index, colour in enumerate(PATCHES_BGR):
        expected = yuv_of(colour, "bt709", full=False)
        x = CELL * index + CELL // 2
        assert abs(int(codes[32, x]) - expected[0]) <= 1
    assert LUMA_WEIGHTS["bt709"][0] == 0.2126


def test_colours_survive_the_way_out_and_in(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with _sink(path, (64, CELL * len(PATCHES_BGR))) as sink:
        sink.write(_patches(), 0)
    frame = next(iter(VideoFile(path)))
    centres = [CELL * i + CELL // 2 for i in range(len(PATCHES_BGR))]
    assert np.abs(frame.image_bgr[32, centres].astype(int) - PATCHES_BGR).max() <= 2


def test_grey_written_is_the_mask_read(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    with _sink(tmp_path / "alpha.mkv", ramp.shape) as sink:
        sink.write(ramp, 0)
    alpha = next(VideoFile(tmp_path / "alpha.mkv").masks()).alpha
    assert alpha is not None
    assert np.abs(alpha.astype(int) - ramp).max() <= 1
    assert (alpha.min(), alpha.max()) == (0, 255)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_times_are_kept(tmp_path: Path, suffix: str) -> None:
    pts = [0, 3, 4, 11, 12, 29]
    source = VideoFile(write_clip(tmp_path / "in.mkv", len(pts), pts=pts, time_base=Fraction(1, 50)))
    with open_sink(tmp_path / f"out{suffix}", source, options=LOSSLESS) as sink:
        for frame in source:
            sink.write(frame.image_bgr, frame.pts, frame.duration)
    assert [f.time_s for f in VideoFile(sink.path)] == [Fraction(p, 50) for p in pts]


def test_ntsc_times_are_kept(tmp_path: Path) -> None:
    base = Fraction(1001, 30000)
    source = VideoFile(write_clip(tmp_path / "in.mp4", 20, time_base=base))
    with open_sink(tmp_path / "out.mp4", source) as sink:
        for frame in source:
            sink.write(frame.image_bgr, frame.pts, frame.duration)
    out = VideoFile(sink.path)
    assert [f.time_s for f in out] == [i * base for i in range(20)]
    assert out.rate == Fraction(30000, 1001)


@pytest.mark.parametrize(("height", "width"), [(65, 96), (64, 97), (65, 97)])
def test_odd_sizes_grow_by_a_repeated_line(tmp_path: Path, height: int, width: int) -> None:
    y, x = np.mgrid[:height, :width]
    image = np.stack([2 * x, 2 * y, 255 - x - y], 2).astype(np.uint8)  # smooth: 4:2:0 blurs hard colour edges
    with _sink(tmp_path / "odd.mp4", (height, width)) as sink:
        sink.write(image, 0)
    got = next(iter(VideoFile(tmp_path / "odd.mp4"))).image_bgr
    assert got.shape[:2] == (height + height % 2, width + width % 2)
    assert np.abs(got[:height, :width].astype(int) - image).max() <= 4


def _audio(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as file:
        return [
            (p.pts * Fraction(p.time_base), bytes(p)) for p in file.demux(file.streams.audio[0]) if p.dts is not None
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("first_pts", [0, 7])
def test_sound_is_copied_bit_for_bit_and_in_time(tmp_path: Path, suffix: str, first_pts: int) -> None:
    pts = [first_pts + i for i in range(30)]
    source = VideoFile(write_clip(tmp_path / "in.mkv", 20, pts=pts[:20], audio_s=1.6))
    assert source.has_audio
    with open_sink(tmp_path / f"out{suffix}", source) as sink:
        for frame in source:
            sink.write(frame.image_bgr, frame.pts, frame.duration)
    before, after = _audio(source.path), _audio(sink.path)
    assert [data for _, data in after] == [data for _, data in before]
    offset_before = before[3][0] - next(iter(source)).time_s
    offset_after = after[3][0] - next(iter(VideoFile(sink.path))).time_s
    assert abs(offset_before - offset_after) <= Fraction(1, 1000)


def test_pixel_shape_is_kept(tmp_path: Path) -> None:
    with _sink(tmp_path / "a.mp4", (64, 96), sample_aspect_ratio=Fraction(16, 11)) as sink:
        sink.write(np.zeros((64, 96, 3), np.uint8), 0)
    source = VideoFile(tmp_path / "a.mp4")
    assert source.sample_aspect_ratio == Fraction(16, 11)


def _write_and_raise(sink: VideoSink, error: BaseException) -> None:
    before = sink.path.read_bytes() if sink.path.exists() else None
    sink.write(np.zeros((64, 96, 3), np.uint8), 0)
    assert (sink.path.read_bytes() if sink.path.exists() else None) == before
    raise error


def test_nothing_appears_before_the_end_and_nothing_stays_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(RuntimeError, match="boom"), _sink(path, (64, 96)) as sink:
        _write_and_raise(sink, RuntimeError("boom"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("precious")
    with pytest.raises(SinkError, match="exists already") as caught:
        _sink(path, (64, 96))
    assert "--overwrite" in caught.value.hint
    with pytest.raises(KeyboardInterrupt), _sink(path, (64, 96), overwrite=True) as sink:
        _write_and_raise(sink, KeyboardInterrupt())
    assert path.read_text() == "precious"
    with _sink(path, (64, 96), overwrite=True) as sink:
        sink.write(np.zeros((64, 96, 3), np.uint8), 0)
    assert len(list(VideoFile(path))) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="no frame"), _sink(tmp_path / "out.mp4", (64, 96)):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["missing", "file", "proc"])
def test_folders_that_cannot_be_written(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    folder = {"missing": tmp_path / "missing", "file": tmp_path / "file", "proc": Path("/proc")}[where]
    with pytest.raises(SinkError) as caught:
        _sink(folder / "out.mp4", (64, 96))
    assert caught.value.hint


def test_unknown_suffix_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(SinkError) as caught:
        _sink(tmp_path / "out.gif", (64, 96))
    assert ".mp4" in caught.value.hint


@contextlib.contextmanager
def _largest_file(limit: int) -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _write_noise(sink: VideoSink, count: int) -> None:
    rng = np.random.default_rng(0)
    for index in range(count):
        sink.write(rng.integers(0, 256, (128, 128, 3), np.uint8), index)


def test_limit_on_file_size_while_writing(tmp_path: Path) -> None:
    with (
        _largest_file(100_000),
        pytest.raises(SinkError, match=r"File too large") as caught,
        _sink(tmp_path / "out.mp4", (128, 128)) as sink,
    ):
        _write_noise(sink, 60)
    assert "ulimit" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_full_disk_while_writing(tiny_disk: Path, suffix: str) -> None:
    with (
        pytest.raises(SinkError, match="No space left") as caught,
        _sink(tiny_disk / f"out{suffix}", (128, 128)) as sink,
    ):
        _write_noise(sink, 60)
    assert "disk is full" in caught.value.hint
    assert list(tiny_disk.iterdir()) == []


def test_full_disk_at_the_very_end(tiny_disk: Path) -> None:
    # The frames fit; what the file is finished with does not.
    path = tiny_disk / "out.mp4"
    sink = _sink(path, (128, 128))
    _write_noise(sink, 4)
    free = 256 * 1024 - sum(p.stat().st_size for p in tiny_disk.iterdir())
    (tiny_disk / "other").write_bytes(b"x" * max(0, free // 4096 * 4096))
    with pytest.raises(SinkError, match="No space left"):
        sink.close()
    assert [p.name for p in tiny_disk.iterdir()] == ["other"]


def test_what_was_converted_before_is_written_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 66, 94, 3), np.uint8)
    for name in ("plain", "converted"):
        with _sink(tmp_path / f"{name}.mkv", (66, 94)) as sink:
            for index, image in enumerate(images):
                sink.write(image if name == "plain" else sink.convert(image), index, 1)
    plain, converted = (list(VideoFile(tmp_path / f"{name}.mkv")) for name in ("plain", "converted"))
    assert len(plain) == len(converted) == 3
    for first, second in zip(plain, converted, strict=True):
        assert (first.image_bgr == second.image_bgr).all()
        assert (first.pts, first.duration) == (second.pts, second.duration)


def test_a_picture_of_another_size_is_not_converted(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="80 x 64"), _sink(tmp_path / "out.mp4", (64, 94)) as sink:
        sink.convert(np.zeros((64, 80, 3), np.uint8))
