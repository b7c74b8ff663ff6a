"""More poses: arms put elsewhere, smooth bends, placing; on a figure whose joints are known."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np

from training.matte.placing import placing, solidity, warp
from training.matte.poses import JOINTS, bend, read_poses, stretch_arms

SIZE_HW = (300, 200)
# left and right shoulder, elbow, wrist, hip: arms hang down beside the body
AT = np.array([(130, 80), (70, 80), (140, 120), (60, 120), (142, 158), (58, 158), (118, 160), (82, 160)], np.float32)
JOINTED = np.hstack((AT / (200, 300), np.ones((8, 1)))).astype(np.float32)


def _figure() -> tuple[np.ndarray, np.ndarray]:
    """A grey body with green arms; its alpha."""
    rgb, alpha = np.zeros((*SIZE_HW, 3), np.uint8), np.zeros(SIZE_HW, np.uint8)
    cv2.rectangle(rgb, (75, 70), (125, 290), (90, 90, 90), -1)
    cv2.circle(rgb, (100, 45), 22, (200, 150, 120), -1)
    for side in (0, 1):
        points = [tuple(int(v) for v in AT[k + side]) for k in (0, 2, 4)]
        for a, b in itertools.pairwise(points):
            cv2.line(rgb, a, b, (40, 200, 40), 14)
    alpha[rgb.any(axis=2)] = 255
    return rgb, alpha


def _green(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return (rgb[..., 1] > 150) & (rgb[..., 0] < 100) & (alpha > 200)


def test_arms_go_elsewhere_and_take_their_colours_along() -> None:
    rgb, alpha = _figure()
    wide = raised = 0
    for seed in range(12):
        front, cover = stretch_arms(rgb, alpha, JOINTED, np.random.default_rng(seed))
        assert front.shape[:2] == cover.shape
        assert _green(front, cover).sum() > 0.5 * _green(rgb, alpha).sum()
        assert cv2.boundingRect(cover)[3] >= 220  # the body stays
        wide += cv2.boundingRect(cover)[2] > 1.3 * cv2.boundingRect(alpha)[2]
        raised += int(np.nonzero(_green(front, cover))[0].min() < cover.shape[0] - 300 + 60)
        assert (
            front[cover == 255].sum(axis=1) > 60
        ).mean() > 0.97  # what is covered is body or arm, not what was behind
    assert wide >= 8
    assert raised >= 2


def test_what_cannot_be_told_stays_as_it_is() -> None:
    rgb, alpha = _figure()
    unseen = JOINTED.copy()
    unseen[2:6, 2] = 0.1
    front, cover = stretch_arms(rgb, alpha, unseen, np.random.default_rng(0))
    assert front is rgb
    assert cover is alpha


def test_nothing_ends_in_mid_air() -> None:
    """No room is made beyond an edge that cut the subject."""
    rgb, alpha = _figure()
    cut = alpha.copy()
    cut[100:140, :80] = 255
    _, cover = stretch_arms(rgb, cut, JOINTED, np.random.default_rng(1))
    assert cover[:, 0].max() == 255


def test_joints_are_read_by_name(tmp_path: Path) -> None:
    assert read_poses(None) == {}
    assert read_poses(tmp_path) == {}
    row = [f"{v:.4f}" for v in JOINTED.ravel()]
    fields = [f"{s}_{j}_{c}" for j in JOINTS for s in ("left", "right") for c in ("x", "y", "seen")]
    (tmp_path / "poses.csv").write_text(",".join(["name", *fields]) + "\n" + ",".join(["someone", *row]) + "\n")
    assert np.allclose(read_poses(tmp_path)["someone"], JOINTED, atol=1e-4)


def test_a_bend_moves_colours_and_alpha_alike() -> None:
    rgb, alpha = _figure()
    front, cover = bend(rgb, alpha, np.random.default_rng(3))
    assert not np.array_equal(cover, alpha)
    assert (front[cover == 255].sum(axis=1) > 60).all()
    assert 0.6 < cover.mean() / alpha.mean() < 1.6


def test_the_turned_and_the_cut_stand_where_they_should() -> None:
    _, alpha = _figure()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        cover = warp(alpha, placing(alpha, 128, rng, lean=rng.normal(0, 18)), 128, zero=True)
        assert cover.max() > 200
    cut = np.vstack((alpha, np.full((2, 200), 255, np.uint8)))  # its picture's lower edge cut it
    for seed in range(30):
        rng = np.random.default_rng(seed)
        cover = warp(cut, placing(cut, 128, rng, lean=20.0), 128, zero=True)
        assert cover[-1].max() > 200


def test_limbs_away_from_the_body_are_told_by_the_outline() -> None:
    disc = cv2.circle(np.zeros((100, 100), np.uint8), (50, 50), 30, 255, -1)
    cross = cv2.line(cv2.line(np.zeros((100, 100), np.uint8), (10, 50), (90, 50), 255, 8), (50, 10), (50, 90), 255, 8)
    assert solidity(disc) > 0.95
    assert solidity(cross) < 0.5
    assert solidity(np.zeros((10, 10), np.uint8)) == 0
