"""``edge-harmony benchmark``: its figures, its JSON, and what it says of backends that cannot run."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_harmony.errors import MatteError
from edge_harmony.gpu import detect
from edge_harmony.pixels.synthetic import SyntheticClip
from edge_harmony.run.timing import StageTimer
from edge_harmony.speed.measure import RecordedClip
from tests.capture.scenes import write_clip, write_yuv
from tests.cli.runner import run

NO_GPU = detect.find_gpu()[0] is None
FIGURES = {"count", "mean_ms", "p50_ms", "p95_ms", "p99_ms"}


def measured(*arguments: object) -> dict[str, Any]:
    """Run it on a few small frames, and read its JSON."""
    outcome = run("benchmark", "--frames", 4, "--threads", 1, "--json", "-", *arguments)
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_json_keeps_to_its_schema_and_adds_up(model: Path) -> None:
    report = measured("--model", model, "--size", "192x128")
    assert set(report) == {"format", "version", "machine", "clip", "results", "unavailable"}
    assert report["format"] == "edge_harmony.benchmark.1"
    (result,) = report["results"]
    assert (result["backend"], result["precision"], result["size"]) == ("onnxruntime", "fp32", "192x128")
    assert list(result["stages"]) == ["read down", "scene", "network", "smooth", "apply", "rest"]
    for figures in (*result["stages"].values(), result["end_to_end"], result["cv2_blend"]):
        assert set(figures) == FIGURES
        assert figures["count"] == 4
    stages_ms = sum(figures["mean_ms"] for figures in result["stages"].values())
    assert stages_ms == pytest.approx(result["end_to_end"]["mean_ms"], rel=1e-6)
    assert result["throughput_fps"] == pytest.approx(1000 / result["end_to_end"]["mean_ms"], abs=0.01)
    assert 20 < result["peak_mb"] < 2000
    ratio = result["end_to_end"]["p50_ms"] / result["cv2_blend"]["p50_ms"]
    assert result["ratio_to_blend"] == pytest.approx(ratio, abs=0.01)


def test_every_case_is_measured_or_has_a_reason_and_a_hint(model: Path) -> None:
    report = measured("--model", model, "--size", "96x96")
    named = [(case["backend"], case["precision"]) for case in (*report["results"], *report["unavailable"])]
    assert sorted(named) == [(b, p) for b in ("onnxruntime", "tensorrt") for p in ("fp16", "fp32", "int8")]
    assert all(case["reason"] and case["hint"] for case in report["unavailable"])


def test_other_precisions_are_found_beside_the_model(tmp_path: Path, model: Path) -> None:
    for name in ("mine.onnx", "mine_fp16.onnx"):
        (tmp_path / name).write_bytes(model.read_bytes())
    report = measured("--model", tmp_path / "mine.onnx", "--backend", "onnxruntime", "--size", "96x96")
    assert [(r["precision"], r["model"]) for r in report["results"]] == [
        ("fp32", "mine.onnx"),
        ("fp16", "mine_fp16.onnx"),
    ]


def test_own_clip_has_its_reading_and_matte_counted(model: Path, scene: Path) -> None:
    clip = ("--source", scene / "composite.png", "--alpha", scene / "mask.png", "--bg", scene / "bg.png")
    report = measured("--model", model, "--precision", "fp32", "--backend", "onnxruntime", *clip)
    (result,) = report["results"]
    assert list(result["stages"]) == [
        "decode", "matte", "background", "read down", "scene", "network", "smooth", "apply", "rest",
    ]  # fmt: skip
    assert result["size"] == "120x90"
    assert result["stages"]["decode"]["count"] == 4  # a clip of one frame comes again
    stages_ms = sum(figures["mean_ms"] for figures in result["stages"].values())
    assert stages_ms == pytest.approx(result["end_to_end"]["mean_ms"], rel=1e-6)


def test_masks_are_paired_as_in_every_command(tmp_path: Path) -> None:
    """By time where the rates differ; what does not belong together is refused before the work."""
    timer = StageTimer()
    write_clip(tmp_path / "clip.mkv", 10, pts=range(0, 20, 2), time_base=Fraction(1, 20))
    masks = [_evenly(255 * (index % 2)) for index in range(20)]
    write_yuv(tmp_path / "mask.mkv", masks, pts=range(20), time_base=Fraction(1, 20))
    clip = RecordedClip(str(tmp_path / "clip.mkv"), str(tmp_path / "mask.mkv"), "#000000", timer)
    assert [int(alpha.mean()) for _, alpha, _ in clip.frames(10)] == [255] * 10  # that of each frame's middle
    write_yuv(tmp_path / "other.mkv", masks[:7], pts=range(0, 14, 2), time_base=Fraction(1, 20))
    with pytest.raises(MatteError, match="do not belong together"):
        RecordedClip(str(tmp_path / "clip.mkv"), str(tmp_path / "other.mkv"), "#000000", timer)


def _evenly(grey: int) -> list[np.ndarray]:
    """Planes of 4:2:0, limited range."""
    luma = np.full((96, 128), 16 + round(grey * 219 / 255), np.uint8)
    return [luma, *(np.full((48, 64), 128, np.uint8),) * 2]


def test_own_clip_with_an_alpha_channel_needs_no_mask(model: Path, scene: Path) -> None:
    report = measured("--model", model, "--precision", "fp32", "--source", scene / "cutout.png")
    assert "matte" not in report["results"][0]["stages"]


def test_table_and_file(tmp_path: Path, model: Path) -> None:
    target = tmp_path / "figures.json"
    outcome = run("benchmark", "--model", model, "--frames", 2, "--size", "96x96", "--json", target)
    assert outcome.code == 0
    assert outcome.err == ""
    for words in ("onnxruntime fp32", "p99", "end to end", "cv2 blending", "frames a second", "not measured:"):
        assert words in outcome.out
    assert json.loads(target.read_text())["results"]


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_tensorrt_by_name_without_a_gpu_is_an_error(model: Path) -> None:
    outcome = run("benchmark", "--model", model, "--backend", "tensorrt", "--frames", 1)
    assert outcome.code == 1
    assert detect.find_gpu()[1] in outcome.error
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--backend", "onnxrutime"], 2, "unknown backend"),
        (["--precision", "fp8"], 2, "fp8"),
        (["--size", "1080p"], 2, "1080p"),
        (["--size", "32x32"], 2, "32x32"),
        (["--frames", "0"], 2, "--frames"),
        (["--alpha", "mask.png"], 2, "--source"),
        (["--source", "clip.mp4", "--size", "96x96"], 2, "--size and --source"),
        (["--precision", "fp16", "--backend", "onnxruntime"], 1, "half_red_fp16.onnx"),
        (["--backend", "onnxruntime", "--precision", "fp32", "--source", "lost.mp4"], 1, "lost.mp4"),
        (["--backend", "onnxruntime", "--precision", "fp32", "--source", "{scene}/composite.png"], 1, "no alpha"),
        (["--model", "lost.onnx"], 1, "lost.onnx"),
    ],
)
def test_bad_input_is_one_error_and_one_hint(
    arguments: list[str], code: int, words: str, model: Path, scene: Path
) -> None:
    given = [argument.format(scene=scene) for argument in arguments]
    outcome = run("benchmark", *(() if "--model" in given else ("--model", model)), *given)
    assert outcome.code == code
    assert words in outcome.error


def test_unwritable_file_is_an_error(tmp_path: Path, model: Path) -> None:
    outcome = run("benchmark", "--model", model, "--frames", 1, "--size", "96x96", "--json", tmp_path / "no" / "f.json")
    assert outcome.code == 1
    assert "cannot be written" in outcome.error


def test_synthetic_clip_is_the_same_every_time_and_moves() -> None:
    first, second = (list(SyntheticClip((120, 200)).frames(20)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(first[0][1], first[3][1])
    for frame, alpha, background in first:
        assert frame.shape == background.shape == (120, 200, 3)
        assert alpha.shape == (120, 200)
        assert {0, 255} <= set(np.unique(alpha).tolist())
        assert 0.1 < (alpha / 255).mean() < 0.25


def test_synthetic_alpha_is_the_ellipse_it_says() -> None:
    _, alpha, _ = next(SyntheticClip((1080, 1920)).frames(1))
    area = (alpha / 255.0).sum()
    assert area == pytest.approx(np.pi * 0.17 * 1920 * 0.32 * 1080, rel=2e-3)
    soft = np.count_nonzero((alpha > 0) & (alpha < 255))
    assert soft < 0.02 * np.count_nonzero(alpha)
