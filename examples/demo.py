"""Put real subjects on real backgrounds, before and after, as pictures and as a short video.

    python examples/demo.py --out demo-output

The photographs come with scikit-image, inside its package: the astronaut Eileen Collins (NASA, public domain), the
cat Chelsea (Stefan van der Walt, CC0), a cup of coffee (Rachel Michetti, CC0), a rocket on its pad (SpaceX, public
domain). The subjects are cut out here: a rough outline says where to look, GrabCut (Rother et al. 2004) finds the
edge, and ``edge_harmony``'s refinement makes it soft where the picture is.
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony import Compositor, load_harmonizer
from edge_harmony.backgrounds.fit import fit
from edge_harmony.errors import EdgeHarmonyError, SinkError, SourceError
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.refine import Refinement
from edge_harmony.sinks.picture import write_picture
from edge_harmony.sinks.video import VideoSink

Picture = NDArray[np.uint8]
Points = list[tuple[int, int]]

# Rough outlines, clockwise, in pixels of the original photographs.
ASTRONAUT: Points = [
    (153, 75), (157, 60), (165, 45), (180, 33), (200, 20), (220, 15), (240, 15), (260, 18), (275, 27), (288, 40),
    (297, 58), (301, 78), (300, 98), (295, 113), (287, 124), (276, 133), (268, 137), (262, 150), (256, 172), (270, 180),
    (285, 193), (297, 210), (304, 228), (306, 238), (318, 243), (335, 256), (343, 270), (350, 290), (356, 310),
    (361, 333), (364, 347), (375, 345), (390, 343), (410, 344), (430, 348), (450, 360), (465, 373), (480, 395),
    (490, 415), (496, 440), (497, 452), (503, 455), (509, 470), (511, 490), (511, 512), (45, 512), (36, 490), (28, 470),
    (25, 450), (23, 430), (20, 400), (20, 385), (25, 360), (26, 335), (37, 310), (40, 290), (52, 270), (62, 250),
    (85, 235), (100, 222), (113, 208), (114, 200), (114, 190), (120, 178), (126, 168), (135, 158), (150, 151),
    (165, 148), (184, 149), (183, 133), (176, 130), (172, 122), (160, 115), (155, 100),
]  # fmt: skip
CAT: Points = [
    (0, 0), (398, 0), (385, 20), (368, 38), (357, 60), (353, 80), (360, 105), (362, 130), (355, 155), (343, 180),
    (330, 200), (318, 215), (312, 230), (314, 250), (320, 275), (330, 300), (0, 300),
]  # fmt: skip


class Cutout(NamedTuple):
    """A subject: its own colours (H, W, 3) BGR, and its alpha (H, W), uint8."""

    colour: Picture
    alpha: Picture


def picture(result: NDArray[Any]) -> Picture:
    """What OpenCV made of 8-bit pictures, which it annotates as any kind of number."""
    return np.asarray(result, np.uint8)


def photograph(name: str) -> Picture:
    """One of scikit-image's photographs, as BGR."""
    try:
        from skimage import data
    except ImportError:
        raise SourceError("scikit-image is not installed", "use make demo, or pip install scikit-image") from None
    return picture(cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2BGR))


