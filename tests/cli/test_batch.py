"""``edge-harmony batch`` as a farm calls it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.capture.video import VideoFile
from tests.batch.clips import FAST, SIZE_HW, write_clips
from tests.cli.runner import Outcome, names, run, start


@pytest.fixture
def there(tmp_path: Path) -> Path:
    write_clips(tmp_path, ["a", "b", "c"])
    return tmp_path


def _batch(there: Path, *more: object, clips: str = "clips") -> Outcome:
    common = ("--alpha", there / "mask.png", "--bg", "#3c5078", "-o", there / "out", *FAST)
    return run("batch", there / clips, *common, *more)


def _times(there: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in (there / "out").glob("*.mp4")}


def test_one_bad_clip_does_not_end_the_rest_and_a_second_run_does_what_is_left(there: Path) -> None:
    good = (there / "clips" / "b.mkv").read_bytes()
    (there / "clips" / "b.mkv").write_bytes(b"no video")
    first = _batch(there, "--report", there / "report.json")
    assert first.code == 3
    assert "3 clips: 2 done, 0 done already and current, 0 incomplete, 1 failed" in first.out
    assert "b.mkv" in first.err
    assert "not a video" in first.err
    report = json.loads((there / "report.json").read_text())
    assert [one["status"] for one in report["results"]] == ["done", "failed", "done"]
    assert report["results"][1]["error"]
    assert report["results"][0]["frames"] == 4
    before = _times(there)
    assert set(before) == {"a", "c"}

    (there / "clips" / "b.mkv").write_bytes(good)
    second = _batch(there)
    assert (second.code, second.err) == (0, "")
    assert "1 done, 2 done already and current" in second.out
    after = _times(there)
    assert {name: after[name] for name in before} == before

    third = _batch(there, "--grain", 0.5)  # another setting: what is ours is done again
    assert (third.code, third.err) == (0, "")
    assert "3 done, 0 done already" in third.out
    assert all(_times(there)[name] != after[name] for name in after)


def test_what_others_made_is_replaced_on_demand_alone(there: Path) -> None:
    (there / "out").mkdir()
    (there / "out" / "a.mp4").write_text("theirs")
    done = _batch(there)
    assert done.code == 3
    assert "--overwrite" in done.err
    assert (there / "out" / "a.mp4").read_text() == "theirs"
    assert _batch(there, "--overwrite").code == 0
    assert len(list(VideoFile(there / "out" / "a.mp4"))) == 4


def test_when_nothing_can_be_done_it_has_failed(there: Path) -> None:
    for clip in (there / "clips").iterdir():
        clip.write_bytes(b"no video")
    done = _batch(there)
    assert done.code == 1
    assert "none of the clips" in done.err


def test_a_list_gives_each_clip_its_own_options(there: Path) -> None:
    (there / "lists").mkdir()
    cv2.imwrite(str(there / "lists" / "green.png"), np.full((*SIZE_HW, 3), (0, 255, 0), np.uint8))
    (there / "lists" / "shots.csv").write_text(
        "clip,background,alpha,output,compare,alpha-out\n"
        "../clips/a.mkv,green.png,,,,\n"
        "../clips/b.mkv,#0000ff,../mask.png,../sub/b.mkv,yes,../mattes/b_mask.mkv\n"
    )
    done = _batch(there, clips="lists/shots.csv")
    assert (done.code, done.err) == (0, "")
    (a,) = (there / "out").glob("*.mp4")
    assert np.abs(next(iter(VideoFile(a))).image_bgr[0, 0].astype(int) - (0, 255, 0)).max() <= 3
    assert names(there / "sub") == {"b.mkv", ".edge-harmony"}
    assert names(there / "mattes") == {"b_mask.mkv"}
    b = VideoFile(there / "sub" / "b.mkv")
    assert b.size_hw == (SIZE_HW[0], 2 * SIZE_HW[1])
    assert np.abs(next(iter(b)).image_bgr[0, 0].astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"clip": "clips/a.mkv", "strenght": 1}', "strength"),
        ('{"clip": "clips/a.mkv", "strength": 2}', "line 1"),
        ('{"clip": "clips/a.mkv", "strength": "much"}', "line 1"),
        ('{"clip": "clips/a.mkv", "compare": "perhaps"}', "true or false"),
        ('{"clip": "clips/a.mkv", "matte": "chroma", "alpha": "mask.png"}', "go together"),
        ('{"clip": "clips/a.mkv", "bg": {"a": 1}}', "bg"),
        ('{"clip": "clips/a.mkv", "output": "a.gif"}', "gif"),
    ],
)
def test_a_row_that_is_wrong_stops_before_anything_is_done(there: Path, row: str, message: str) -> None:
    (there / "l.jsonl").write_text(row)
    done = _batch(there, clips="l.jsonl")
    assert done.code in (1, 2)
    assert message in done.error + done.hint
    assert not (there / "out").exists()


def test_masks_and_backgrounds_are_paired_by_name(there: Path) -> None:
    for folder, value in (("masks", 255), ("backgrounds", 0)):
        (there / folder).mkdir()
        for number, name in enumerate("abc"):
            picture = cv2.imread(str(there / "mask.png"), 0) if value else np.full((*SIZE_HW, 3), 60 * number, np.uint8)
            cv2.imwrite(str(there / folder / f"{name}{'_mask' if value else ''}.png"), picture)
    words = ("batch", there / "clips", "--alpha", there / "masks", "--bg", there / "backgrounds", *FAST)
    done = run(*words, "-o", there / "o" / "{number:02}_{stem}.mkv")
    assert (done.code, done.err) == (0, "")
    corners = [
        int(next(iter(VideoFile(there / "o" / f"0{n + 1}_{s}.mkv"))).image_bgr[0, 0, 0]) for n, s in enumerate("abc")
    ]
    assert np.abs(np.subtract(corners, [0, 60, 120])).max() <= 3
    (there / "masks" / "c_mask.png").unlink()
    assert "c.mkv needs one mask" in run(*words, "-o", there / "o2").error


def test_shares_together_are_everything(there: Path) -> None:
    assert "2 clips" in _batch(there, "--share", "1/2").out
    assert set(_times(there)) == {"a", "c"}
    assert "1 clips" in _batch(there, "--share", "2/2").out
    assert set(_times(there)) == {"a", "b", "c"}
    for wrong in ("0/2", "3/2", "1"):
        assert _batch(there, "--share", wrong).code == 2


def test_usage(there: Path) -> None:
    assert run("batch", there / "clips", "--matte", "chroma", "-o", there / "o").code == 2
    assert run("batch", there / "clips", "--matte", "chroma", "--bg", "#000000").code == 2
    assert _batch(there, "--workers", 0).code == 2
    assert (
        "both become"
        in run("batch", there / "clips", "--matte", "chroma", "--bg", "#000000", "-o", there / "o.mp4").error
    )
    into_itself = run(
        "batch", there / "clips", "--matte", "chroma", "--bg", "#000000", "-o", f"{there}/clips/{{stem}}.mkv"
    )
    assert "source" in into_itself.error


def _long_batch(there: Path) -> tuple[object, ...]:
    """Clips of large noisy frames, slowly encoded."""
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 4), np.uint8)
    for name in ("one", "two"):
        (there / "shots" / name).mkdir(parents=True)
        cv2.imwrite(str(there / "shots" / name / "0.png"), picture)
        for index in range(1, 200):
            (there / "shots" / name / f"{index}.png").symlink_to(there / "shots" / name / "0.png")
    return ("batch", there / "shots", "--bg", "#000000", "-o", there / "out", "--model", "none", "--speed", "veryslow")


def _wait_for_parts(folder: Path, count: int) -> list[Path]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        parts = [p for p in folder.glob(".*.part.mp4") if p.stat().st_size] if folder.exists() else []
        if len(parts) == count:
            return parts
        time.sleep(0.1)
    raise AssertionError("nothing was begun")


def _is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_stopped_in_the_middle_its_workers_clean_up(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    process = start(*_long_batch(tmp_path), "--workers", 2, "--report", tmp_path / "report.json", cwd=tmp_path)
    _wait_for_parts(tmp_path / "out", 2)
    children = [int(n) for n in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    deadline = time.monotonic() + 30
    while any(map(_is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_is_alive, children))
    assert names(tmp_path / "out") == {".edge-harmony"}
    if sent is not signal.SIGKILL:
        assert [line.split(":")[0] for line in err.splitlines()] == ["error", "hint"], err
        assert json.loads((tmp_path / "report.json").read_text())["not_done"] == 2


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX's")
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    process = start(*_long_batch(tmp_path), "--workers", 2, cwd=tmp_path)
    parts = _wait_for_parts(tmp_path / "out", 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for number in [*map(int, children), process.pid]:  # all at once, as when the power fails
        os.kill(number, signal.SIGKILL)
    process.communicate(timeout=30)
    assert all(part.exists() for part in parts)
    for name in ("one", "two"):  # quicker clips of the same names
        for index in range(2, 200):
            (tmp_path / "shots" / name / f"{index}.png").unlink()
    done = run("batch", tmp_path / "shots", "--bg", "#000000", "-o", tmp_path / "out", *FAST)
    assert (done.code, done.err) == (0, "")
    assert names(tmp_path / "out") == {".edge-harmony", "one.mp4", "two.mp4"}
    assert names(tmp_path / "out" / ".edge-harmony") == {"one.mp4.json", "two.mp4.json"}


def test_every_option_counts_for_what_is_done() -> None:
    """An option that changes a result, but not what the manifest says of it, would leave an old result standing."""
    import argparse

    from edge_harmony.commands.process import add_clip_options
    from edge_harmony.commands.recipe import settings_of
    from edge_harmony.settings import Config

    parser = argparse.ArgumentParser(add_help=False)
    add_clip_options(parser)
    options = {action.dest for action in parser._actions if "." not in action.dest}  # those with a point are settings
    given = argparse.Namespace(**dict.fromkeys(options, "something"))
    counted = set(settings_of(given, Config())["options"])
    elsewhere = {"alpha", "plate", "alpha_out"}  # among the sources, and beside them
    assert options - counted - elsewhere == {"overwrite", "config", "preset"}  # the last two are settings by now
