"""``edge-harmony image``, from files to files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.harmonize import load_harmonizer
from tests.cli.runner import names, run


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def test_composite_with_mask(scene: Path, model: Path) -> None:
    done = run("image", scene / "composite.png", "--mask", scene / "mask.png", "-o", scene / "o.png", "--model", model)
    assert (done.code, done.err) == (0, "")
    what, result = done.out.splitlines()
    assert what.startswith("harmonized by ")
    assert " on onnxruntime, " in what
    assert result == str(scene / "o.png")
    before, after, mask = (_read(scene / f"{n}.png") for n in ("composite", "o", "mask"))
    assert np.array_equal(after[mask == 0], before[mask == 0])
    assert (after[mask > 0] == (40, 90, 100)).all()
    assert np.array_equal(after, load_harmonizer(model)(before, mask))


def test_strength_and_compare(scene: Path, model: Path) -> None:
    arguments = ("image", scene / "composite.png", "--mask", scene / "mask.png", "--model", model)
    done = run(*arguments, "--strength", 0.5, "--compare", "-o", scene / "o.png")
    assert done.code == 0
    both = _read(scene / "o.png")
    assert both.shape == (90, 240, 3)
    assert np.array_equal(both[:, :120], _read(scene / "composite.png"))
    assert both[45, 180].tolist() == [40, 90, 150]


@pytest.mark.parametrize("given", ["own alpha", "--alpha"])
def test_subject_on_new_background(scene: Path, model: Path, given: str) -> None:
    alpha = ["--alpha", scene / "mask.png"] if given == "--alpha" else []
    foreground = scene / ("composite.png" if alpha else "cutout.png")
    out = scene / "o.png"
    done = run("image", foreground, *alpha, "--bg", scene / "bg.png", "-o", out, "--model", model)
    assert (done.code, done.err) == (0, "")
    after, mask = _read(out), _read(scene / "mask.png")
    assert (after[mask == 0] == (10, 60, 20)).all()
    assert (after[mask > 0] == (40, 90, 100)).all()


def test_colour_as_background_and_no_model(scene: Path) -> None:
    out = scene / "o.png"
    done = run("image", scene / "cutout.png", "--bg", "#204060", "--model", "none", "-o", out)
    assert (done.code, done.err) == (0, "")
    after, mask = _read(out), _read(scene / "mask.png")
    assert (after[mask == 0] == (0x60, 0x40, 0x20)).all()
    assert (after[mask > 0] == (40, 90, 200)).all()


def test_chroma_key(tmp_path: Path, model: Path) -> None:
    frame = np.full((120, 160, 3), (60, 180, 40), np.uint8)
    frame[30:90, 50:110] = (90, 100, 190)
    cv2.imwrite(str(tmp_path / "screen.png"), frame)
    cv2.imwrite(str(tmp_path / "bg.png"), np.full((120, 160, 3), 77, np.uint8))
    out = tmp_path / "o.png"
    arguments = ("image", tmp_path / "screen.png", "--matte", "chroma", "--bg", tmp_path / "bg.png")
    assert run(*arguments, "--model", "none", "-o", out).code == 0
    after = _read(out)
    assert (after[:20] == 77).all()
    assert np.abs(after[45:75, 65:95].astype(int) - (90, 100, 190)).max() <= 3
    done = run(*arguments, "--model", model, "-o", out, "--overwrite", "--key", "#28b43c")
    assert done.code == 0
    assert abs(int(_read(out)[60, 80, 2]) - 95) <= 3


def test_clean_plate(tmp_path: Path) -> None:
    plate = cv2.resize(np.random.default_rng(0).integers(60, 200, (12, 16, 3), np.uint8), (320, 240))
    frame = plate.copy()
    frame[60:180, 100:200] = (20, 20, 230)
    cv2.imwrite(str(tmp_path / "plate.png"), plate)
    cv2.imwrite(str(tmp_path / "frame.png"), frame)
    cv2.imwrite(str(tmp_path / "bg.png"), np.full((240, 320, 3), 77, np.uint8))
    arguments = ("image", tmp_path / "frame.png", "--matte", "plate", "--bg", tmp_path / "bg.png", "--model", "none")
    done = run(*arguments, "-o", tmp_path / "o.png")
    assert (done.code, "--plate" in done.error + done.hint) == (2, True)
    assert run(*arguments, "--plate", tmp_path / "plate.png", "-o", tmp_path / "o.png").code == 0
    after = _read(tmp_path / "o.png")
    assert (after[:30] == 77).all()
    assert np.abs(after[90:150, 120:180].astype(int) - (20, 20, 230)).max() <= 3


def _folder(path: Path, files: dict[str, np.ndarray]) -> Path:
    path.mkdir()
    for name, image in files.items():
        cv2.imwrite(str(path / name), image)
    return path


def test_folders_are_paired_by_name(scene: Path, model: Path) -> None:
    composite, mask = _read(scene / "composite.png"), _read(scene / "mask.png")
    pictures = _folder(scene / "in", {"b_2.png": composite, "a.png": composite})
    masks = _folder(scene / "masks", {"a_mask.png": mask, "b.png": mask, "spare.png": mask})
    done = run("image", pictures, "--mask", masks, "-o", scene / "new" / "out", "--model", model)
    assert (done.code, done.err) == (0, "")
    assert names(scene / "new" / "out") == {"a.png", "b_2.png", ".edge-harmony"}
    assert names(scene / "new" / "out" / ".edge-harmony") == {"a.png.json", "b_2.png.json"}
    assert _read(scene / "new" / "out" / "a.png")[45, 60].tolist() == [40, 90, 100]
    one_bg = run("image", pictures, "--alpha", masks, "--bg", scene / "bg.png", "-o", scene / "o2", "--model", model)
    assert one_bg.code == 0
    assert names(scene / "o2") == {"a.png", "b_2.png", ".edge-harmony"}


def test_a_picture_without_partner_stops_before_anything_is_written(scene: Path, model: Path) -> None:
    composite = _read(scene / "composite.png")
    pictures = _folder(scene / "in", {"a.png": composite, "b.png": composite})
    masks = _folder(scene / "masks", {"a.png": _read(scene / "mask.png")})
    done = run("image", pictures, "--mask", masks, "-o", scene / "out", "--model", model)
    assert done.code == 1
    assert "b.png" in done.error
    assert not (scene / "out").exists()


def test_settings_file_lies_under_the_command_line(scene: Path, model: Path) -> None:
    settings = scene / "s.toml"
    settings.write_text(f'[harmonize]\nmodel = "{model}"\nstrength = 0.0\n[finish]\nlight_wrap = 0\n')
    arguments = ("image", scene / "composite.png", "--mask", scene / "mask.png", "--config", settings)
    assert run(*arguments, "-o", scene / "a.png").code == 0
    assert np.array_equal(_read(scene / "a.png"), _read(scene / "composite.png"))
    assert run(*arguments, "--strength", 1, "-o", scene / "b.png").code == 0
    assert _read(scene / "b.png")[45, 60].tolist() == [40, 90, 100]
