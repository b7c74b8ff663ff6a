"""Recordings: true times, sound, one size, and files that play whatever happens."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.capture.video import VideoFile
from edge_harmony.errors import ConfigError, SinkError
from edge_harmony.sinks.base import LiveSink
from edge_harmony.sinks.recording import Recording
from edge_harmony.sinks.video import VideoOptions
from tests.capture.scenes import write_clip

FAST = VideoOptions(crf=18, preset="ultrafast", threads=1)
SIZE = (64, 96)
RATE = Fraction(25)

# Records noise for ever, and says so when there is some; ends like the command line does.
RECORD_FOR_EVER = """
import contextlib, sys, numpy as np
from fractions import Fraction
from edge_harmony.sinks.fanout import Fanout
from edge_harmony.sinks.recording import Recording
from edge_harmony.sinks.video import VideoOptions
from edge_harmony.run.signals import StopSignals, Terminated, stop_signals_as_exceptions
rng = np.random.default_rng(0)
with stop_signals_as_exceptions():
    fanout = Fanout([Recording(p, VideoOptions(18, "ultrafast", 1), lossless=True) for p in sys.argv[1:]])
    fanout.start((128, 128), Fraction(25))
    with contextlib.suppress(Terminated, KeyboardInterrupt), StopSignals() as signals:  # as commands do
        index = 0
        while True:
            fanout.write(rng.integers(0, 256, (128, 128, 3), np.uint8), index / 25)
            index += 1
            if index == 100:
                print("recording", flush=True)
            signals.check()
    fanout.close()
"""


def _noise(count: int, size_hw: tuple[int, int] = SIZE) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield rng.integers(0, 256, (*size_hw, 3), np.uint8)


def _flat(value: int, size_hw: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((*size_hw, 3), value, np.uint8)


def _times(path: Path) -> list[Fraction]:
    return [frame.time_s for frame in VideoFile(path)]


def _shades(path: Path) -> list[int]:
    return [int(frame.image_bgr.mean()) for frame in VideoFile(path)]


def test_recording_is_a_live_sink(tmp_path: Path) -> None:
    assert isinstance(Recording(tmp_path / "a.mp4"), LiveSink)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_dropped_pictures_leave_gaps_and_nothing_drifts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    sink = Recording(path, FAST)
    sink.start(SIZE, RATE)
    wanted = [0.0, 0.04, 0.2, 0.2405, 3.0]
    for pts_s in wanted:
        sink.write(_flat(100), 12.5 + pts_s)  # the first picture is at 0, whenever it came
    assert not path.exists()
    sink.close()
    sink.close()
    assert [float(t) for t in _times(path)] == pytest.approx(wanted, abs=0.0006)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_times_of_a_file_survive(tmp_path: Path) -> None:
    sink = Recording(tmp_path / "a.mp4", lossless=True)  # with frames that depend on later ones
    sink.start(SIZE, Fraction(30000, 1001))
    for index in range(30):
        sink.write(_flat(index), float(index * Fraction(1001, 30000)))
    sink.close()
    assert _times(sink.path) == [index * Fraction(1001, 30000) for index in range(30)]
    assert VideoFile(sink.path).frame_count == 30  # an ordinary file with an index, no fragments any more


def test_times_that_do_not_grow_are_made_to(tmp_path: Path) -> None:
    sink = Recording(tmp_path / "a.mkv", FAST)
    sink.start(SIZE, RATE)
    for pts_s in (0.0, 0.0, 0.0001, 0.04):
        sink.write(_flat(9), pts_s)
    sink.close()
    times = _times(sink.path)
    assert len(set(times)) == 4
    assert times == sorted(times)


def test_constant_rate_repeats_and_leaves_out(tmp_path: Path) -> None:
    sink = Recording(tmp_path / "a.mp4", FAST, constant_rate=Fraction(10))
    sink.start(SIZE, RATE)
    for pts_s, shade in ((5.0, 40), (5.01, 60), (5.1, 80), (5.5, 200)):
        sink.write(_flat(shade), pts_s)
    sink.close()
    assert _times(sink.path) == [Fraction(i, 10) for i in range(6)]
    assert _shades(sink.path) == pytest.approx([40, 80, 80, 80, 80, 200], abs=3)


def test_constant_rate_does_not_fill_what_a_clock_jumped_over(tmp_path: Path) -> None:
    sink = Recording(tmp_path / "a.mp4", FAST, constant_rate=Fraction(10))
    sink.start(SIZE, RATE)
    for pts_s in (0.0, 0.1, 1e9, 1e9 + 0.1):
        sink.write(_flat(1), pts_s)
    sink.close()
    assert len(_times(sink.path)) == 4


def test_a_source_that_changes_its_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    sink = Recording(tmp_path / "a.mp4", FAST)
    sink.start(SIZE, RATE)
    sink.write(_flat(200), 0.0)
    sink.write(_flat(200, (128, 96)), 0.04)  # upright: bars left and right
    sink.close()
    frames = [frame.image_bgr for frame in VideoFile(sink.path)]
    assert [f.shape[:2] for f in frames] == [SIZE, SIZE]
    assert frames[1][32, 48].mean() == pytest.approx(200, abs=4)
    assert frames[1][32, 4].mean() < 8
    assert frames[1][32, -4].mean() < 8


def test_sound_starts_with_the_first_picture(tmp_path: Path) -> None:
    pts = [5 + index for index in range(20)]  # the picture starts 0.2 s after the sound
    source = VideoFile(write_clip(tmp_path / "in.mkv", 20, pts=pts, audio_s=1.2))
    first_s = next(iter(source)).time_s
    sink = Recording(tmp_path / "out.mp4", FAST, audio_from=source.path, audio_start_s=first_s, lossless=True)
    sink.start(source.size_hw, source.rate)
    for frame in source:
        sink.write(frame.image_bgr, float(frame.time_s - first_s))
    sink.close()
    before, after = _sound(source.path), _sound(sink.path)
    kept = [(t - first_s, data) for t, data in before if t >= first_s]
    assert [data for _, data in after] == [data for _, data in kept]
    assert abs(after[0][0] - kept[0][0]) <= Fraction(1, 500)
    assert _times(sink.path)[0] == 0


def _sound(path: Path) -> list[tuple[Fraction, bytes]]:
    import av

    with av.open(str(path)) as file:
        packets = [p for p in file.demux(file.streams.audio[0]) if p.dts is not None]
        return [(p.pts * Fraction(p.time_base), bytes(p)) for p in packets]


def test_without_a_picture_there_is_no_file(tmp_path: Path) -> None:
    sink = Recording(tmp_path / "a.mp4")
    sink.close()
    sink.start(SIZE, RATE)
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_giving_up_keeps_what_was_recorded(tmp_path: Path, suffix: str) -> None:
    sink = Recording(tmp_path / f"a{suffix}", FAST)
    sink.start(SIZE, RATE)
    for index, image in enumerate(_noise(10)):
        sink.write(image, index / 25)
    sink.abort()
    assert len(_times(sink.path)) == 10


def test_existing_file_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("precious")
    with pytest.raises(SinkError, match="exists already"):
        Recording(tmp_path / "a.mp4").start(SIZE, RATE)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_bad_settings(tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        Recording(tmp_path / "a.gif")
    with pytest.raises(ConfigError):
        Recording(tmp_path / "a.mp4", constant_rate=Fraction(0))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def _fill(sink: Recording) -> int:
    for index, image in enumerate(_noise(2000, (128, 128))):
        sink.write(image, index / 25)
    raise AssertionError("the disk was never full")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_fits_on_a_full_disk_is_kept_and_plays(small_disk: Path, suffix: str) -> None:
    path = small_disk / f"a{suffix}"
    sink = Recording(path, FAST)
    sink.start((128, 128), RATE)
    with pytest.raises(SinkError, match="No space left") as caught:
        _fill(sink)
    assert "disk is full" in caught.value.hint
    sink.close()
    assert [p.name for p in small_disk.iterdir()] == [path.name]
    assert len(_times(path)) > 25
    assert path.stat().st_size > 1_000_000


LIMITED = """
import resource, sys, numpy as np
from fractions import Fraction
from edge_harmony.errors import SinkError
from edge_harmony.sinks.recording import Recording
from edge_harmony.sinks.video import VideoOptions
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
sink = Recording(sys.argv[1], VideoOptions(18, "ultrafast", 1))
sink.start((128, 128), Fraction(25))
rng = np.random.default_rng(0)
try:
    for index in range(2000):
        sink.write(rng.integers(0, 256, (128, 128, 3), np.uint8), index / 25)
