"""More poses than photographs show: people whose arms are put elsewhere, who lean, lie, and bend.

Where a teacher found a person's joints (``poses.csv``, from ``python -m training.matte.teacher``), an arm is cut out in
two pieces, upper arm and forearm with its hand, each is turned about its joint, and both are put back behind or before
the body. What comes out need not be an anatomy lesson: what is taught is that sleeves and hands away from the body
belong to it, and the alpha of such a picture is as true as the one it was made of.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Rng = np.random.Generator

JOINTS = ("shoulder", "elbow", "wrist", "hip")  # left and right of each, in this order
SEEN = 0.5  # a joint's visibility from which it is used
UPPER, FORE = 0.19, 0.15  # half an arm's thickness, in lengths of the torso
HAND = 1.45  # lengths of the forearm to which a hand reaches
TORSO = 1.12  # by which the torso's outline is widened, before an arm beside it is taken away


def read_poses(labels: Path | None) -> dict[str, NDArray[np.float32]]:
    """Joints by picture's name: float32 (8, 3), x and y as shares of the picture, visibility 0..1; none without a list.

    The eight are left shoulder, right shoulder, left elbow and so on, as ``JOINTS`` has them.
    """
    path = None if labels is None else Path(labels) / "poses.csv"
    if path is None or not path.exists():
        return {}
    with path.open(newline="") as f:
        rows = list(csv.reader(f))[1:]
    return {row[0]: np.array(row[1:], np.float32).reshape(2 * len(JOINTS), 3) for row in rows}


def stretch_arms(cutout: Image, alpha: Image, joints: NDArray[np.float32], rng: Rng) -> tuple[Image, Image]:
    """A cut-out with one arm or both held elsewhere.

    Args:
        cutout: uint8 (H, W, 3), the subject's own colours.
        alpha: uint8 (H, W).
        joints: float32 (8, 3), of ``read_poses``.
        rng: decides which arms go where.

    Returns:
        A larger cut-out and its alpha; those given where no arm can be told.
    """
    height, width = alpha.shape
    at = joints[:, :2] * (width, height)
    torso = float(np.linalg.norm(at[0:2].mean(0) - at[6:8].mean(0)))
    sides = [s for s in (0, 1) if joints[[s, 2 + s, 4 + s], 2].min() > SEEN]
    if torso < 0.08 * height or not sides:
        return cutout, alpha
    if len(sides) == 2 and rng.random() < 0.5:
        sides = [sides[rng.integers(2)]]
    # Room for the arms, but not beyond an edge by which the picture cut the subject: it would end in mid-air.
    room = int(1.3 * torso)
    left, top = (0 if alpha[:, :2].max() > 127 else room), (0 if alpha[:2].max() > 127 else room)
    right = 0 if alpha[:, -2:].max() > 127 else room
    cutout = cv2.copyMakeBorder(cutout, top, 0, left, right, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(alpha, top, 0, left, right, cv2.BORDER_CONSTANT, value=(0.0,))
    at = at + np.array((left, top), np.float32)
    front, cover = cutout, alpha
    middle = float(at[0:2, 0].mean())
    for side in sides:
        shoulder, elbow, wrist = at[side], at[2 + side], at[4 + side]
        out = 1.0 if shoulder[0] >= middle else -1.0
        raised = np.deg2rad(rng.uniform(-55, 85))  # above the horizontal
        upwards = raised + (np.deg2rad(rng.normal(15, 45)) if rng.random() < 0.6 else 0.0)
        directions = [np.array((out * np.cos(a), -np.sin(a))) for a in (raised, upwards)]
        pieces = [
            _capsule(alpha, shoulder, elbow, UPPER * torso, 1.0),
            _capsule(alpha, elbow, wrist, FORE * torso, HAND),
        ]
        if rng.random() < 0.6:  # the arm is no longer where it was
            gone = cv2.subtract(cv2.max(*pieces), _body(alpha, at, torso))
            cover = cv2.subtract(cover, gone)
        lengths = rng.uniform(0.8, 1.25, 2)
        turned = _turn(elbow - shoulder, directions[0], max(lengths[0] * 0.7 * torso, 1.0), float(lengths[0]))
        new_elbow = shoulder + turned @ (elbow - shoulder)
        upper = _placed(cutout, pieces[0], turned, shoulder, shoulder)
        turned = _turn(wrist - elbow, directions[1], max(lengths[1] * 0.6 * torso, 1.0), float(lengths[1]))
        fore = _placed(cutout, pieces[1], turned, elbow, new_elbow)
        arm = _over(fore, upper)
        front, cover = _over((front, cover), arm) if rng.random() < 0.5 else _over(arm, (front, cover))
    return front, cover


def bend(front: Image, cover: Image, rng: Rng, amount: float = 0.035) -> tuple[Image, Image]:
    """Shift every place by a smooth field: bodies and limbs of other proportions, other bends."""
    size = cover.shape[0]
    field = rng.normal(0, amount * size, (5, 5, 2)).astype(np.float32)
    field = cv2.resize(field, cover.shape[::-1], interpolation=cv2.INTER_CUBIC)
    rows, columns = np.indices(cover.shape, np.float32)
    x, y = columns + field[..., 0], rows + field[..., 1]
    # What lies beyond the lower edge is as the edge: a subject standing on it goes on to stand on it.
    front = cv2.remap(front, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return front, cv2.remap(cover, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _capsule(alpha: Image, start, end, radius: float, reach: float) -> Image:
    """The part of a subject round a line, which goes on to ``reach`` of its length; soft at its rim."""
    end = start + reach * (end - start)
    drawn = np.zeros_like(alpha)
    points = [tuple(int(v) for v in np.round(p)) for p in (start, end)]
    cv2.line(drawn, points[0], points[1], 255, max(2, round(2 * radius)), cv2.LINE_AA)
    drawn = cv2.GaussianBlur(drawn, (0, 0), 0.7)
    return cv2.multiply(drawn, alpha, scale=1 / 255)


def _body(alpha: Image, at: NDArray[np.float32], torso: float) -> Image:
    """The torso's outline and the head above it: what an arm that goes must leave."""
    corners = at[[0, 1, 7, 6]]
    centre = corners.mean(0)
    outline = np.round(centre + TORSO * (corners - centre)).astype(np.int32)
    drawn = cv2.fillPoly(np.zeros_like(alpha), [outline], 255)
    shoulders = at[0:2].mean(0)
    head = tuple(int(v) for v in np.round(shoulders - (0, 0.4 * torso)))
    legs = at[6:8].mean(0)
    cv2.ellipse(drawn, head, (int(0.35 * torso), int(0.6 * torso)), 0, 0, 360, 255, -1)
    cv2.rectangle(
        drawn, (int(legs[0] - 0.3 * torso), int(legs[1])), (int(legs[0] + 0.3 * torso), alpha.shape[0]), 255, -1
    )
    return cv2.GaussianBlur(drawn, (0, 0), 0.7)


