"""Videos as people bring them: alpha inside, frames lost on the way, masks of another video."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edge_harmony.capture.video import VideoFile
from tests.capture.scenes import write_clip, write_yuv
from tests.cli.runner import names, run

SIZE_HW = (96, 128)
QUICK = ("--model", "none", "--crf", 0, "--speed", "ultrafast")


def _alpha_planes(index: int) -> list[np.ndarray]:
    """Even light grey; to the left subject, to the right less of it with every frame."""
    alpha = np.full(SIZE_HW, 255, np.uint8)
    alpha[:, 64:] = 40 * index
    return [np.full(SIZE_HW, 200, np.uint8), *(np.full((48, 64), 128, np.uint8),) * 2, alpha]


def _with_alpha(path: Path, kind: str) -> Path:
    planes = [_alpha_planes(index) for index in range(4)]
    if kind == "prores":
        deep = [[np.repeat(np.repeat(p.astype(np.uint16), 1 + (p.shape[0] == 48), 0), 1 + (p.shape[1] == 64), 1) * 4
                 for p in frame] for frame in planes]  # fmt: skip
        for frame in deep:
            frame[3] = frame[3] + frame[3] // 256  # 1023 is opaque
        return write_yuv(path, deep, codec="prores_ks", pixel_format="yuva444p10le", options={"profile": "4444"})
    options = {"auto-alt-ref": "0", "crf": "4", "b:v": "2M", "lag-in-frames": "0"}
    if kind == "libvpx-vp9":
        options = {"lossless": "1"}
    return write_yuv(path, planes, codec=kind, pixel_format="yuva420p", options=options)


@pytest.mark.parametrize("way", [(), ("--matte", "auto"), ("--alpha", "SOURCE")], ids=["nothing", "auto", "alpha"])
@pytest.mark.parametrize(("kind", "suffix"), [("libvpx-vp9", ".webm"), ("libvpx", ".webm"), ("prores", ".mov")])
def test_the_alpha_that_is_there_is_used(tmp_path: Path, kind: str, suffix: str, way: tuple[str, ...]) -> None:
    source = _with_alpha(tmp_path / f"cut{suffix}", kind)
    chosen = [str(source) if part == "SOURCE" else part for part in way]
    done = run(
        "process",
        source,
        *chosen,
        "--bg",
        "#000000",
        "-o",
        tmp_path / "o.mkv",
        "--alpha-out",
        tmp_path / "a.mkv",
        *QUICK,
    )
    assert done.code == 0, done.err
    shown = [frame.image_bgr for frame in VideoFile(tmp_path / "o.mkv")]
    covers = [frame.alpha for frame in VideoFile(tmp_path / "a.mkv").masks()]
    assert len(shown) == len(covers) == 4
    level = (200 - 16) * 255 / 219
    for index, (image, cover) in enumerate(zip(shown, covers, strict=True)):
        assert cover is not None
        assert np.abs(cover[20:70, 10:50].astype(int) - 255).max() <= 3
        assert np.abs(cover[20:70, 80:120].astype(int) - 40 * index).max() <= 3
        assert np.abs(image[20:70, 10:50].astype(int) - level).max() <= 4
        assert np.abs(image[20:70, 80:120].astype(int) - level * 40 * index / 255).max() <= 4


def test_an_opaque_alpha_channel_is_none(tmp_path: Path) -> None:
    planes = [[*_alpha_planes(0)[:3], np.full(SIZE_HW, 255, np.uint8)]] * 3
    path = write_yuv(tmp_path / "a.mkv", planes, codec="ffv1", pixel_format="yuva420p", options={})
    assert not VideoFile(path).has_alpha
    assert run("process", path, "--bg", "#000000", "-o", tmp_path / "o.mp4", *QUICK).code == 2
    later = [*planes, _alpha_planes(1)]
    assert VideoFile(write_yuv(tmp_path / "b.mkv", later, codec="ffv1", pixel_format="yuva420p", options={})).has_alpha


@pytest.mark.parametrize("command", ["process", "stream"])
def test_frames_lost_in_transit_are_counted_and_cost_no_others(tmp_path: Path, command: str) -> None:
    rng = np.random.default_rng(0)
    planes = [[rng.integers(60, 200, SIZE_HW, np.uint8), *(np.full((48, 64), 128, np.uint8),) * 2] for _ in range(20)]
    whole = write_yuv(
        tmp_path / "whole.ts",
        planes,
        pts=range(20),
        time_base=Fraction(1, 25),
        options={"qp": "20", "g": "1", "bf": "0"},
    ).read_bytes()
    with av.open(str(tmp_path / "whole.ts")) as file:
        places = [packet.pos for packet in file.demux(video=0) if packet.size]
    lost = whole[: places[8]] + whole[places[11] :]  # three frames, and the counters of the packets jump
    (tmp_path / "lost.ts").write_bytes(lost)
    options = ("--bg", "#000000", "-o", tmp_path / "o.mp4")
    if command == "process":
        done = run("process", tmp_path / "lost.ts", "--matte", "chroma", "--key", "#00ff00", *options, *QUICK)
    else:
        done = run(
            "stream", "--source", tmp_path / "lost.ts", "--matte", "none", "--model", "none", "--no-window", *options
        )
    assert done.code == 3, done.err
    assert "3 frames are missing" in done.err
    times = [frame.time_s for frame in VideoFile(tmp_path / "o.mp4")]
    assert len(times) == 17
    assert max(after - before for before, after in itertools.pairwise(times)) == Fraction(4, 25)


@pytest.mark.parametrize("command", ["process", "stream"])
def test_a_mask_of_another_video_is_refused_before_the_work(tmp_path: Path, command: str) -> None:
    write_clip(tmp_path / "v.mp4", 20)
    write_clip(tmp_path / "short.mp4", 19)
    rest = ("--alpha", tmp_path / "short.mp4", "--bg", "#000000", "-o", tmp_path / "o.mp4", "--model", "none")
    source = (tmp_path / "v.mp4",) if command == "process" else ("--source", tmp_path / "v.mp4", "--no-window")
    done = run(command, *source, *rest)
    assert done.code == 1
    assert "19 masks" in done.error
    assert "20 frames" in done.error
    assert names(tmp_path) == {"v.mp4", "short.mp4"}
