"""What each matte costs a frame, alone: alpha and the subject's own colour, and the parts of the person matte.

::

    python benchmarks/matte.py --clip ../shared/media/clip [--plate ../shared/media/plate] [--size 1920x1080]

Medians over the clip's frames. Run it on a quiet machine. ``--clip`` is a folder with foreground.mp4 and mask.mp4 (the
screen for the chroma key is made with them), ``--plate`` one with plate.jpg and *_frame.jpg.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge_harmony.capture import open_source
from edge_harmony.matte.base import Matte
from edge_harmony.matte.chroma import ChromaKey
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.person import PersonMatte
from edge_harmony.matte.plate import CleanPlate
from edge_harmony.matte.refine import guided_alpha
from edge_harmony.pixels.colour import NAMED_BGR
from edge_harmony.pixels.over import over
from edge_harmony.run.arguments import size


def median_ms(work: Callable[[int], object], count: int) -> float:
    """Median time of ``work(i)``, in milliseconds, after three to warm up."""
    for i in range(3):
        work(i)
    times = []
    for i in range(count):
        start = time.perf_counter()
        work(i)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def report(name: str, matte: Matte, frames: list[np.ndarray]) -> None:
    """Print what a matte's alpha and foreground cost."""
    count = len(frames)
    alphas = [matte(frame).copy() for frame in frames]
    alpha_ms = median_ms(lambda i: matte(frames[i % count]), count)
    matte(frames[0])
    colour_ms = median_ms(lambda i: matte.foreground(frames[i % count], alphas[i % count]), count)
    print(f"{name:28} alpha {alpha_ms:6.1f} ms   own colour {colour_ms:6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--plate", type=Path)
    parser.add_argument("--size", type=size(), default="1920x1080", metavar="WxH")
    parser.add_argument("--frames", type=int, default=40)
    args = parser.parse_args()
    height, width = args.size

    def shaped(image: np.ndarray) -> np.ndarray:
        same = image.shape[:2] == (height, width)
        return image if same else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)

    shots, masks = open_source(args.clip / "foreground.mp4"), open_source(args.clip / "mask.mp4")
    pairs = []
    for shot, mask in zip(shots, masks, strict=False):
        pairs.append((shaped(shot.image_bgr), shaped(np.ascontiguousarray(mask.image_bgr[:, :, 1]))))
        if len(pairs) == args.frames:
            break
    shots.close()
    masks.close()
    frames, alphas = [p[0] for p in pairs], [p[1] for p in pairs]
    count = len(frames)
    print(f"{count} frames of {width} x {height}, {cv2.getNumThreads()} threads")
    report("person", PersonMatte(), frames)
    report("person, not followed", PersonMatte(follow=False), frames)
    report("person:fine", PersonMatte("fine"), frames)
    matte = PersonMatte()
    rows, columns = matte._view_size(height, width)
    view = np.zeros((1, 4, rows, columns), np.float32)
    name = matte._session.get_inputs()[0].name
    print(f"  its network alone          {median_ms(lambda _i: matte._session.run(None, {name: view}), count):6.1f} ms")
    small = [cv2.resize(a, (columns, rows), interpolation=cv2.INTER_AREA) for a in alphas]
    radius = round(2 * height / rows)
    snap_ms = median_ms(lambda i: guided_alpha(small[i % count], frames[i % count], radius), count)
    print(f"{f'  {columns} x {rows} to full size':29}{snap_ms:6.1f} ms")
    screen = np.full((height, width, 3), NAMED_BGR["green"], np.uint8)
    report("chroma", ChromaKey(), [over(frame, alpha, screen) for frame, alpha in pairs])
    own_ms = median_ms(lambda i: estimate_foreground(frames[i % count], alphas[i % count]), count)
    print(f"{'a mask beside the video':28} alpha      - ms   own colour {own_ms:6.1f} ms")
    if args.plate:
        plate = shaped(cv2.imread(str(args.plate / "plate.jpg")))
        shown = [shaped(cv2.imread(str(file))) for file in sorted(args.plate.glob("*_frame.jpg"))]
        report("clean plate, hand-held", CleanPlate(plate, align="always"), shown * 4)
        found = [CleanPlate(plate)(frame).copy() for frame in shown]
        still = [over(frame, alpha, plate) for frame, alpha in zip(shown, found, strict=True)]
        report("clean plate, still camera", CleanPlate(plate), still * 4)


if __name__ == "__main__":
    main()
