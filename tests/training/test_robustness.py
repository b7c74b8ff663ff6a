"""The probe of robustness: its conditions are what they say, its figures those of models whose answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import scene
from training import robustness
from training.robustness import CONDITIONS, Probe


def picture() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Composite with a foreground half as bright as in truth, truth, mask: uint8."""
    real, mask = scene(3, (120, 160))
    return np.where(mask[..., None] > 127, real // 2, real), real, mask


CUT = "subject cut out with care"  # a scene and a mask of its own


@pytest.mark.parametrize("name", [name for name in CONDITIONS if name != CUT])
def test_conditions_leave_the_true_mask_alone_and_change_what_they_say(name: str) -> None:
    composite, real, mask = picture()
    seen, truth, true_mask, given = CONDITIONS[name](composite, real, mask)
    assert np.array_equal(true_mask, mask)
    assert seen.shape == truth.shape == composite.shape
    assert seen.dtype == given.dtype == np.uint8
    assert np.array_equal(given, mask) != name.startswith("mask")
    outside = mask <= 127
    assert np.array_equal(seen[outside], composite[outside]) != name.endswith("scene")


@pytest.mark.parametrize("name", ["exposure", "white balance", "haze", "film look, otherwise made"])
def test_changes_of_colour_start_from_the_truth_and_are_the_same_every_time(name: str) -> None:
    composite, real, mask = picture()
    seen = CONDITIONS[name](composite, real, mask)[0]
    inside = mask > 127
    change = np.abs(seen[inside].astype(int) - real[inside]).mean()
    assert 1 < change < 90
    assert np.array_equal(seen, CONDITIONS[name](real, real, mask)[0])  # whatever the stored composite is
    other = np.clip(real.astype(int) + 1, 0, 255).astype(np.uint8)
    moved = CONDITIONS[name](composite, other, mask)[0].astype(int) - seen
    assert np.abs(moved[inside]).mean() > 1  # another picture, another change


def test_a_subject_cut_out_with_care_leaves_no_trace_around_it() -> None:
    composite, real, mask = picture()
    real[mask > 127] = (10, 200, 10)
    composite[mask > 127] = (200, 10, 10)
    seen, truth, true_mask, given = CONDITIONS[CUT](composite, real, mask)
    assert np.array_equal(true_mask, given)
    inside, outside = true_mask == 255, true_mask == 0
    assert inside.any()
    assert np.array_equal(seen[inside], composite[inside])
    assert np.array_equal(truth[inside], real[inside])
    assert np.array_equal(seen[outside], truth[outside])
    rim = (mask > 127) & (true_mask < 30)
    assert rim.any()
    assert (np.abs(truth[rim].astype(int) - (10, 200, 10)).max(1) > 20).all()


def test_drift_of_skin_and_of_saturated_colours() -> None:
    real = np.full((60, 90, 3), 128, np.uint8)  # BGR: grey, skin, a brand's red
    real[:, 30:60] = (130, 160, 205)
    real[:, 60:] = (20, 20, 220)
    mask = np.full((60, 90), 255, np.uint8)

    def fades_red(composite: np.ndarray, _mask: np.ndarray) -> np.ndarray:
        out = composite.copy()
        out[:, 60:, 2] -= 60
        return out

    probe = Probe(fades_red, sizes=())
    probe.add(real, real, mask)
    drift = probe.summary()["drift"]
    assert drift["like skin"]["p99"] == 0
    assert drift["saturated"]["p50"] > 8
    assert drift["all"]["p50"] == 0 < drift["all"]["p90"]


def test_a_model_that_does_nothing() -> None:
    probe = Probe(lambda composite, mask: composite, sizes=(320,))
    for _ in range(2):
        probe.add(*picture())
    summary = probe.summary()
    for row in summary["conditions"].values():
        assert row["psnr"] == pytest.approx(row["psnr_before"])
        assert row["fmse"] == pytest.approx(row["fmse_before"])
    assert summary["harmonious"]["psnr"] == 99.0
    assert summary["sizes"]["320"]["psnr_change"] == pytest.approx(0.0)
    assert summary["areas"][0]["images"] == 2
    json.dumps(summary, allow_nan=False)


def test_a_model_that_knows_the_answer() -> None:
    """Doubling the foreground's light undoes the disturbance, and ruins what needed nothing."""

    def double(composite: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.where(mask[..., None] > 127, np.minimum(composite.astype(int) * 2, 255), composite).astype(np.uint8)

    probe = Probe(double, sizes=(320,))
    probe.add(*picture())
    summary = probe.summary()
    stored = summary["conditions"]["as stored"]
    assert stored["fmse"] < 2 < 100 < stored["fmse_before"]
    assert summary["conditions"]["mask with holes"]["fmse"] > 5  # the holes stay dark
    assert summary["harmonious"]["psnr"] < 25
    assert abs(summary["sizes"]["320"]["psnr_change"]) < 12  # from 50 dB: what resampling costs at the edge


def test_command(bench: Path, gain_model: Callable[[float], Path], tmp_path: Path, capsys) -> None:
    command = ["--bench", str(bench), "--list", "list.txt", "--limit", "1", "--json", str(tmp_path / "r.json")]
    sizes, robustness.SIZES = robustness.SIZES, (192,)
    try:
        assert robustness.main([*command, "--model", str(gain_model(2.0))]) == 0
    finally:
        robustness.SIZES = sizes
    assert "already harmonious" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["images"] == 1
