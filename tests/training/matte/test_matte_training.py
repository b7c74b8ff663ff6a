"""Training the matte, for real, on tiny pictures: samples, network, loop, resume, export."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from edge_harmony.errors import ConfigError, ModelError, SourceError
from edge_harmony.matte.onnx import OnnxMatte
from export import matte as export_matte
from tests.matte.scenes import soft_disc, textured
from training import checkpoint
from training.matte import train
from training.matte.data import MatteSamples, held_out, list_mattes
from training.matte.network import MatteConfig, MatteNet


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Fourteen mattes, four photos with labels: one shows a held-out matte's picture, two have no subject."""
    root = tmp_path_factory.mktemp("data")
    for name in ("mattes/images", "mattes/alpha", "photos/real_images", "labels"):
        (root / name).mkdir(parents=True)
    kept = None
    for i in range(14):
        alpha, picture = soft_disc((120, 160), 25 + i, centre_xy=(60 + 2 * i, 60)), textured((120, 160), seed=i)
        picture[alpha > 127] = picture[alpha > 127] // 3
        cv2.imwrite(str(root / "mattes/images" / f"m{i}.png"), picture)
        cv2.imwrite(str(root / "mattes/alpha" / f"m{i}.png"), alpha)
        if held_out(f"m{i}"):
            kept = picture
    assert kept is not None
    nothing = np.zeros((120, 160), np.uint8)
    photos = [(kept, soft_disc((120, 160), 40)), *((textured((120, 160), seed), nothing) for seed in (50, 51))]
    photos.append((textured((120, 160), 52), soft_disc((120, 160), 30)))
    for i, (picture, alpha) in enumerate(photos):
        cv2.imwrite(str(root / "photos/real_images" / f"p{i}.png"), picture)
        cv2.imwrite(str(root / "labels" / f"p{i}.png"), alpha)
    (root / "labels" / "list.csv").write_text("name,subject_share,doubtful_share,faces\np3,0.1,0,1\nm1,0.1,0,0\n")
    return {name: root / name for name in ("mattes", "photos", "labels")}


def _samples(folders: dict[str, Path]) -> MatteSamples:
    return MatteSamples(folders["mattes"], folders["photos"], folders["labels"])


def test_what_is_held_out_is_never_seen(folders: dict[str, Path]) -> None:
    names = {p.name for p in _samples(folders).pictures}
    kept = {name for name, _, _ in list_mattes(folders["mattes"]) if held_out(name)}
    assert kept
    assert not kept & names
    assert "p0" not in names  # the same picture under another name
    assert "p3" in names
    assert {p.name for p in _samples(folders).backgrounds} == {"p1", "p2"}
    assert {p.name for p in _samples(folders).people} == {"p3"}


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
        MatteSamples(tmp_path, folders["photos"])
    with pytest.raises(SourceError, match="real_images"):
        MatteSamples(folders["mattes"], tmp_path)


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
        ["--config", str(config), "--mattes", str(folders["mattes"]), "--photos", str(folders["photos"]), "--labels",
         str(folders["labels"]), "--out", str(out), "--threads", "1", "--device", "cpu", "--log-every", "2", *more]
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


def test_a_harmonizer_s_checkpoint_is_no_matte(tmp_path: Path) -> None:
    state = {"config": {"generator": {}}, "step": 1}
    checkpoint.save(tmp_path / "x.safetensors", {"ema.weight": torch.zeros(1)}, state)
    with pytest.raises(ModelError, match="no matte"):
        export_matte.load_network(tmp_path / "x.safetensors")
