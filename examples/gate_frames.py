"""Make the photographs on which engines prove their accuracy: ``export/frames``, composites with their masks.

    python examples/gate_frames.py export/frames

The demo's subjects, in front of its backgrounds in several lights, plainly composited: what harmonizing is for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
from demo import ASTRONAUT, CAT, Cutout, Picture, cut_out, photograph, picture, place, relit

from edge_harmony import Compositor
from edge_harmony.backgrounds.fit import fit
from edge_harmony.matte.refine import Refinement
from edge_harmony.sinks.picture import write_picture

_SIZES = ((270, 480), (360, 480), (300, 400), (256, 512))  # (H, W)
_QUALITY = 90  # of the JPEG files


def backgrounds() -> list[Picture]:
    """The launch pad by day, in a low sun and at night, and the coffee table."""
    pad = photograph("rocket")[94:, :500]
    table = picture(cv2.GaussianBlur(photograph("coffee"), (0, 0), 1.5))
    return [pad, relit(pad, 0.4), relit(pad, 0.78), table]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    astronaut = cut_out(photograph("astronaut"), ASTRONAUT, 7, Refinement(snap=6, black=0.1, white=0.9))
    cat = cut_out(photograph("chelsea"), CAT, 10, Refinement(snap=8, feather=1.5))
    cat = Cutout(*(part[:, 84:] for part in cat))  # the photo's left edge shows a piece of background
    plain = Compositor(None)
    for name, subject, height, step in (("astronaut", astronaut, 0.9, 0.05), ("cat", cat, 1.0, 0.0)):
        for number, (behind, size_hw) in enumerate(zip(backgrounds(), _SIZES, strict=True)):
            placed = place(subject, size_hw, height, step * number * size_hw[1])
            composite = plain.composite(*placed, fit(behind, size_hw))
            cv2.imwrite(str(folder / f"{name}-{number}.jpg"), composite, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            write_picture(folder / f"{name}-{number}_mask.png", placed.alpha, overwrite=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
