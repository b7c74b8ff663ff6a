"""An AR capture loop with its own frames and alpha: what an application adds to be harmonized.

    python examples/embed.py --frames 100 --save last.png

The application owns the loop, the camera and the screen; the compositor starts no thread and keeps no clock. Here
the test pattern stands for the camera and its segmentation, and a picture on the disk for the screen.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np

from edge_harmony import Compositor, load_harmonizer
from edge_harmony.capture import open_source

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--frames", type=int, default=100)
parser.add_argument("--save", default="last.png")
options = parser.parse_args()

background_bgr = np.full((720, 1280, 3), (200, 120, 40), np.uint8)  # any size; uint8 BGR
background_bgr.setflags(write=False)  # it stands still, so its grain is measured once
compositor = Compositor(load_harmonizer(), light_wrap=0.3)
shown = np.empty((360, 640, 3), np.uint8)  # written again for every frame: nothing is allocated

with open_source(f"test:640x360@30,frames={options.frames}") as camera:
    for frame in camera:
        # frame.image_bgr: uint8 (H, W, 3); alpha: uint8 (H, W), or float 0..1, of this very frame
        alpha = frame.alpha if frame.alpha is not None else np.zeros(frame.image_bgr.shape[:2], np.uint8)
        compositor.process(frame.image_bgr, alpha, background_bgr, out=shown, pts_s=float(frame.time_s))

cv2.imwrite(options.save, shown)
median_ms = compositor.timings.summary()["total"].p50_ms
print(f"{options.frames} frames, {median_ms:.1f} ms each, saved {options.save}")
