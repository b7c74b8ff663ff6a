"""``edge-harmony process``, from video to video."""

from __future__ import annotations

import signal
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge_harmony.capture.video import VideoFile
from edge_harmony.sinks.file import VideoOptions, VideoSink
from tests.capture.scenes import write_clip
from tests.cli.runner import names, run, start

LOSSLESS = ("--crf", 0, "--speed", "ultrafast")
SIZE_HW = (96, 128)
BLUE_GREY = (120, 80, 60)
PTS = [0, 2, 3, 7, 8, 9, 15, 16, 20, 21]


def _mask(index: int) -> np.ndarray:
    """A square that moves to the right."""
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[30:60, 20 + 4 * index : 60 + 4 * index] = 255
    return mask


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder with video.mkv (ten frames at uneven times, with sound) and mask.mkv that belongs to it."""
    folder = tmp_path / "clip"
    folder.mkdir()
    write_clip(folder / "video.mkv", len(PTS), SIZE_HW, pts=PTS, time_base=Fraction(1, 50), audio_s=0.4)
    with VideoSink(folder / "mask.mkv", SIZE_HW, Fraction(1, 50), Fraction(25), VideoOptions(0)) as sink:
        for index, pts in enumerate(PTS):
            sink.write(_mask(index), pts)
    return folder


def _frames(path: Path) -> list[np.ndarray]:
    return [frame.image_bgr for frame in VideoFile(path)]


def _away_from_edges(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a coded video is surely subject, and surely background."""
    kernel = np.ones((9, 9), np.uint8)
    return cv2.erode(mask, kernel) == 255, cv2.dilate(mask, kernel) == 0


