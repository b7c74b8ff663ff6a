"""Training the matte, for real, on tiny pictures: samples, network, loop, resume, export."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edge_harmony.errors import ConfigError, ModelError, SourceError
from edge_harmony.matte.onnx import OnnxMatte
from edge_harmony.matte.person import MODEL
from export import matte as export_matte
from tests.scenes import soft_disc, textured
from training import checkpoint
from training.matte import train
from training.matte.config import read_run
from training.matte.initial import begin
from training.matte.network import MatteConfig, MatteNet
from training.matte.pictures import Pictures, collect, held_out, list_mattes
from training.matte.placing import placing
from training.matte.samples import MatteSamples


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Fourteen mattes, ten drawn people, six photos with labels.

    Of the photos one shows a held-out matte's picture, two have no subject, on one the teachers disagree.
    """
    root = tmp_path_factory.mktemp("data")
    for name in ("mattes/images", "mattes/alpha", "photos/real_images", "labels", "people/images", "people/masks"):
        (root / name).mkdir(parents=True)
    for i in range(10):
        mask = cv2.ellipse(np.zeros((160, 120), np.uint8), (60, 85), (22, 70), 0, 0, 360, 255, -1)
        picture = textured((160, 120), seed=80 + i)
        picture[mask > 127] = 255 - picture[mask > 127] // 3
        cv2.imwrite(str(root / "people/images" / f"d{i}.png"), picture)
        cv2.imwrite(str(root / "people/masks" / f"d{i}.png"), mask)
    kept = None
    for i in range(14):
        alpha, picture = soft_disc((120, 160), 25 + i, centre_xy=(60 + 2 * i, 60)), textured((120, 160), seed=i)
        picture[alpha > 127] = picture[alpha > 127] // 3
        cv2.imwrite(str(root / "mattes/images" / f"m{i}.png"), picture)
        cv2.imwrite(str(root / "mattes/alpha" / f"m{i}.png"), alpha)
        if held_out(root / "mattes/alpha" / f"m{i}.png"):
            kept = picture
    assert kept is not None
    nothing = np.zeros((120, 160), np.uint8)
    photos = [(kept, soft_disc((120, 160), 40)), *((textured((120, 160), seed), nothing) for seed in (50, 51))]
    photos += [(textured((120, 160), seed), soft_disc((120, 160), 30)) for seed in (52, 53, 54)]
    for i, (picture, alpha) in enumerate(photos):
        cv2.imwrite(str(root / "photos/real_images" / f"p{i}.png"), picture)
        cv2.imwrite(str(root / "labels" / f"p{i}.png"), alpha)
    faces = {"p3": 1, "p4": 1, "m2": 1}
    rows = [
        f"{name},0.1,0,{faces.get(name, 0)},{0.5 if name == 'p4' else 0.95}"
        for name in (*(f"m{i}" for i in range(14)), *(f"p{i}" for i in range(6)))
    ]
    (root / "labels" / "list.csv").write_text("name,subject_share,doubtful_share,faces,agreement\n" + "\n".join(rows))
    return {name: root / name for name in ("mattes", "photos", "labels", "people")}


def _found(folders: dict[str, Path]) -> Pictures:
    return collect([folders["people"], folders["mattes"]], [folders["photos"]], folders["labels"])


def _samples(folders: dict[str, Path]) -> MatteSamples:
    return MatteSamples(_found(folders))


def test_what_is_held_out_is_never_seen(folders: dict[str, Path]) -> None:
    found = _found(folders)
    seen = {p.name for pool in (found.shown, found.subjects, found.things, found.backgrounds) for p in pool}
    for kind in ("mattes", "people"):
        kept = {name for name, _, alpha in list_mattes(folders[kind]) if held_out(alpha)}
        assert kept
        assert not kept & seen
    assert "p0" not in seen  # the same picture under another name


def test_people_are_found_and_things_are_not(folders: dict[str, Path]) -> None:
    samples = _samples(folders)
    found = samples.found
    assert all(p.name.startswith("d") for p in samples.drawn)
    assert {p.name for p in found.shown} == {"m2", "p3", *(p.name for p in samples.drawn)}  # a face, or a drawn mask
    things = {p.name for p in found.things}
    assert things
    assert all(name.startswith("m") for name in things)  # a teacher's subject without a face
    assert {p.name for p in found.backgrounds} == {"p1", "p2", *things}
    assert not any(p.alpha.any() for p in found.backgrounds)
    seen = {p.name for pool in (found.shown, found.backgrounds) for p in pool}
    assert not {"p4", "p5"} & seen  # teachers disagree; a photo's subject without a face may be a person's back


def test_of_tall_people_the_upper_part_is_shown_too() -> None:
    alpha = cv2.ellipse(np.zeros((400, 200), np.uint8), (100, 200), (50, 190), 0, 0, 360, 255, -1)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        matrix = placing(alpha, 96, rng, upper=1.0)
        y = [(matrix @ (100.0, v, 1.0))[1] for v in (10, 390)]
        assert 0 <= y[0] < 0.5 * 96  # the head is in view
        assert y[1] > 1.2 * 96  # and the feet are not


def test_samples_depend_on_their_place_in_the_run_alone(folders: dict[str, Path]) -> None:
    one, other = _samples(folders), _samples(folders)
    for position in (7, 3, 7):
        a, b = one[(position, 64)], other[(position, 64)]
        assert a["picture"].shape == (64, 64, 4)
        assert a["alpha"].shape == (64, 64)
        assert (a["picture"] == b["picture"]).all()
        assert (a["alpha"] == b["alpha"]).all()
    assert (one[(1, 64)]["picture"] != one[(2, 64)]["picture"]).any()