except SinkError as error:
    print(error)
sink.close()
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_fits_below_a_limit_on_file_size_is_kept_and_plays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
    assert len(_times(path)) > 25


def _recording_process(*paths: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RECORD_FOR_EVER, *map(str, paths)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "recording\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_leave_files_that_play(tmp_path: Path, number: signal.Signals) -> None:
    paths = [tmp_path / "a.mp4", tmp_path / "b.mkv"]
    process = _recording_process(*paths)
    process.send_signal(number)
    assert process.wait(60) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mkv"]
    assert min(len(_times(path)) for path in paths) >= 96  # four may wait for each sink


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_killed_process_leaves_a_part_that_plays(tmp_path: Path, suffix: str) -> None:
    process = _recording_process(tmp_path / f"a{suffix}")
    process.kill()
    process.wait(60)
    (part,) = tmp_path.iterdir()
    assert part.name.startswith(".a.")
    import av

    with av.open(str(part)) as file:
        decoded = 0
        try:
            for _ in file.decode(video=0):
                decoded += 1
        except av.error.InvalidDataError:  # where it broke off
            pass
    assert decoded >= 50


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_next_recording_names_what_a_killed_one_left(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"a[1]{suffix}"
    process = _recording_process(path)
    (part,) = tmp_path.iterdir()
    os.utime(part, (1.7e9, 1.7e9))
    empty, fresh = (tmp_path / f".a[1].{letter * 8}.part{suffix}" for letter in "ef")
    another = tmp_path / f".b.{'0' * 8}.part{suffix}"
    for file in (empty, fresh, another):
        file.write_bytes(b"")
    for file in (empty, another):
        os.utime(file, (1.7e9, 1.7e9))

    def start_another() -> None:
        sink = Recording(path, FAST)
        with caplog.at_level(logging.INFO):
            sink.start(SIZE, RATE)
        sink.abort()

    start_another()
    assert part.exists()  # its process lives, though nothing was written for long
    assert not empty.exists()
    assert fresh.exists()
    assert another.exists()
    process.kill()
    process.wait(60)
    os.utime(part, (1.7e9, 1.7e9))
    (tmp_path / f"a[1]-recovered{suffix}").write_bytes(b"of an earlier day")
    start_another()
    found = tmp_path / f"a[1]-recovered-2{suffix}"
    assert [r.getMessage() for r in caplog.records if "killed" in r.getMessage()] == [
        f"{found} is what a run that was killed recorded"
    ]
    assert not part.exists()
    assert len(_times(found)) >= 50
    assert (tmp_path / f"a[1]-recovered{suffix}").read_bytes() == b"of an earlier day"