def test_each_alpha_meets_its_own_frame_and_time_and_sound_are_kept(clip: Path, model: Path) -> None:
    out = clip / "out.mkv"
    done = run(
        "process", clip / "video.mkv", "--alpha", clip / "mask.mkv", "--bg", "#3c5078", "-o", out,
        "--model", model, "--smoothing", 0, *LOSSLESS,
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert str(out) in done.out
    assert "10 frames" in done.out
    assert [f.time_s for f in VideoFile(out)] == [Fraction(p, 50) for p in PTS]
    for index, (before, after) in enumerate(zip(_frames(clip / "video.mkv"), _frames(out), strict=True)):
        inside, outside = _away_from_edges(_mask(index))
        half_red = before[0, 0] * (1, 1, 0.5)
        assert np.abs(after[inside] - half_red).max() <= 3
        assert np.abs(after[outside].astype(int) - BLUE_GREY).max() <= 3
    with av.open(str(clip / "video.mkv")) as one, av.open(str(out)) as two:
        sound = [[bytes(p) for p in f.demux(f.streams.audio[0]) if p.size] for f in (one, two)]
    assert sound[0] == sound[1]
    assert names(clip) == {"video.mkv", "mask.mkv", "out.mkv"}


def test_compare_and_alpha_out(clip: Path, model: Path) -> None:
    done = run(
        "process", clip / "video.mkv", "--alpha", clip / "mask.mkv", "--bg", "#3c5078", "-o", clip / "out.mp4",
        "--model", model, "--compare", "--alpha-out", clip / "alpha.mkv", "--no-audio", *LOSSLESS,
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    out = VideoFile(clip / "out.mp4")
    assert not out.has_audio
    assert out.size_hw == (96, 256)
    frame, source = _frames(out.path)[4], _frames(clip / "video.mkv")[4]
    inside, _ = _away_from_edges(_mask(4))
    assert np.abs(frame[:, :128][inside].astype(int) - source[0, 0]).max() <= 3
    assert np.abs(frame[:, 128:][inside] - source[0, 0] * (1, 1, 0.5)).max() <= 3
    masks = [f.alpha for f in VideoFile(clip / "alpha.mkv").masks()]
    assert len(masks) == len(PTS)
    for index, mask in enumerate(masks):
        assert mask is not None
        assert np.abs(mask.astype(int) - _mask(index)).max() <= 2


def test_background_video_runs_by_its_own_clock(clip: Path) -> None:
    write_clip(clip / "bg.mkv", 5, SIZE_HW, time_base=Fraction(1, 10))
    cv2.imwrite(str(clip / "none.png"), np.zeros(SIZE_HW, np.uint8))
    done = run(
        "process", clip / "video.mkv", "--alpha", clip / "none.png", "--bg", clip / "bg.mkv", "-o", clip / "o.mkv",
        "--model", "none", *LOSSLESS,
    )  # fmt: skip
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert line == "warning: the mask is empty in 10 of 10 frames: they show the background alone"
    shown = [int(f[0, 0, 0]) for f in _frames(clip / "o.mkv")]
    backgrounds = [int(f[0, 0, 0]) for f in _frames(clip / "bg.mkv")]
    expected = [backgrounds[p * 10 // 50 % 5] for p in PTS]
    assert np.abs(np.subtract(shown, expected)).max() <= 2


def test_pictures_as_video_with_their_own_alpha(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    for index in range(3):
        picture = np.dstack([np.full((*SIZE_HW, 3), 60 + index, np.uint8), _mask(index)])
        cv2.imwrite(str(tmp_path / "shots" / f"{index + 8}.png"), picture)
    done = run(
        "process", tmp_path / "shots", "--fps", "30000/1001", "--bg", "#3c5078", "-o", tmp_path / "o.mp4",
        "--model", "none", *LOSSLESS,
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    out = VideoFile(tmp_path / "o.mp4")
    assert [f.time_s for f in out] == [i * Fraction(1001, 30000) for i in range(3)]
    for index, frame in enumerate(_frames(out.path)):
        inside, outside = _away_from_edges(_mask(index))
        assert np.abs(frame[inside].astype(int) - (60 + index)).max() <= 2
        assert np.abs(frame[outside].astype(int) - BLUE_GREY).max() <= 3


def _fails(clip: Path, *arguments: object, code: int = 1) -> str:
    """Run, and see that it fails in form and leaves nothing."""
    before = names(clip)
    done = run("process", *arguments, "--model", "none")
    assert done.code == code
    assert done.hint
    assert names(clip) == before
    return done.error


def test_bad_video(clip: Path) -> None:
    rest = ("--alpha", clip / "mask.mkv", "--bg", "#000000", "-o", clip / "o.mp4")
    assert "no such file" in _fails(clip, clip / "gone.mp4", *rest)
    data = (clip / "video.mkv").read_bytes()
    (clip / "cut.mkv").write_bytes(data[: len(data) // 2])
    assert "cut" in _fails(clip, clip / "cut.mkv", *rest)
    (clip / "text.mp4").write_text("no video")
    assert "not a video" in _fails(clip, clip / "text.mp4", *rest)
    write_clip(clip / "hdr.mp4", 3, SIZE_HW, transfer=16)
    assert "HDR" in _fails(clip, clip / "hdr.mp4", *rest, "--hdr", "refuse")


def test_a_video_cut_short_is_found_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "v.mkv", 22, SIZE_HW, options={"qp": "0", "preset": "ultrafast", "g": "1"})
    data = video.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: int(len(data) * 0.3)])
    cv2.imwrite(str(tmp_path / "m.png"), _mask(0))
    error = _fails(
        tmp_path, tmp_path / "cut.mkv", "--alpha", tmp_path / "m.png", "--bg", "#000000", "-o", tmp_path / "o.mp4"
    )
    assert "cut" in error


def test_mask_video_that_does_not_fit(clip: Path) -> None:
    with VideoSink(clip / "short.mkv", SIZE_HW, Fraction(1, 50), Fraction(25), VideoOptions(0)) as sink:
        for index in range(4):
            sink.write(_mask(index), index)
    rest = ("--bg", "#000000", "-o", clip / "o.mp4")
    assert "4" in _fails(clip, clip / "video.mkv", "--alpha", clip / "short.mkv", *rest)
    write_clip(clip / "small.mkv", 10, (64, 64))
    assert "64 x 64" in _fails(clip, clip / "video.mkv", "--alpha", clip / "small.mkv", *rest)


def test_bad_output_and_usage(clip: Path) -> None:
    rest = (clip / "video.mkv", "--alpha", clip / "mask.mkv", "--bg", "#000000")
    _fails(clip, *rest, "-o", clip / "missing" / "o.mp4")
    _fails(clip, *rest, "-o", "/proc/o.mp4")
    _fails(clip, *rest, "-o", clip / "o.gif")
    _fails(clip, *rest, "-o", clip / "video.mkv")
    assert "source" in _fails(clip, *rest, "-o", clip / "video.mkv", "--overwrite")
    _fails(clip, *rest, "-o", clip / "o.mp4", "--alpha-out", clip / "o.mp4", code=2)
    _fails(clip, *rest, "-o", clip / "o.mp4", "--speed", "slowest", code=2)
    _fails(clip, *rest, "-o", clip / "o.mp4", "--fps", "0", code=2)
    _fails(clip, clip / "video.mkv", "--bg", "#000000", "-o", clip / "o.mp4", code=2)
    _fails(clip, *rest[:3], "--bg", clip / "none.jpg", "-o", clip / "o.mp4")


def test_full_disk(clip: Path) -> None:
    import resource

    noise = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), np.uint8)
    cv2.imwrite(str(clip / "noise.png"), noise)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        error = _fails(
            clip, clip / "video.mkv", "--alpha", clip / "mask.mkv", "--bg", clip / "noise.png", "-o", clip / "o.mp4",
            *LOSSLESS,
        )  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "o.mp4" in error


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_middle(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    # Large, slowly encoded frames: there is all the time to stop it.
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    shots = tmp_path / "shots"
    shots.mkdir()
    cv2.imwrite(str(shots / "0.png"), np.dstack([picture, np.full((720, 1280), 128, np.uint8)]))
    for index in range(1, 200):
        (shots / f"{index}.png").symlink_to(shots / "0.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "o.mp4").write_text("the old result")
    process = start(
        "process", shots, "--bg", "#000000", "-o", out / "o.mp4", "--model", "none", "--overwrite",
        "--speed", "veryslow", cwd=tmp_path,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while len(names(out)) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert len(names(out)) == 2, "the temporary file never appeared"
    time.sleep(0.5)
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    lines = err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], err
    assert names(out) == {"o.mp4"}
    assert (out / "o.mp4").read_text() == "the old result"
