"""The probe of what was learned by heart: models that know some photos, or none, are told apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training import overfit
from training.data import PhotoComposites


def knowing(photos: list[np.ndarray]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A model that knows some photos (RGB) by heart, by their backgrounds, and leaves all others alone."""

    def by_heart(composite: np.ndarray, mask: np.ndarray) -> np.ndarray:
        outside = mask <= 127
        alike = [photo for photo in photos if photo.shape == composite.shape]  # cut-outs are of another size
        same = [photo for photo in alike if np.array_equal(photo[..., ::-1][outside], composite[outside])]
        return np.ascontiguousarray(same[0][..., ::-1]) if same else composite

    return by_heart


def test_a_model_that_knows_its_photos_by_heart_and_no_other(photos: Path, bench: Path, monkeypatch, capsys) -> None:
    model = knowing([PhotoComposites(photos).photo(i)[0] for i in range(10)])
    monkeypatch.setattr(overfit, "open_model", lambda job: (model, {}))
    overfit.main(["--data", str(photos), "--bench", str(bench), "--list", "list.txt", "--rounds", "3"])
    out = capsys.readouterr().out
    for kind in overfit.KINDS:
        seen = re.search(rf"{kind}, photos seen: \+(\S+) ± \S+ dB, error left 0.000 \(12 composites\)", out)
        assert seen is not None
        assert float(seen[1]) > 5
        assert f"{kind}, photos new: +0.00 ± 0.00 dB, error left 1.000 (12 composites)" in out
        assert f"{kind}, known by heart: +{seen[1]} ± " in out


def test_the_same_photo_again_is_no_further_evidence(photos: Path) -> None:
    maker = PhotoComposites(photos, config=overfit.KINDS["photographic"])
    model = knowing([maker.photo(i)[0] for i in range(2)])  # half of those below, so that gains differ by photo
    once = overfit.measured(model, (maker.photo(i) for i in range(4)), 4, maker)
    again = overfit.measured(model, (maker.photo(i % 4) for i in range(100)), 4, maker)
    assert again.pictures == 25 * once.pictures
    assert again.deviation > 0.5 * once.deviation  # a fifth, were they all independent


def test_command(photos: Path, bench: Path, gain_model: Callable[[float], Path], capsys) -> None:
    command = ["--data", str(photos), "--bench", str(bench), "--list", "list.txt", "--rounds", "1"]
    assert overfit.main([*command, "--model", str(gain_model(1.0))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12 if "no photo" not in lines[-1] else 10
    assert all("+0.00 ± 0.00 dB" in line for line in lines if "no photo" not in line)  # it changes nothing
    with pytest.raises(SystemExit, match="2"):
        overfit.main([*command, "--rounds", "0"])


def test_cut_outs_are_of_one_light_or_in_their_own(photos: Path) -> None:
    for kind, config in overfit.CUT_OUT.items():
        made = list(overfit.cut_outs(PhotoComposites(photos, config=config), 12))
        assert len({photo for photo, *_ in made}) > 3 or "own" in kind
        for _, composite, real, mask in made:
            assert composite.shape == real.shape == (overfit.SIDE, overfit.SIDE, 3)
            off = np.abs(composite[mask == 0].astype(int) - real[mask == 0])
            assert off.max(initial=0) <= 1  # the background is the truth's
        assert any((composite != real).any() for _, composite, real, _ in made) or not made