def _turn(now, wanted, length: float, scale: float) -> NDArray[np.float64]:
    """2 x 2: gives a limb the wanted direction; one that is seen foreshortened becomes about as long as ``length``."""
    have = float(np.hypot(*now))
    angle = np.arctan2(wanted[1], wanted[0]) - np.arctan2(now[1], now[0])
    grow = scale if have * scale > 0.6 * length else min(2.0, 0.8 * length / max(have, 1.0))
    return grow * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _placed(cutout: Image, piece: Image, linear, source, target) -> tuple[Image, Image]:
    """A piece of a cut-out, turned, and moved so that ``source`` comes to ``target``."""
    matrix = np.hstack((linear, (target - linear @ source)[:, None]))
    size = piece.shape[::-1]
    moved = cv2.warpAffine(cutout, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return moved, cv2.warpAffine(piece, matrix, size, flags=cv2.INTER_LINEAR)


def _over(top: tuple[Image, Image], under: tuple[Image, Image]) -> tuple[Image, Image]:
    """One cut-out over another: colours and alpha of both."""
    cover = top[1].astype(np.float32) / 255
    rest = under[1].astype(np.float32) / 255 * (1 - cover)
    both = cover + rest
    share = (cover / np.maximum(both, 1e-3))[..., None]
    front = top[0] * share + under[0] * (1 - share)
    return front.astype(np.uint8), (both * 255 + 0.5).astype(np.uint8)
