"""Bad input ends in one line of error and one of hint, the right exit code, and no half-written output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony import contract
from tests.cli.runner import Outcome, names, run
from tests.models import write_transform_model


def _harmonize(scene: Path, model: Path, **replaced: object) -> Outcome:
    """Run the plain case with some of its files replaced, and see that nothing was written."""
    files = {
        "picture": scene / "composite.png",
        "mask": scene / "mask.png",
        "output": scene / "o.png",
        "model": model,
        **replaced,
    }
    before = names(scene)
    done = run("image", files["picture"], "--mask", files["mask"], "-o", files["output"], "--model", files["model"])
    assert names(scene) == before
    return done


def _bad_picture(path: Path, kind: str) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    if kind == "text":
        path.write_text("this is no picture\n" * 9)
    elif kind == "empty":
        path.touch()
    elif kind == "cut":
        path.write_bytes(cv2.imencode(".png", noise)[1].tobytes()[:9000])
    else:
        image = {
            "HDR": noise.astype(np.float32) / 255,
            "alpha channel": np.dstack([noise, noise[:, :, 0]]),
            "small": noise[:40, :40],
        }[kind]
        path = path.with_suffix(".tiff") if kind == "HDR" else path
        cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "HDR", "alpha channel"])
def test_bad_composite(scene: Path, model: Path, kind: str) -> None:
    done = _harmonize(scene, model, picture=_bad_picture(scene / "bad.png", kind))
    assert done.code == 1
    assert "bad" in done.error
    if kind not in ("text", "empty"):
        assert {"cut": "cut short"}.get(kind, kind) in done.error


def test_too_small_picture(scene: Path, model: Path) -> None:
    picture = _bad_picture(scene / "bad.png", "small")
    cv2.imwrite(str(scene / "m.png"), np.eye(40, dtype=np.uint8) * 255)
    done = _harmonize(scene, model, picture=picture, mask=scene / "m.png")
    assert (done.code, "64" in done.error) == (1, True)


@pytest.mark.parametrize("which", ["picture", "mask", "model"])
def test_missing_file(scene: Path, model: Path, which: str) -> None:
    done = _harmonize(scene, **{"model": model, which: scene / "gone.onnx"})
    assert done.code == 1
    assert "gone.onnx" in done.error


def test_mask_of_another_size(scene: Path, model: Path) -> None:
    cv2.imwrite(str(scene / "m.png"), np.eye(91, dtype=np.uint8) * 255)
    done = _harmonize(scene, model, mask=scene / "m.png")
    assert done.code == 1
    assert "91 x 91" in done.error
    assert "120 x 90" in done.error


def test_mask_that_is_a_colour_picture(scene: Path, model: Path) -> None:
    done = _harmonize(scene, model, mask=scene / "composite.png")
    assert (done.code, "not a mask" in done.error) == (1, True)


def test_mask_that_covers_everything(scene: Path, model: Path) -> None:
    cv2.imwrite(str(scene / "m.png"), np.full((90, 120), 255, np.uint8))
    done = _harmonize(scene, model, mask=scene / "m.png")
    assert (done.code, "whole picture" in done.error) == (1, True)
    done = run("image", scene / "composite.png", "--alpha", scene / "m.png", "--bg", "#000000", "-o", scene / "o.png")
    assert done.code == 1
    assert not (scene / "o.png").exists()


def test_empty_mask_gives_the_picture_back_with_a_warning(scene: Path, model: Path) -> None:
    cv2.imwrite(str(scene / "m.png"), np.zeros((90, 120), np.uint8))
    out = scene / "o.png"
    done = run("image", scene / "composite.png", "--mask", scene / "m.png", "-o", out, "--model", model)
    assert done.code == 0
    assert np.array_equal(cv2.imread(str(out)), cv2.imread(str(scene / "composite.png")))
    (line,) = done.err.splitlines()
    assert line.startswith("warning: ")
    assert "empty" in line


@pytest.mark.parametrize("where", ["missing/o.png", "mask.png/o.png", "/proc/o.png", "/proc/new/o.png"])
def test_folder_that_cannot_be_written(scene: Path, model: Path, where: str) -> None:
    assert _harmonize(scene, model, output=scene / where).code == 1


def test_folder_output_that_cannot_be_made(scene: Path, model: Path) -> None:
    for folder in ("in", "masks"):
        (scene / folder).mkdir()
    cv2.imwrite(str(scene / "in" / "a.png"), cv2.imread(str(scene / "composite.png")))
    cv2.imwrite(str(scene / "masks" / "a.png"), cv2.imread(str(scene / "mask.png"), cv2.IMREAD_UNCHANGED))
    for output in (scene / "mask.png", scene / "mask.png" / "out", Path("/proc/out")):
        done = _harmonize(scene, model, picture=scene / "in", mask=scene / "masks", output=output)
        assert done.code == 1
        assert done.error


def test_existing_output_is_kept(scene: Path, model: Path) -> None:
    done = _harmonize(scene, model, output=scene / "bg.png")
    assert (done.code, "--overwrite" in done.hint) == (1, True)
    assert cv2.imread(str(scene / "bg.png"))[0, 0].tolist() == [10, 60, 20]


def _corrupt(path: Path) -> Path:
    data = bytearray(write_transform_model(path).read_bytes())
    data[100:4000] = bytes(3900)
    path.write_bytes(data)
    return path


def _cut(path: Path) -> Path:
    data = write_transform_model(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def _text(path: Path) -> Path:
    path.write_text("weights")
    return path


BAD_MODELS: dict[str, Callable[[Path], Path]] = {
    "another contract": lambda p: write_transform_model(p, version=contract.CONTRACT_VERSION + 1),
    "other tensors": lambda p: write_transform_model(p, names=("image", "alpha", "grid")),
    "corrupt": _corrupt,
    "cut short": _cut,
    "text": _text,
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_bad_model(scene: Path, kind: str) -> None:
    done = _harmonize(scene, BAD_MODELS[kind](scene / "bad.onnx"))
    assert done.code == 1
    assert "bad.onnx" in done.error


def test_backend_asked_for_by_name_is_never_replaced(scene: Path, model: Path) -> None:
    arguments = ("image", scene / "composite.png", "--mask", scene / "mask.png", "-o", scene / "o.png")
    done = run(*arguments, "--model", model, "--backend", "tensorrt")
    assert done.code == 1
    assert done.error
    done = run(*arguments, "--model", model, "--backend", "onnxruntim")
    assert (done.code, "onnxruntime" in done.hint) == (2, True)
    assert not (scene / "o.png").exists()


USAGE = {
    "nothing": [],
    "no output": ["image", "composite.png", "--mask", "mask.png"],
    "neither mask nor bg": ["image", "composite.png", "-o", "o.png"],
    "mask and bg": ["image", "composite.png", "--mask", "mask.png", "--bg", "bg.png", "-o", "o.png"],
    "mask and matte": ["image", "composite.png", "--mask", "mask.png", "--matte", "chroma", "-o", "o.png"],
    "alpha and matte": ["image", "a", "--alpha", "m", "--matte", "chroma", "--bg", "bg.png", "-o", "o.png"],
    "no alpha at all": ["image", "composite.png", "--bg", "bg.png", "-o", "o.png", "--model", "none"],
    "unknown matte": ["image", "composite.png", "--bg", "bg.png", "--matte", "magic", "-o", "o.png", "--model", "none"],
    "no number": ["image", "composite.png", "--mask", "mask.png", "-o", "o.png", "--strength", "much"],
    "out of range": ["image", "composite.png", "--mask", "mask.png", "-o", "o.png", "--strength", "2"],
    "unknown option": ["image", "composite.png", "--mask", "mask.png", "-o", "o.png", "--strenght", "1"],
    "unknown command": ["imagine"],
    "unknown fit": ["image", "cutout.png", "--bg", "bg.png", "-o", "o.png", "--fit", "crop"],
    "mask and no model": ["image", "composite.png", "--mask", "mask.png", "-o", "o.png", "--model", "none"],
    "no colour": ["image", "cutout.png", "--bg", "#12", "-o", "o.png", "--model", "none"],
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors_exit_with_2(scene: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scene)
    before = names(scene)
    done = run(*USAGE[case])
    assert done.code == 2
    assert done.hint
    assert names(scene) == before


def test_unknown_option_and_setting_name_the_nearest(scene: Path) -> None:
    arguments = ("image", scene / "composite.png", "--mask", scene / "mask.png", "-o", scene / "o.png")
    assert "--strength" in run(*arguments, "--strenght", 1).hint
    settings = scene / "s.toml"
    for text, near in (
        ("[harmonize]\nstrenght = 1", "strength"),
        ("[harmonise]\nstrength = 1", "harmonize"),
        ('[background]\nfit = "covr"', "cover"),
        ("[output]\ncrf = true", "whole number"),
        ("harmonize = 1", "[harmonize]"),
        ("[harmonize", "section"),
    ):
        settings.write_text(text)
        done = run(*arguments, "--config", settings)
        assert done.code == 2
        assert near in done.hint
        assert "s.toml" in done.error
    assert run(*arguments, "--config", scene / "none.toml").code == 2


def test_debug_shows_the_traceback(scene: Path) -> None:
    done = run("image", scene / "none.png", "--mask", scene / "mask.png", "-o", scene / "o.png", "--debug")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "SourceError" in done.err


@pytest.mark.parametrize("arguments", [["--help"], ["image", "--help"], ["process", "--help"], ["--version"]])
def test_help_goes_to_standard_output(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out
    if "image" in arguments or "process" in arguments:
        assert "examples:" in done.out
