"""How steady a clip's colours are: the transform from frame to frame, as applied and as the network gives it.

    python benchmarks/steadiness.py --plot steadiness.png
    python benchmarks/steadiness.py --foreground me.mp4 --mask mask.mp4 --background street.mp4 --smoothing 0.9

**Measure.** The *change* between two frames is, in each cell of the transform's grid, the root mean square of what it
changes in 64 colours spread evenly over the RGB cube (4 levels a channel), in code values of 0..255, averaged over the
cells with the weight of the subject's share that is in the cell on *both* frames. The *steadiness* of a clip is the
mean of this over its frames. It measures the transform alone: nothing of it comes from the subject's motion across
the picture, but a subject that moves into another cell does meet that cell's map.

**Lag.** Half-way through a clip made of its first frame alone, the light of the subject is turned down to 70 %; how
long the transform takes until 5 % of the change (or the dead-band) is left is printed as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.chart import PALETTE, Line, line_chart, save
from edge_harmony import Compositor, load_harmonizer
from edge_harmony.compose import grid_mask
from edge_harmony.contract import GRID_SIZE
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.harmonize import Harmonizer

CLIP = Path(__file__).resolve().parents[2] / "shared" / "media" / "clip"
LEVELS = (np.arange(4) + 0.5) / 4
COLOURS = np.array([[r, g, b, 1.0] for r in LEVELS for g in LEVELS for b in LEVELS], np.float32)
GREY = np.array([0.5, 0.5, 0.5, 1.0], np.float32)

Picture = NDArray[np.uint8]


def change(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    cover: NDArray[np.float32],
    cover_before: NDArray[np.float32],
) -> float:
    """Code values by which the second transform differs from the first, see the module."""
    difference = (second - first).reshape(3, 4, GRID_SIZE, GRID_SIZE)
    effect = np.einsum("ckhw,nk->nchw", difference, COLOURS) * 255.0
    weight = np.minimum(cover, cover_before)
    return float((np.sqrt((effect**2).mean(axis=(0, 1))) * weight).sum() / max(float(weight.sum()), 1e-6))


def grey_of_subject(transform: NDArray[np.float32], cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the transform makes of mid-grey, averaged over the subject: R, G, B in code values."""
    maps = np.einsum("ckhw,k->chw", transform.reshape(3, 4, GRID_SIZE, GRID_SIZE), GREY)
    return (maps * cover).sum(axis=(1, 2)) / max(float(cover.sum()), 1e-6) * 255.0


def frames(paths: tuple[str, str, str]) -> Iterator[tuple[Picture, Picture, Picture]]:
    """Foreground, alpha and background of each frame, until the shortest of the three ends."""
    videos = [cv2.VideoCapture(path) for path in paths]
    for path, video in zip(paths, videos, strict=True):
        if not video.isOpened():
            raise SystemExit(f"error: {path} cannot be read")
    while True:
        read = [video.read() for video in videos]
        if not all(ok for ok, _ in read):
            return
        foreground, mask, background = (image for _, image in read)
        yield foreground, cv2.cvtColor(mask, cv2.COLOR_BGR2GRAY), background


def watch(harmonizer: Harmonizer, paths: tuple[str, str, str], fps: float, smoothing: float) -> dict[str, np.ndarray]:
    """Follow a clip with and without smoothing.

    Returns:
        By ``raw`` and ``smoothed``: ``change`` (frames - 1,) and ``grey`` (frames, 3).
    """
    compositors = {
        "raw": Compositor(harmonizer, smoothing=0.0),
        "smoothed": Compositor(harmonizer, smoothing=smoothing),
    }
    changes: dict[str, list[float]] = {name: [] for name in compositors}
    greys: dict[str, list[NDArray[np.float32]]] = {name: [] for name in compositors}
    before: dict[str, NDArray[np.float32]] = {}
    cover_before = None
    for index, (foreground, alpha, background) in enumerate(frames(paths)):
        cover = grid_mask(alpha)
        for name, compositor in compositors.items():
            compositor.process(foreground, alpha, background, pts_s=index / fps)
            transform = compositor.transform
            if cover_before is not None:
                changes[name].append(change(before[name], transform, cover, cover_before))
            greys[name].append(grey_of_subject(transform, cover))
            before[name] = transform
        cover_before = cover
    if not changes["raw"]:
        raise SystemExit("error: the clip needs two frames at least")
    return {f"{name} change": np.array(changes[name]) for name in compositors} | {
        f"{name} grey": np.array(greys[name]) for name in compositors
    }


