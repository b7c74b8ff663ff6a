"""Evaluation: known results from models whose effect is known."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge_harmony.errors import ModelError, SinkError, SourceError
from training import checkpoint, evaluate, report
from training.config import TrainConfig
from training.generator import FusionGenerator, GeneratorConfig
from training.ihdata import Composites
from training.metrics import Figures

ROOT = Path(__file__).resolve().parents[2]
SMALL = GeneratorConfig(stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), decoder_depths=(1, 1, 1), code_size=16)


def run(bench: Path, tmp_path: Path, *more: str | Path) -> dict:
    out = tmp_path / "figures.json"
    assert evaluate.main(["--bench", str(bench), "--list", "list.txt", "--json", str(out), *map(str, more)]) == 0
    return json.loads(out.read_text())


@pytest.fixture
def gain_checkpoint(tmp_path: Path) -> Path:
    """A checkpoint whose network always multiplies colours by two."""
    model = FusionGenerator(SMALL)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(2 * torch.eye(3, 4).flatten())
    tensors = {f"ema.{k}": v for k, v in model.state_dict().items()}
    path = tmp_path / "gain.safetensors"
    checkpoint.save(path, tensors, {"config": TrainConfig(generator=SMALL).to_dict(), "step": 9})
    return path


def test_identity_scores_as_the_untouched_composite(bench: Path, tmp_path: Path, gain_model: Callable) -> None:
    figures = run(bench, tmp_path, "--model", gain_model(1.0))
    assert list(figures["summary"]) == ["all", "dark", "dim"]
    for entry in figures["summary"].values():
        assert entry["model"] == entry["composite"]
        assert entry["model"]["fmse_ratio"] == 1.0
        assert entry["reinhard"] != entry["composite"]
    assert figures["summary"]["all"]["images"] == 4
    assert [i["name"] for i in figures["images"]] == ["p0_1_dim.png", "p1_1_dark.png", "p2_1_dim.png", "p3_1_dark.png"]


def test_the_right_gain_undoes_the_disturbance(bench: Path, tmp_path: Path, gain_model: Callable) -> None:
    """Foregrounds are half as bright as in truth: doubling leaves the last bit that halving lost."""
    entry = run(bench, tmp_path, "--model", gain_model(2.0), "--save", tmp_path / "out")["summary"]["all"]
    assert entry["composite"]["fmse"] > 1000
    assert entry["model"]["fmse"] <= 1.0
    assert entry["model"]["psnr"] > 48
    assert entry["model"]["de2000"] < 1.0 < entry["composite"]["de2000"]
    assert entry["model"]["ssim"] > 0.99
    saved = cv2.imread(str(tmp_path / "out" / "p0_1_dim.png"))
    composite = cv2.imread(str(bench / "composite_images" / "p0_1_dim.png"))
    mask = cv2.imread(str(bench / "masks" / "p0_1.png"), cv2.IMREAD_GRAYSCALE)
    inside = mask == 255
    np.testing.assert_allclose(saved[inside].astype(int), np.minimum(2 * composite[inside].astype(int), 255), atol=1)
    assert np.array_equal(saved[mask == 0], composite[mask == 0])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"p{i}_1_{t}.png" for i, t in enumerate(("dim", "dark", "dim", "dark"))
    ]


def test_checkpoint_scores_as_the_same_graph_does(
    bench: Path, tmp_path: Path, gain_model: Callable, gain_checkpoint: Path
) -> None:
    graph = run(bench, tmp_path, "--model", gain_model(2.0))
    weights = run(bench, tmp_path, "--checkpoint", gain_checkpoint)
    assert weights["step"] == "9"
    one, two = ({k: v for k, v in run["summary"]["all"]["model"].items() if k != "done"} for run in (weights, graph))
    assert one == pytest.approx(two, rel=1e-3)
    assert weights["summary"]["all"]["model"]["done"] is None  # no picture here was right


def test_workers_change_nothing(bench: Path, tmp_path: Path, gain_model: Callable) -> None:
    model = gain_model(1.5)
    assert run(bench, tmp_path, "--model", model, "--workers", "2") == run(bench, tmp_path, "--model", model)


def test_size_of_papers(bench: Path, tmp_path: Path, gain_model: Callable) -> None:
    figures = run(bench, tmp_path, "--model", gain_model(2.0), "--size", "80", "--save", tmp_path / "out")
    assert figures["size"] == 80
    assert cv2.imread(str(tmp_path / "out" / "p0_1_dim.png")).shape == (80, 80, 3)


def test_table_is_printed(bench: Path, tmp_path: Path, gain_model: Callable, capsys: pytest.CaptureFixture) -> None:
    run(bench, tmp_path, "--model", gain_model(1.0))
    text = capsys.readouterr().out
    for word in ("composite", "reinhard", "model", "dark", "dim", "PSNR dB", "fMSE", "SSIM", "ΔE2000", "stored size"):
        assert word in text


# --- averages


def row(name: str, group: str, fmse: float, difference: float, pixels: int) -> report.Row:
    made = report.Row(name, group, 0.1)
    made.add(report.COMPOSITE, Figures(30.0, 10.0, 100.0, 0.9, 5.0), np.full(10, 5.0))
    made.add(report.MODEL, Figures(35.0, 5.0, fmse, 0.95, difference), np.full(pixels, difference))
    return made


def test_averages_are_over_pictures_and_percentiles_over_pixels() -> None:
    rows = [row("a", "x", 20.0, 2.0, 90), row("b", "y", 40.0, 8.0, 10)]
    entry = report.summarise(rows)["all"]["model"]
    assert entry["fmse"] == 30.0
    assert entry["fmse_ratio"] == pytest.approx(0.3)
    assert entry["de2000"] == 5.0
    assert entry["de2000_p50"] == pytest.approx(2.0, abs=report.STEP)
    assert entry["de2000_p90"] == pytest.approx(2.0, abs=report.STEP)
    assert entry["de2000_p95"] == pytest.approx(8.0, abs=report.STEP)


def test_pictures_without_foreground_are_left_out_of_its_averages() -> None:
    nan = float("nan")
    summary = report.summarise([row("a", "x", 20.0, 2.0, 90), row("b", "x", nan, nan, 0)])
    assert summary["all"]["model"]["fmse"] == 20.0
    assert summary["all"]["images"] == 2
    alone = report.summarise([row("b", "x", nan, nan, 0)])["all"]["model"]
    assert alone["fmse"] is None
    assert alone["de2000_p50"] is None
    json.dumps(alone, allow_nan=False)


def test_pictures_that_were_right_are_told_apart() -> None:
    def made(name: str, group: str, before: float, after: float) -> report.Row:
        one = report.Row(name, group, 0.1)
        for method, fmse in ((report.COMPOSITE, before), (report.MODEL, after)):
            one.add(method, Figures(30.0, 1.0, fmse, 0.9, 1.0), np.array([1.0]))
        return one

    summary = report.summarise(
        [
            made("a", "film", 100.0, 20.0),
            made("b", "film", 300.0, 340.0),
            made("c", "photo", 400.0, 40.0),
            made("d", "same", 0.0, 50.0),
            made("e", "same", 0.5, 70.0),
        ]
    )
    whole = summary["all"]["model"]
    assert whole["fmse_ratio"] == pytest.approx(400 / 800)
    assert whole["better"] == pytest.approx(2 / 3)
    assert whole["done"] == pytest.approx(60.0)
    assert summary["film"]["model"]["fmse_ratio"] == pytest.approx(360 / 400)
    assert summary["film"]["model"]["done"] is None
    assert summary["same"]["model"] | {"fmse_ratio": None, "better": None, "done": 60.0} == summary["same"]["model"]
    assert summary["all"]["composite"]["better"] == 0.0


@pytest.mark.parametrize("percent", [0, 1, 50, 95, 100])
def test_pooled_percentiles_agree_with_numpy(percent: int) -> None:
    values = np.random.default_rng(0).gamma(2.0, 4.0, 5000)
    made = report.Row("a", "x", 0.1)
    made.add(report.MODEL, Figures(0, 0, 0, 0, 0), values)
    got = report.percentile(made.histogram[report.MODEL], max(percent, 0.02))
    assert got == pytest.approx(np.percentile(values, percent), abs=0.05 + 0.02 * values.max() * (percent == 100))


# --- bad input


def test_disagreeing_sizes_are_refused(bench: Path, tmp_path: Path, gain_model: Callable) -> None:
    shutil.copytree(bench, tmp_path / "bench")
    cv2.imwrite(str(tmp_path / "bench" / "masks" / "p1_1.png"), np.zeros((70, 70), np.uint8))
    with pytest.raises(SourceError, match=r"p1_1_dark\.png") as error:
        run(tmp_path / "bench", tmp_path, "--model", gain_model(1.0))
    assert error.value.hint


def test_errors_leave_a_worker_process_with_their_hints(bench: Path, gain_model: Callable) -> None:
    evaluate._start(evaluate.Job(gain_model(1.0), None, None, None))
    item = Composites(bench, "list.txt")[0]
    answer = pickle.loads(pickle.dumps(evaluate._measure(replace(item, mask=item.mask.with_name("none.png")))))
    assert isinstance(answer, SourceError)
    assert answer.hint
    assert "none.png" in answer.message


@pytest.mark.parametrize("option", ["--save", "--json"])
def test_folder_that_cannot_be_written(bench: Path, tmp_path: Path, gain_model: Callable, option: str) -> None:
    (tmp_path / "file").touch()
    arguments = ["--bench", str(bench), "--list", "list.txt", "--model", str(gain_model(1.0))]
    with pytest.raises(SinkError) as error:
        evaluate.main([*arguments, option, str(tmp_path / "file" / "deep" / "x")])
    assert error.value.hint


@pytest.mark.parametrize("arguments", [["--model", "a", "--checkpoint", "b"], ["--size", "8"], ["--workers", "0"]])
def test_contradictory_options_are_usage_errors(bench: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["--bench", str(bench), "--list", "list.txt", *arguments])
    assert stopped.value.code == 2


def test_missing_models(bench: Path, tmp_path: Path) -> None:
    for option in ("--model", "--checkpoint"):
        with pytest.raises(ModelError, match="none") as error:
            run(bench, tmp_path, option, tmp_path / "none.file")
        assert error.value.hint
    assert not (tmp_path / "figures.json").exists()


def test_command_line_reports_in_two_lines(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.evaluate", "--bench", str(tmp_path / "none"), "--list", "x.txt"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
