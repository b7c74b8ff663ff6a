"""Video sources: colour, time, orientation, and refusals, on exact synthetic files."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.capture.file import open_file
from edge_harmony.capture.video import VideoFile
from edge_harmony.errors import SourceError
from tests.capture.scenes import CELL, PATCHES_BGR, patch_planes, pictures_in_cycles, write_clip, write_yuv

CENTRES = [CELL * i + CELL // 2 for i in range(len(PATCHES_BGR))]


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full", [False, True])
def test_tagged_matrix_and_range_are_honoured(tmp_path: Path, matrix: str, full: bool) -> None:
    path = write_yuv(tmp_path / "a.mp4", [patch_planes(matrix, full)], matrix=matrix, full=full)
    frame = next(iter(VideoFile(path)))
    got = frame.image_bgr[32, CENTRES].astype(int)
    assert np.abs(got - PATCHES_BGR).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(64, "bt601"), (720, "bt709")])
def test_untagged_video_is_bt601_when_small_and_bt709_when_large(tmp_path: Path, height: int, matrix: str) -> None:
    path = write_yuv(tmp_path / "a.mp4", [patch_planes(matrix, False, height)])
    frame = next(iter(VideoFile(path)))
    assert np.abs(frame.image_bgr[32, CENTRES].astype(int) - PATCHES_BGR).max() <= 1


def test_variable_frame_rate_keeps_its_exact_times(tmp_path: Path) -> None:
    pts = [0, 3, 4, 11, 12, 29]
    path = write_clip(tmp_path / "vfr.mkv", len(pts), pts=pts, time_base=Fraction(1, 50))
    frames = list(VideoFile(path))
    assert [f.time_s for f in frames] == [Fraction(p, 50) for p in pts]
    assert [f.index for f in frames] == list(range(len(pts)))


def test_ntsc_rate_is_a_fraction(tmp_path: Path) -> None:
    base = Fraction(1001, 30000)
    source = VideoFile(write_clip(tmp_path / "a.mp4", 10, time_base=base))
    assert [f.time_s for f in source] == [i * base for i in range(10)]
    assert source.rate == Fraction(30000, 1001)


def test_a_source_can_be_read_twice(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "a.mp4"))
    first, second = ([f.image_bgr[0, 0, 0] for f in source] for _ in range(2))
    assert first == second
    assert len(first) == 12 == source.frame_count


def test_no_picture_outlives_its_turn(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    assert pictures_in_cycles(lambda: list(VideoFile(path))) == 0


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_undone(tmp_path: Path, degrees: int) -> None:
    planes = [np.full((64, 96), 16, np.uint8), *(np.full((32, 48), 128, np.uint8),) * 2]
    planes[0][:16, :32] = 235  # a white mark in the top left corner as stored
    path = write_yuv(tmp_path / "turned.mp4", [planes], rotation=degrees)
    source = VideoFile(path)
    frame = next(iter(source))
    stored = np.zeros((64, 96), np.uint8)
    stored[:16, :32] = 255
    # set_display_rotation is counter-clockwise, as numpy.rot90.
    expected = np.rot90(stored, degrees // 90)
    assert source.size_hw == frame.image_bgr.shape[:2] == expected.shape
    assert np.array_equal(frame.image_bgr[:, :, 1] > 127, expected > 127)
    mask = next(iter(source.masks()))
    assert mask.alpha is not None
    assert np.array_equal(mask.alpha > 127, expected > 127)


@pytest.mark.parametrize("full", [False, True])
def test_masks_span_0_to_255(tmp_path: Path, full: bool) -> None:
    codes = np.tile(np.linspace(0 if full else 16, 255 if full else 235, 128).round().astype(np.uint8), (64, 1))
    planes = [codes, *(np.full((32, 64), 128, np.uint8),) * 2]
    path = write_yuv(tmp_path / "mask.mp4", [planes], full=full)
    alpha = next(VideoFile(path).masks()).alpha
    assert alpha is not None
    exact = codes if full else np.floor((codes.astype(float) - 16) * 255 / 219 + 0.5)
    assert np.array_equal(alpha, exact)
    assert (alpha.min(), alpha.max()) == (0, 255)


def test_alpha_channel_of_a_video_comes_with_the_frame(tmp_path: Path) -> None:
    planes = [*patch_planes("bt601", False), np.tile(np.arange(256, dtype=np.uint8), (64, 1))]
    path = write_yuv(tmp_path / "alpha.mkv", [planes], codec="ffv1", pixel_format="yuva420p", options={}, full=False)
    frame = next(iter(VideoFile(path)))
    assert frame.alpha is not None
    assert np.array_equal(frame.alpha, planes[3])
    assert np.abs(frame.image_bgr[32, CENTRES].astype(int) - PATCHES_BGR).max() <= 1
    mask = next(VideoFile(path).masks())
    assert mask.alpha is not None
    assert np.array_equal(mask.alpha, planes[3])


def _refusal(path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        list(open_file(path))
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def test_a_grey_video_is_a_picture_and_a_mask(tmp_path: Path) -> None:
    path = write_yuv(
        tmp_path / "grey.mkv", [[np.full((64, 96), 77, np.uint8)]], codec="ffv1", pixel_format="gray", options={}
    )
    assert (next(iter(VideoFile(path))).image_bgr == 77).all()
    mask = next(VideoFile(path).masks())
    assert mask.alpha is not None
    assert (mask.alpha == 77).all()


@pytest.mark.parametrize("name", ["a.mp4", "fast.mp4", "a.mkv", "a.avi"])
def test_truncated_video_is_refused(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    noise = [[rng.integers(16, 235, (64, 96), np.uint8), *(np.full((32, 48), 128, np.uint8),) * 2] for _ in range(40)]
    whole = write_yuv(
        tmp_path / name,
        noise,
        container_options={"movflags": "+faststart"} if name == "fast.mp4" else None,
    )
    assert len(list(VideoFile(whole))) == 40
    data = whole.read_bytes()
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(data[: len(data) // 2])
    error = _refusal(cut)
    words = {"a.mp4": "moov atom not found"}.get(name, "cut short")
    assert words in error.message or "cannot be decoded" in error.message


_OTHERS = {
    "a.wmv": ("wmv2", "yuv420p"), "a.ogv": ("libvpx", "yuv420p"), "a.avi": ("mpeg4", "yuv420p"),
    "a.mxf": ("mpeg2video", "yuv420p"), "a.webm": ("libvpx", "yuv420p"),
}  # fmt: skip


def _of_kind(path: Path, shown: list[int]) -> Path:
    codec, pixel_format = _OTHERS[path.name]
    rng = np.random.default_rng(0)
    noise = [[rng.integers(16, 235, (96, 128), np.uint8), *(np.full((48, 64), 128, np.uint8),) * 2] for _ in shown]
    return write_yuv(path, noise, codec=codec, pixel_format=pixel_format, pts=shown, options={"b:v": "2M"})


@pytest.mark.parametrize("name", [name for name in _OTHERS if name != "a.mxf"])
def test_frames_that_were_dropped_are_no_harm(tmp_path: Path, name: str) -> None:
    """A recorder that could not keep up left them out: their times are gaps, and the file is whole."""
    shown = [place for place in range(30) if place not in (5, 6, 7, 20, 21)]
    source = VideoFile(_of_kind(tmp_path / name, shown))
    frames = list(source)
    assert source.faults == []
    moments = [round((frame.time_s - frames[0].time_s) * 25) for frame in frames]
    if name == "a.ogv":  # says when a page ends, and not each frame
        assert (len(moments), moments[-1]) == (len(shown), shown[-1])
    else:
        assert [moment for moment in moments if moment in shown] == shown


@pytest.mark.parametrize("name", _OTHERS)
@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
def test_other_kinds_that_are_cut_short_are_refused(tmp_path: Path, name: str, share: float) -> None:
    whole = _of_kind(tmp_path / name, list(range(30)))
    assert len(list(VideoFile(whole))) == 30
    data = whole.read_bytes()
    whole.write_bytes(data[: round(len(data) * share)])
    assert "cut short" in _refusal(whole).message


def test_ogg_that_ends_between_two_pages_says_so(tmp_path: Path) -> None:
    whole = _of_kind(tmp_path / "a.ogv", list(range(30)))
    data = whole.read_bytes()
    whole.write_bytes(data[: data.rfind(b"OggS")])
    source = VideoFile(whole)
    count = len(list(source))
    assert 0 < count < 30
    assert source.faults == [f"{whole}: it is cut short: it ends after {count} frames, without the mark of an end"]


def test_text_and_emptiness_are_no_video(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video at all\n" * 20)
    assert "Invalid data" in _refusal(text).message
    empty = tmp_path / "empty.mp4"
    empty.touch()
    _refusal(empty)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write_clip(tmp_path / "holiday.mp4", 2)
    error = _refusal(tmp_path / "holidays.mp4")
    assert "no such file" in error.message
    assert "holiday.mp4" in error.hint
    assert "no folder" in _refusal(tmp_path / "nowhere" / "a.mp4").hint


def test_sound_only_is_refused(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    assert "no video stream" in _refusal(tmp_path / "sound.mp4").message


def test_no_frame_is_lost_or_seen_twice_in_real_footage(shared_dir: Path) -> None:
    source = VideoFile(shared_dir / "media" / "clip" / "mask.mp4")
    times = [f.time_s for f in source.masks()]
    assert times == [Fraction(i, 25) for i in range(75)]


def test_reading_leaves_nothing_on_standard_error(tmp_path: Path) -> None:
    import sys

    path = tmp_path / "text.mp4"
    path.write_text("no video")
    script = (
        "import sys\nfrom edge_harmony.capture.file import open_file\nfrom edge_harmony.errors import SourceError\n"
        "try:\n    open_file(sys.argv[1])\nexcept SourceError:\n    pass\n"
    )
    repository = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, cwd=repository, check=True
    )
    assert done.stderr == ""
