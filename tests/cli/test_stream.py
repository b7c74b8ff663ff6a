"""``edge-harmony stream`` as its users run it: outputs, ends, presets, refusals."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge_harmony.capture.file import open_file
from edge_harmony.pixels.over import over
from tests.cli.runner import names, run, start

LIVE = ("--model", "none", "--no-window", "--bg", "#204060")


def frames_of(path: Path) -> int:
    """How many pictures a video has; fails when it does not play to its end."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def wait_for_line(process: subprocess.Popen[str], word: str, timeout_s: float = 60.0) -> str:
    """The first line of standard output that holds a word."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if select.select([process.stdout], [], [], 1.0)[0]:
            line = process.stdout.readline()
            if word in line or not line:
                return line
    raise AssertionError(f"no line with {word!r}")


def test_a_file_is_recorded_frame_for_frame(tmp_path: Path) -> None:
    out, again = tmp_path / "out.mp4", tmp_path / "again.mp4"
    done = run("stream", "--source", "test:160x96@25,frames=30", "--matte", "none", *LIVE, "-o", out, "-o", again)
    assert done.code == 0, done.err
    assert frames_of(out) == frames_of(again) == 30
    assert "30 frames" in done.out
    assert "dropped: none" in done.out
    assert names(tmp_path) == {"out.mp4", "again.mp4"}


def test_recordings_of_the_subject_alone(tmp_path: Path) -> None:
    """Over the background they are the picture that an opaque recording shows; all in one run."""
    wanted = ("--source", "test:160x96@25,frames=8", "--matte", "none", *LIVE)
    done = run(
        "stream", *wanted, "--cut-out", "-o", tmp_path / "take.mov", "-o", tmp_path / "take.webm",
        "-o", tmp_path / "shots" / "%03d.png",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert run("stream", *wanted, "-o", tmp_path / "whole" / "%03d.png").code == 0
    background = np.full((96, 160, 3), (0x60, 0x40, 0x20), np.uint8)
    whole = [cv2.imread(str(tmp_path / "whole" / f"{i:03d}.png")) for i in range(8)]
    exact = [cv2.imread(str(tmp_path / "shots" / f"{i:03d}.png"), cv2.IMREAD_UNCHANGED) for i in range(8)]
    for name, off in (("shots", 1), ("take.mov", 6), ("take.webm", 30)):
        cuts = exact
        if name != "shots":
            frames = list(open_file(tmp_path / name))
            assert all(f.alpha is not None for f in frames)
            cuts = [np.dstack((f.image_bgr, f.alpha)) for f in frames if f.alpha is not None]
        assert len(cuts) == 8
        for cut, picture in zip(cuts, whole, strict=True):
            assert cut.shape == (96, 160, 4)
            assert 0 < (cut[..., 3] > 0).mean() < 0.9
            again = over(np.ascontiguousarray(cut[..., :3]), np.ascontiguousarray(cut[..., 3]), background)
            assert np.abs(again.astype(int) - picture).mean() < off / 4
            if name == "shots":
                assert np.abs(again.astype(int) - picture).max() <= off


def test_alpha_needs_a_file_that_holds_it(tmp_path: Path) -> None:
    wanted = ("stream", "--source", "test:160x96@25,frames=2", "--matte", "none", *LIVE, "--cut-out")
    for given, said in (
        ((), "none is named"),
        (("-o", tmp_path / "take.mp4"), "no video with alpha ends in '.mp4'"),
        (("-o", tmp_path / "shots" / "%03d.jpg"), "would have no alpha"),
    ):
        done = run(*wanted, *given)
        assert done.code in (1, 2)
        assert said in done.err
    assert not any(tmp_path.rglob("*.*"))
    done = run(*wanted[:-1], "-o", tmp_path / "take.webm")
    assert done.code == 1
    assert "no video format ends in '.webm'" in done.err
    assert "--cut-out" in done.err


def test_json_figures(tmp_path: Path) -> None:
    done = run(
        "stream", "--source", "test:160x96@30", "--realtime", "--duration", 2.5, "--stats", "json", *LIVE,
        "-o", tmp_path / "out.mkv",
    )  # fmt: skip
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) >= 2
    assert lines[-1]["final"]
    assert lines[-1]["frames"] >= lines[0]["frames"] > 0
    assert {"now", "p50", "p95", "max"} == set(lines[-1]["latency_ms"]["result"])
    assert "test pattern" in done.err  # what people read does not disturb the JSON


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_with_whole_files(number: int, tmp_path: Path) -> None:
    process = start(
        "stream", "--source", "test:160x96@30", "--realtime", "--stats", "json", *LIVE, "-o", "out.mp4", "-o", "shots/",
        cwd=tmp_path,
    )  # fmt: skip
    while json.loads(wait_for_line(process, "frames"))["frames"] < 10:
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    final = json.loads(out.splitlines()[-1])
    assert final["final"]
    assert names(tmp_path) == {"out.mp4", "shots"}
    assert frames_of(tmp_path / "out.mp4") > 5
    shots = sorted((tmp_path / "shots").iterdir())
    assert all(cv2.imread(str(path)) is not None for path in (shots[0], shots[-1]))


def test_masks_belong_to_their_frames(tmp_path: Path) -> None:
    for folder in ("frames", "masks"):
        (tmp_path / folder).mkdir()
    for index in range(6):
        image, mask = np.full((80, 120, 3), 30, np.uint8), np.zeros((80, 120), np.uint8)
        image[20:60, 10 + 12 * index : 30 + 12 * index] = (0, 0, 250)
        mask[20:60, 10 + 12 * index : 30 + 12 * index] = 255
        cv2.imwrite(str(tmp_path / "frames" / f"{index}.png"), image)
        cv2.imwrite(str(tmp_path / "masks" / f"{index}.png"), mask)
    done = run(
        "stream", "--source", tmp_path / "frames", "--matte", str(tmp_path / "masks" / "*.png"), "--loop",
        "--frames", 15, *LIVE, "-o", f"{tmp_path / 'out'}/",
    )  # fmt: skip
    assert done.code == 0, done.err
    results = sorted((tmp_path / "out").iterdir())
    assert len(results) == 15
    for index, path in enumerate(results):
        left = 10 + 12 * (index % 6)
        expected = np.full((80, 120, 3), (0x60, 0x40, 0x20), np.uint8)
        expected[20:60, left : left + 20] = (0, 0, 250)
        assert np.array_equal(cv2.imread(str(path)), expected)


def test_without_a_display_it_says_what_it_does_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    arguments = ("stream", "--source", "test:160x96,frames=5", "--model", "none", "--bg", "blur")
    done = run(*arguments)
    assert done.code == 0, done.err
    assert "no window: there is no display" in done.out
    assert "http://127.0.0.1:" in done.out
    done = run(*arguments, "-o", tmp_path / "out.mp4")
    assert done.code == 0
    assert "no window" not in done.out  # there is something to look at


def test_presets_and_the_order_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = tmp_path / "edge-harmony" / "presets"
    own.mkdir(parents=True)
    (own / "mine.toml").write_text('[stream]\nsource = "test:160x96,frames=3"\n[background]\nsource = "#ff0000"\n')
    settings = tmp_path / "settings.toml"
    settings.write_text('[matte]\nkind = "none"\n')
    common = ("--config", settings, "--model", "none", "--no-window")
    done = run("stream", "--preset", "mine", *common, "-o", f"{tmp_path / 'red'}/")
    assert done.code == 0, done.err
    corner = cv2.imread(str(next((tmp_path / "red").iterdir())))[0, 0]
    assert corner.tolist() == [0, 0, 255]
    done = run("stream", "--preset", "mine", *common, "--bg", "#00ff00", "-o", f"{tmp_path / 'green'}/")
    assert cv2.imread(str(next((tmp_path / "green").iterdir())))[0, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize("name", ["streamer", "meeting", "studio", "plate"])
def test_shipped_presets_are_valid(name: str) -> None:
    from edge_harmony.config import load_config
    from edge_harmony.presets import find_preset

    assert load_config(find_preset(name)).matte.kind


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--preset", "steamer"], 2, "did you mean streamer"),
        (["--camera", "0", "--source", "x.mp4"], 2, "go"),
        (["--source", "no_such.mp4"], 1, "no such file"),
        (["--source", "test:160x96", "--matte", "persn"], 2, "did you mean person"),
        (["--source", "test:160x96", "--bg", "no_such.jpg"], 1, "no_such.jpg"),
        (["--source", "test:160x96", "--frames", "0"], 2, "0"),
        (["--source", "test:160x96", "--web", "nowhere"], 2, "PORT"),
        (["--source", "test:160x96", "-o", "out.gif"], 1, "gif"),
        (["--source", "test:160x96", "--exposure", "high"], 2, "lock"),
    ],
)
def test_refused(arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("stream", "--no-window", *arguments)
    assert done.code == code, done.err
    assert words in done.err + done.out
    assert done.err.splitlines()[-2].startswith("error: ")
    assert not names(tmp_path)


def test_process_refuses_what_has_no_end(tmp_path: Path) -> None:
    done = run("process", "test:160x96@30,frames=3", "--matte", "chroma", "--bg", "#000000", "-o", tmp_path / "o.mp4",
               "--model", "none", "--key", "#00ff00")  # fmt: skip
    assert done.code == 0, done.err
    assert frames_of(tmp_path / "o.mp4") == 3


def test_image_takes_a_frame_of_any_source(tmp_path: Path) -> None:
    done = run("image", "test:160x96", "--bg", "#204060", "--model", "none", "-o", tmp_path / "one.png")
    assert done.code == 0, done.err
    assert cv2.imread(str(tmp_path / "one.png"))[0, 0].tolist() == [0x60, 0x40, 0x20]
