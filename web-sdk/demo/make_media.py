"""Make the demo's clip and backgrounds again, from photographs that anybody may use.

    python web-sdk/demo/make_media.py

They come with scikit-image, inside its package: the astronaut Eileen Collins (NASA, public domain), a rocket on its pad
(SpaceX, public domain), a cup of coffee (Rachel Michetti, CC0). The clip is a slow camera move over the first.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

HERE = Path(__file__).resolve().parent
SECONDS, RATE = 6, 25
WIDTH, HEIGHT = 640, 360


def move(photo: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """The photo through a camera that sways and breathes; the same at share 0 and 1. RGB in and out."""
    turn = 2 * np.pi * share
    scale = WIDTH / 470 * (1.0 + 0.03 * np.sin(turn))
    x, y = 256 + 14 * np.sin(turn), 140 + 6 * np.sin(2 * turn)
    matrix = np.array([[scale, 0, WIDTH / 2 - scale * x], [0, scale, HEIGHT / 2 - scale * y]])
    picture = cv2.warpAffine(photo, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(picture, np.uint8)


def make_clip(path: Path) -> None:
    photo = data.astronaut()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=RATE, options={"crf": "38", "b": "0", "row-mt": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(SECONDS * RATE):
            frame = av.VideoFrame.from_ndarray(move(photo, k / (SECONDS * RATE)), "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    make_clip(HERE / "astronaut.webm")
    rocket = cv2.cvtColor(data.rocket(), cv2.COLOR_RGB2BGR)
    table = cv2.GaussianBlur(cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2BGR), (0, 0), 3)
    for name, photo in (("launch-pad", rocket[60:420]), ("table", table[20:358])):
        picture = cv2.resize(photo, (960, round(960 * photo.shape[0] / photo.shape[1])), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(HERE / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main()