def test_previous_alphas_are_none_wrong_and_near(folders: dict[str, Path]) -> None:
    data = _samples(folders)
    samples = [data[(i, 64)] for i in range(120)]
    overlaps = []
    for sample in samples:
        previous, alpha = sample["picture"][..., 3] > 127, sample["alpha"] > 127
        if previous.any() and alpha.any():
            overlaps.append((previous & alpha).sum() / (previous | alpha).sum())
    empty = np.mean([not s["picture"][..., 3].any() for s in samples])
    assert 0.3 < empty < 0.65
    assert np.mean(np.array(overlaps) > 0.6) > 0.4
    assert np.mean(np.array(overlaps) < 0.3) > 0.03


def test_missing_folders_are_named(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(SourceError, match="no folder images"):
        collect([tmp_path], [folders["photos"]])
    with pytest.raises(SourceError, match="real_images"):
        collect([folders["mattes"]], [tmp_path])


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch", 0), ("steps", -1), ("ema", 1.5), ("views", [0.0]), ("loss.edges", -0.1), ("network.stem", 0),
     ("network.widths", [24, 0, 96, 128]), ("augment.dark", 2.0), ("clip", "much")],
)  # fmt: skip
def test_settings_out_of_range_are_named(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=re.escape(name)) as error:
        read_run(None, {name: value})
    assert error.value.hint


def test_folding_changes_nothing_and_leaves_no_normalisation() -> None:
    net = MatteNet(MatteConfig(stem=8, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1)))
    picture = torch.rand(2, 4, 64, 96)
    net.train()
    for _ in range(3):
        net(picture)
    with torch.no_grad():
        expected, found = net.eval()(picture), net.folded()(picture)
    assert torch.allclose(expected, found, atol=1e-5)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.folded().modules())


def test_the_shipped_network_is_small() -> None:
    assert sum(p.numel() for p in MatteNet().folded().parameters()) < 1_000_000


def _run(folders: dict[str, Path], out: Path, *more: str) -> int:
    config = out.parent / "tiny.toml"
    config.write_text(
        "steps = 6\nbatch = 2\nstages = [[0.0, 64]]\n"
        "[network]\nstem = 8\nwidths = [8, 16, 24, 32]\ndepths = [1, 1, 1, 1]\n"
    )
    return train.main(
        ["--config", str(config), "--mattes", str(folders["people"]), str(folders["mattes"]), "--photos",
         str(folders["photos"]), "--labels", str(folders["labels"]), "--out", str(out), "--threads", "1", "--device",
         "cpu", "--log-every", "2", *more]
    )  # fmt: skip


def test_a_run_goes_on_exactly_and_is_exported(folders: dict[str, Path], tmp_path: Path) -> None:
    assert _run(folders, tmp_path / "whole") == 0
    assert _run(folders, tmp_path / "parts", "--stop-after", "4") == 0
    assert _run(folders, tmp_path / "parts") == 0
    whole, parts = (checkpoint.load(tmp_path / name / "last.safetensors")[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    with (tmp_path / "parts" / "log.csv").open(newline="") as f:
        assert [int(row["step"]) for row in csv.DictReader(f)] == [2, 4, 6]
    with pytest.raises(ConfigError, match="another network"):
        _run(folders, tmp_path / "whole", "--set", "network.stem=12")
    with pytest.raises(ConfigError) as caught:
        _run(folders, tmp_path / "new", "--set", "cooldwn=1")
    assert "cooldown" in caught.value.hint

    target = tmp_path / "small.onnx"
    assert export_matte.main(["--checkpoint", str(tmp_path / "whole" / "last.safetensors"), "-o", str(target)]) == 0
    meta = {entry.key: entry.value for entry in onnx.load(str(target)).metadata_props}
    assert meta["edge_harmony.graph"] == "matte"
    assert meta["edge_harmony.model"] == "small"
    assert OnnxMatte(target)(textured((96, 128))).shape == (96, 128)


def test_a_run_begins_from_an_exported_matte(folders: dict[str, Path], tmp_path: Path) -> None:
    net, data = MatteNet(), _samples(folders)
    pictures = torch.from_numpy(np.stack([data[(i, 96)]["picture"] for i in range(12)])).permute(0, 3, 1, 2) / 255
    begin(net, MODEL, pictures)
    view = np.ascontiguousarray(pictures[0].permute(1, 2, 0).numpy())
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"picture": view.transpose(2, 0, 1)[None].copy()})[0]
    with torch.no_grad():
        for found in (net.eval()(pictures[:1]), net.folded()(pictures[:1])):
            assert np.abs(found.numpy() - expected).max() < 0.02  # the file holds half precision
        assert (net.train()(pictures) - net.eval()(pictures)).abs().mean() < 0.05  # learns from where it was
    small = MatteNet(MatteConfig(stem=8, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1)))
    with pytest.raises(ModelError, match="differ"):
        begin(small, MODEL, pictures)


def test_a_harmonizer_s_checkpoint_is_no_matte(tmp_path: Path) -> None:
    state = {"config": {"generator": {}}, "step": 1}
    checkpoint.save(tmp_path / "x.safetensors", {"ema.weight": torch.zeros(1)}, state)
    with pytest.raises(ModelError, match="no matte"):
        export_matte.load_network(tmp_path / "x.safetensors")
