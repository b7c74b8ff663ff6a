"""The clean plate: whatever differs from a picture of the empty place is the subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import ConfigError, MatteError
from edge_harmony.matte.base import Matte
from edge_harmony.matte.components import fill_holes, keep_large
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.refine import Refinement, guided_alpha
from edge_harmony.matte.registration import PlateTracker, apply_exposure, fit_exposure
from edge_harmony.matte.scale import shrink_by
from edge_harmony.matte.unmix import hidden_detail, largest, unmix_band
from edge_harmony.pixels.colour import luma
from edge_harmony.pixels.frame import Alpha, Frame, check_frame

ALIGN_MODES = ("auto", "always", "never")
_SNAP_EPSILON = 1e-4  # see guided_alpha
_FACTOR = 4  # the subject's rough shape is found at a quarter of the size


@dataclass
class _Aligned:
    """The plate as this frame would show it, and the range of colours it has within one pixel."""

    plate_bgr: Frame
    low: Frame
    high: Frame
    valid: NDArray[np.uint8] | None  # 0 where the plate shows nothing; None: it shows all


class CleanPlate(Matte):
    """Mattes a subject by a picture of the same place without it.

    For each frame the plate is aligned (where the camera moved), brought to the frame's exposure and white
    balance by a robust fit on the background, and compared. What differs is cleaned to whole shapes; the band
    round their edge is solved for soft alpha with the known background (see ``unmix_band``).

    Args:
        plate: the plate as uint8 (H, W, 3) BGR, or the path of a picture.
        align: ``auto`` aligns each frame unless the first shows that the camera stands still; ``always``;
            ``never``.
        threshold: difference from the plate, in code values, that counts as subject; None takes it from the
            noise measured in each frame.
        band: width of the soft band outside the rough shape, as a share of the frame's height: wide enough for
            loose hair.
        smallest: area below which a shape is dropped, as a share of the frame.
        size: longest side, in pixels, at which frame and plate are compared. A larger frame is read down for it, and
            the alpha brought to full size along the picture's edges: fast enough for live 1080p.
        refinement, estimate: see ``Matte``.

    Raises:
        SourceError: the plate cannot be read.
        ConfigError: an option is out of range.
    """

    name = "clean plate"

    def __init__(
        self,
        plate: Frame | str | Path,
        align: str = "auto",
        threshold: float | None = None,
        band: float = 0.03,
        smallest: float = 0.003,
        size: int = 960,
        refinement: Refinement | None = None,
        estimate: bool = True,
    ) -> None:
        super().__init__(refinement, estimate)
        if align not in ALIGN_MODES:
            raise ConfigError(f"align {align!r} is unknown", f"use one of: {', '.join(ALIGN_MODES)}")
        if not 0.002 <= band <= 0.2:
            raise ConfigError(f"band {band} is out of range", "use a share of the height from 0.002 to 0.2")
        if not 320 <= size <= 8192:
            raise ConfigError(f"size {size} is out of range", "use 320 to 8192 pixels; 960 suits live pictures")
        self.plate_bgr = check_frame(_read_plate(plate) if isinstance(plate, (str, Path)) else plate, "clean plate")
        height, width = self.plate_bgr.shape[:2]
        self._factor = max(1, -(-max(height, width) // size))
        self._view_plate = shrink_by(self.plate_bgr, self._factor)
        self.align = align
        self.threshold = threshold
        self.band = band
        self.smallest = smallest
        self._tracker = PlateTracker(luma(self._view_plate)) if align != "never" else None
        self._still = self._neighbourhood(self._view_plate, None)
        self._stands_still: bool | None = None
        self._last: tuple[Frame, Callable[[], Frame]] | None = None

    def reset(self) -> None:
        """Forget where the camera pointed last; ``auto`` decides anew at the next frame."""
        self._stands_still = None
        self._last = None
        if self._tracker is not None:
            self._tracker.reset()

    def _alpha_impl(self, frame_bgr: Frame) -> Alpha:
        height, width = frame_bgr.shape[:2]
        if self.plate_bgr.shape != frame_bgr.shape:
            plate_height, plate_width = self.plate_bgr.shape[:2]
            raise MatteError(
                f"the clean plate is {plate_width} x {plate_height} but the frame is {width} x {height}",
                "take the plate with the same camera settings, or scale it to the frame's size",
            )
        view = shrink_by(frame_bgr, self._factor)
        aligned = self._align(view)
        gain, offset, noise = fit_exposure(aligned.plate_bgr, view, aligned.valid)
        plate = apply_exposure(aligned.plate_bgr, gain, offset)
        still = aligned is self._still
        self._last = (frame_bgr, lambda: apply_exposure(self.plate_bgr, gain, offset) if still else plate)
        alpha = self._compare(view, aligned, (plate, gain, offset), noise)
        if self._factor == 1:
            return alpha
        if not alpha.any():
            return np.zeros((height, width), np.uint8)
        return guided_alpha(alpha, frame_bgr, radius=4 * self._factor, epsilon=_SNAP_EPSILON)

    def _compare(
        self,
        frame_bgr: Frame,
        aligned: _Aligned,
        normalised: tuple[Frame, NDArray[np.float32], NDArray[np.float32]],
        noise: float,
    ) -> Alpha:
        """Alpha of a view: uint8 of its size."""
        height, width = frame_bgr.shape[:2]
        plate, gain, offset = normalised
        # The exposure rises monotonically, so it may be applied to the neighbourhood's limits.
        high, low = (apply_exposure(limit, gain, offset) for limit in (aligned.high, aligned.low))
        distance = _largest(cv2.max(cv2.subtract(frame_bgr, high), cv2.subtract(low, frame_bgr)))
        if aligned.valid is not None:
            distance = cv2.bitwise_and(distance, aligned.valid)
        size = (-(-width // _FACTOR), -(-height // _FACTOR))
        small = _read_down(distance, size)
        rough = self._rough_shape(small, noise)
        if not rough.any():
            return np.zeros((height, width), np.uint8)
        return self._soften(frame_bgr, (plate, low, high), small, rough, noise)

    def _foreground_impl(self, frame_bgr: Frame, alpha: Alpha) -> Frame:
        plate = self._last[1]() if self._last is not None and self._last[0] is frame_bgr else None
        return estimate_foreground(frame_bgr, alpha, plate)

    def _align(self, frame_bgr: Frame) -> _Aligned:
        if self._tracker is None or self._stands_still:
            return self._still
        homography = self._tracker.locate(luma(frame_bgr))
        if homography is None:  # too little of the plate to go by: the frame is taken as it comes
            return self._still
        if self.align == "auto" and self._stands_still is None:
            self._stands_still = self._tracker.stands_still(homography)
            if self._stands_still:
                return self._still
        height, width = frame_bgr.shape[:2]
        warped = cv2.warpPerspective(self._view_plate, homography, (width, height), borderMode=cv2.BORDER_REPLICATE)
        whole = np.full((height, width), 255, np.uint8)
        seen = cv2.warpPerspective(whole, homography, (width, height), flags=cv2.INTER_NEAREST)
        return self._neighbourhood(warped, cv2.erode(seen, np.ones((5, 5), np.uint8)))

    @staticmethod
    def _neighbourhood(plate_bgr: Frame, valid: NDArray[np.uint8] | None) -> _Aligned:
        block = np.ones((3, 3), np.uint8)
        return _Aligned(plate_bgr, cv2.erode(plate_bgr, block), cv2.dilate(plate_bgr, block), valid)

    def _rough_shape(self, small: NDArray[np.uint8], noise: float) -> NDArray[np.uint8]:
        """The subject's whole shape, from the read-down distance: uint8 of the same shape, 0 or 255."""
        limit = self.threshold if self.threshold is not None else max(8.0, 4.0 * noise)
        differs = cv2.threshold(small, limit, 255, cv2.THRESH_BINARY)[1]
        differs = keep_large(differs, 4)
        reach = max(1, round(0.016 * small.shape[0]))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        padded = cv2.copyMakeBorder(differs, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
        closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[reach:-reach, reach:-reach]
        opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        total = opened.size
        shape = keep_large(opened, max(6, round(self.smallest * total)), share_of_largest=0.05)
        return fill_holes(shape, round(0.004 * total))

    def _soften(
        self,
        frame_bgr: Frame,
        plates: tuple[Frame, Frame, Frame],
        small: NDArray[np.uint8],
        rough: NDArray[np.uint8],
        noise: float,
    ) -> Alpha:
        height, width = frame_bgr.shape[:2]
        outside = max(2, round(self.band * height))
        inside = max(2, round(0.6 * self.band * height))
        margin = -(-2 * outside // _FACTOR) * _FACTOR
        left, top, box_width, box_height = (_FACTOR * v for v in cv2.boundingRect(rough))
        box = (
            slice(max(0, top - margin), min(height, top + box_height + margin)),
            slice(max(0, left - margin), min(width, left + box_width + margin)),
        )
        frame, (plate, low, high) = frame_bgr[box], (image[box] for image in plates)
        # Deep inside is sure. Nearer the edge only what differs plainly, or hides the plate's detail, is: a patch
        # that resembles the plate may be a gap between locks, or between arm and body.
        hidden, detail = hidden_detail(frame, plate, noise)
        part = tuple(slice(s.start // _FACTOR, -(-s.stop // _FACTOR)) for s in box)
        shape = rough[part]
        size = shape.shape[::-1]
        deep = cv2.erode(shape, _disc(2 * inside // _FACTOR))
        contrast = _contrast(_read_down(frame, size), _read_down(plate, size), deep)
        least = max(24.0, 8.0 * noise)
        limit = np.where(_read_down(detail, size) > 127, least, np.clip(0.6 * contrast, least, 120.0))
        strong = (small[part] > limit).astype(np.uint8) * 255
        covered = cv2.threshold(_read_down(hidden, size), 127, 255, cv2.THRESH_BINARY)[1]
        strong = cv2.bitwise_and(cv2.bitwise_or(strong, covered), shape)
        strong = fill_holes(cv2.morphologyEx(strong, cv2.MORPH_CLOSE, _disc(1)), round(0.004 * rough.size))
        core = cv2.erode(strong, _disc(inside // _FACTOR))
        core = cv2.bitwise_or(core, cv2.erode(shape, _disc(4 * inside // _FACTOR)))
        hull = cv2.dilate(shape, _disc(outside // _FACTOR))
        full = (_FACTOR * size[0], _FACTOR * size[1])
        crop = (slice(0, frame.shape[0]), slice(0, frame.shape[1]))
        sure = cv2.resize(core, full, interpolation=cv2.INTER_NEAREST)[crop]
        unknown = cv2.resize(hull - core, full, interpolation=cv2.INTER_NEAREST)[crop]
        alpha = np.zeros((height, width), np.uint8)
        alpha[box] = unmix_band(frame, plate, low, high, hidden, sure, unknown, noise, outside + inside)
        return alpha


def _contrast(frame: Frame, plate: Frame, deep: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far the plate lies from the mean colour of the subject's depth nearby: float32 (h, w), largest channel.

    ``frame``, ``plate`` uint8 (h, w, 3) and ``deep`` uint8 (h, w) are read down.
    """
    cover = (deep > 0).astype(np.float32) + np.float32(1e-4)
    reach = (2 * (deep.shape[0] // 8) + 1,) * 2
    colour = cv2.blur(frame * cover[..., None], reach) / cv2.blur(cover, reach)[..., None]
    return largest(np.abs(colour - plate))


def _read_down(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _disc(radius: int) -> NDArray[np.uint8]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.uint8)


def _largest(image_bgr: Frame) -> NDArray[np.uint8]:
    """The largest channel of each pixel: uint8 (H, W)."""
    blue, green, red = cv2.split(image_bgr)
    return cv2.max(cv2.max(blue, green), red)


def _read_plate(path: str | Path) -> Frame:
    from edge_harmony.capture.picture import read_colour

    return read_colour(path)