def cut_out(photo: Picture, outline: Points, band: int, refinement: Refinement, scale: int = 2) -> Cutout:
    """Find the edge within ``band`` pixels of an outline; the result is ``scale`` times as large as the photo."""
    height, width = photo.shape[:2]
    inside = cv2.fillPoly(np.zeros((height, width), np.uint8), [np.array(outline, np.int32)], 255)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    padded = cv2.copyMakeBorder(inside, band, band, band, band, cv2.BORDER_REPLICATE)  # subjects leave the picture
    core, reach = (morph(padded, disc)[band:-band, band:-band] for morph in (cv2.erode, cv2.dilate))
    labels = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[core > 0] = cv2.GC_FGD
    labels[reach == 0] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    cv2.grabCut(photo, labels, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    hard = np.where((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    size = (width * scale, height * scale)
    large = picture(cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC))
    soft = cv2.GaussianBlur(cv2.resize(hard, size, interpolation=cv2.INTER_CUBIC), (0, 0), 0.6 * scale)
    alpha = refinement.apply(picture(soft), large)
    return Cutout(estimate_foreground(large, alpha), alpha)


def place(subject: Cutout, size_hw: tuple[int, int], height: float, left: float) -> Cutout:
    """The subject on an empty frame, standing on its lower edge.

    Args:
        subject: from ``cut_out``.
        size_hw: of the frame.
        height: of the subject, in frame heights.
        left: where the subject's left edge comes to lie, in pixels (fractions count).
    """
    scale = height * size_hw[0] / subject.alpha.shape[0]
    shift = size_hw[0] - scale * subject.alpha.shape[0]
    matrix = np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, shift + (scale - 1) / 2]])
    steps = max(1.0, 1 / scale)  # soften first where pixels are dropped
    blurred = [cv2.GaussianBlur(p, (0, 0), 0.35 * steps) if steps > 1.2 else p for p in subject]
    frame = (size_hw[1], size_hw[0])
    colour = cv2.warpAffine(blurred[0], matrix, frame, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Cutout(picture(colour), picture(cv2.warpAffine(blurred[1], matrix, frame, flags=cv2.INTER_LINEAR)))


def checked(subject: Cutout) -> Picture:
    """The cut-out over a chequered ground, to judge the matte by."""
    rows, columns = (np.arange(length) // 16 for length in subject.alpha.shape)
    ground = np.where((rows[:, None, None] + columns[:, None]) % 2 > 0, (190, 190, 190), (110, 160, 110))
    return Compositor(None).composite(subject.colour, subject.alpha, ground.astype(np.uint8))


def captioned(before: Picture, after: Picture) -> Picture:
    """Two pictures side by side, named."""
    both = np.hstack((before, after))
    for text, left in (("composite", 12), ("harmonized", 12 + before.shape[1])):
        for colour, shift in (((0, 0, 0), 1), ((255, 255, 255), 0)):
            where = (left + shift, 28 + shift)
            cv2.putText(both, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, 1, cv2.LINE_AA)
    return both


def relit(photo: Picture, time: float) -> Picture:
    """The photo under changing light, 0 <= time <= 1: as it is, a low sun, night, and as it is again."""
    day, sun, night = (1.0, 1.0, 1.0), (0.45, 1.1, 2.6), (0.4, 0.22, 0.16)  # gains of blue, green, red
    lights = np.array([day, sun, sun, night, day])
    gains = [np.interp(time, (0.05, 0.33, 0.5, 0.78, 1.0), lights[:, c]) for c in range(3)]
    linear = (np.arange(256)[:, None] / 255) ** 2.2 * np.array(gains)
    curve = (1 - np.exp(-1.3 * linear)) / (1 - np.exp(-1.3))  # bright lights roll off instead of clipping
    return picture(cv2.LUT(photo, (np.clip(curve, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)[None]))


def make_video(
    path: Path, clip: Path, mask: Path, compositor: Compositor, subject: Cutout, photo: Picture, seconds: int
) -> None:
    """A slow camera move past the subject while the light on the scene behind changes, before and after in ``path``;
    the subject alone and its mask, to try ``edge-harmony process`` on, in ``clip`` and ``mask``."""
    size_hw, rate = (480, 720), 25
    large = fit(photo, (580, 869))
    compositor.reset()

    def open_sink(file: Path, width: int) -> VideoSink:
        return VideoSink(file, (size_hw[0], width), Fraction(1, rate), Fraction(rate), overwrite=True)

    with (
        open_sink(path, 2 * size_hw[1]) as sink,
        open_sink(clip, size_hw[1]) as clip_sink,
        open_sink(mask, size_hw[1]) as mask_sink,
    ):
        for k in range(seconds * rate):
            time = k / (seconds * rate - 1)
            swing = 0.5 - 0.5 * np.cos(np.pi * time)
            crop = np.array([[1, 0, -10 - 90 * swing], [0, 1, -86.0]])
            seen = cv2.warpAffine(large, crop, (size_hw[1], size_hw[0]), flags=cv2.INTER_LINEAR)
            behind = relit(picture(seen), time)
            front = place(subject, size_hw, 0.94, 60 - 70 * swing)
            before = compositor.composite(*front, behind)
            sink.write(captioned(before, compositor.process(*front, behind)), k, 1)
            clip_sink.write(front.colour, k, 1)
            mask_sink.write(cv2.cvtColor(front.alpha, cv2.COLOR_GRAY2BGR), k, 1)


def make_picture(path: Path, compositor: Compositor, subject: Cutout, behind: Picture) -> None:
    compositor.reset()
    before = compositor.composite(*subject, behind)
    write_picture(path, captioned(before, compositor.process(*subject, behind)), overwrite=True)


def run(out: Path, model: str | None, seconds: int) -> list[tuple[Path, str]]:
    """Make everything; the files with a word on each."""
    made: list[tuple[Path, str]] = []

    def name(file: str, words: str) -> Path:
        made.append((out / file, words))
        return out / file

    harmonizer = load_harmonizer(model)
    compositor = Compositor(harmonizer)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {out}: {error.strerror}", "choose another --out folder") from None

    rocket, coffee = photograph("rocket"), photograph("coffee")
    astronaut = cut_out(photograph("astronaut"), ASTRONAUT, 7, Refinement(snap=6, black=0.1, white=0.9))
    cat = cut_out(photograph("chelsea"), CAT, 10, Refinement(snap=8, feather=1.5))
    cat = Cutout(*(p[:, 84:] for p in cat))  # the photo's left edge shows a piece of background

    launch_pad = fit(rocket[94:, :500], (640, 960))
    aside = np.array([[1.6, 0, 280], [0, 1.6, 0]])  # the cup beside the cat, who hides what is mirrored
    table = cv2.warpAffine(coffee, aside, (960, 640), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    table = picture(cv2.GaussianBlur(table, (0, 0), 3))  # out of focus, as it is behind a close-up
    for subject, file in ((astronaut, "astronaut"), (cat, "cat")):
        write_picture(name(f"{file}-matte.png", "the cut-out, to judge the matte by"), checked(subject), True)
        rgba = np.dstack((subject.colour, subject.alpha))
        write_picture(name(f"{file}.png", "the cut-out with its alpha channel"), rgba, True)
    write_picture(name("launch-pad.png", "the background"), launch_pad, True)
    standing = place(astronaut, (640, 960), 0.94, 0)
    make_picture(name("astronaut-at-the-pad.png", "before and after"), compositor, standing, launch_pad)
    close = place(cat, (640, 960), 1.0, 0)
    make_picture(name("cat-at-the-table.png", "before and after"), compositor, close, table)
    path = name("moving-light.mp4", "before and after, the light behind the subject changing")
    clip = name("subject.mp4", "the subject of that video alone")
    mask = name("subject-mask.mp4", "and its mask")
    make_video(path, clip, mask, compositor, astronaut, rocket, seconds)
    return made


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder for the results")
    parser.add_argument("--model", help="another ONNX transform graph than the shipped one")
    parser.add_argument("--seconds", type=int, default=6, help="length of the video")
    args = parser.parse_args(argv)
    print("cutting out, harmonizing, and writing ...", flush=True)
    try:
        made = run(args.out, args.model, args.seconds)
    except EdgeHarmonyError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 1
    width = max(len(str(path)) for path, _ in made)
    for path, words in made:
        print(f"  {path!s:{width}}  {words}")
    cutout, pad = args.out / "astronaut.png", args.out / "launch-pad.png"
    print(f"Now your own:  edge-harmony image {cutout} --bg {pad} --compare -o mine.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