def settling_s(harmonizer: Harmonizer, paths: tuple[str, str, str], smoothing: float, fps: float = 30.0) -> float:
    """Seconds until the transform has followed a subject whose light is turned down, see the module."""
    foreground, alpha, background = next(frames(paths))
    dim = cv2.convertScaleAbs(foreground, alpha=0.7)
    cover = grid_mask(alpha)
    final = Compositor(harmonizer, smoothing=0.0)
    final.process(dim, alpha, background)
    compositor = Compositor(harmonizer, smoothing=smoothing)
    compositor.process(foreground, alpha, background, pts_s=0.0)
    whole = change(compositor.transform, final.transform, cover, cover)
    for index in range(1, int(10 * fps)):
        compositor.process(dim, alpha, background, pts_s=index / fps)
        left = change(compositor.transform, final.transform, cover, cover)
        if left <= max(0.05 * whole, 2.0):
            return index / fps
    return float("inf")


def plot(path: Path, found: dict[str, np.ndarray], fps: float) -> None:
    """Draw both over time."""
    seconds = np.arange(len(found["raw grey"])) / fps
    tints = ((214, 120, 120), (110, 190, 110), (130, 130, 235))
    shades = ((160, 40, 30), (30, 120, 30), (40, 39, 200))
    lines = []
    for channel, name in ((0, "red"), (1, "green"), (2, "blue")):
        lines.append(Line("", seconds, found["raw grey"][:, channel], tints[2 - channel], 1))
        lines.append(Line(name, seconds, found["smoothed grey"][:, channel], shades[2 - channel], 2))
    upper = line_chart(
        "What the transform makes of mid-grey on the subject: thin as the network gives it, thick as applied",
        lines, "seconds", "code values",
    )  # fmt: skip
    lower = line_chart(
        "Change of the transform from frame to frame",
        [
            Line("as the network gives it", seconds[1:], found["raw change"], PALETTE[1], 1),
            Line("as applied", seconds[1:], found["smoothed change"], PALETTE[0], 2),
        ],
        "seconds", "code values",
    )  # fmt: skip
    save(path, upper, lower)


def main(argv: list[str] | None = None) -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("foreground", "mask", "background"):
        parser.add_argument(f"--{name}", default=str(CLIP / f"{name}.mp4"), metavar="VIDEO")
    parser.add_argument("--fps", type=float, default=25.0, help="frames a second of the clip (default: 25)")
    parser.add_argument("--smoothing", type=float, default=0.8)
    parser.add_argument("--model", help="a model's name or an ONNX file (default: base)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the transform over time")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    paths = (args.foreground, args.mask, args.background)
    try:
        harmonizer = load_harmonizer(args.model, threads=args.threads)
        found = watch(harmonizer, paths, args.fps, args.smoothing)
        settling = settling_s(harmonizer, paths, args.smoothing)
    except EdgeHarmonyError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 1
    raw, smoothed = (found[f"{name} change"] for name in ("raw", "smoothed"))
    result = {
        "frames": len(raw) + 1,
        "raw_mean": float(raw.mean()),
        "raw_largest": float(raw.max()),
        "applied_mean": float(smoothed.mean()),
        "applied_largest": float(smoothed.max()),
        "ratio": float(smoothed.mean() / raw.mean()),
        "settling_s": settling,
    }
    if args.plot:
        plot(args.plot, found, args.fps)
    if args.json:
        print(json.dumps(result, indent=2))
        return 0
    print(f"change of the transform a frame, code values, {result['frames']} frames, smoothing {args.smoothing:g}:")
    print(f"  as the network gives it  mean {raw.mean():6.3f}   largest {raw.max():6.3f}")
    print(f"  as applied               mean {smoothed.mean():6.3f}   largest {smoothed.max():6.3f}")
    print(f"  ratio of the means       {result['ratio']:.3f}")
    print(f"light turned down to 70 %: followed within {settling:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
