"""Bringing a clean plate to the frame: where the camera points, and how it exposes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.matte.unmix import largest
from edge_harmony.pixels.frame import Frame

_MOST_POINTS = 400
_FEWEST_POINTS = 24
_STILL_PIXELS = 0.25  # a camera that moved less than this is taken to stand still
_MOST_ROUNDS = 8  # of the exposure's fit
_FIT_PIXELS = 10_000  # the exposure is fitted on about this many pixels


class PlateTracker:
    """Finds where the plate lies in each frame by following its corners.

    Corners of the plate are followed into the frame by pyramidal Lucas-Kanade and back again; those that do not
    return (hidden by the subject, or moved) are dropped, and RANSAC fits a homography to the rest. The last
    frame's homography is where the search starts.

    Args:
        plate_grey: uint8 (H, W).
    """

    def __init__(self, plate_grey: NDArray[np.uint8]) -> None:
        self.plate_grey = plate_grey
        points = cv2.goodFeaturesToTrack(plate_grey, _MOST_POINTS, 0.005, max(6.0, min(plate_grey.shape) / 80))
        self._points = np.zeros((0, 1, 2), np.float32) if points is None else points
        self._last: NDArray[np.float64] | None = None

    def reset(self) -> None:
        """Forget where the plate was last."""
        self._last = None

    def locate(self, frame_grey: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Return the homography (3, 3) from plate to frame pixels, or None when too little of it is seen."""
        if len(self._points) < _FEWEST_POINTS:
            return None
        if self._last is None:
            guess = np.eye(3)
            guess[:2, 2] = _global_shift(self.plate_grey, frame_grey)
        else:
            guess = self._last
        there = cv2.perspectiveTransform(self._points, guess)
        settings = {"winSize": (21, 21), "maxLevel": 3, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
        there, found, _ = cv2.calcOpticalFlowPyrLK(self.plate_grey, frame_grey, self._points, there, **settings)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(
            frame_grey, self.plate_grey, there, self._points.copy(), **settings
        )
        strayed = np.abs(back - self._points).max(axis=(1, 2))
        good = (found.ravel() == 1) & (returned.ravel() == 1) & (strayed < 0.7)
        if int(good.sum()) < _FEWEST_POINTS:
            return None
        homography, inliers = cv2.findHomography(self._points[good], there[good], cv2.RANSAC, 1.5)
        if homography is None or int(inliers.sum()) < _FEWEST_POINTS:
            return None
        self._last = homography
        return homography

    def stands_still(self, homography: NDArray[np.float64]) -> bool:
        """Whether a homography moves no corner of the picture by as much as the eye could see in a matte."""
        height, width = self.plate_grey.shape
        corners = np.array([[[0, 0]], [[width, 0]], [[width, height]], [[0, height]]], np.float32)
        moved = cv2.perspectiveTransform(corners, homography) - corners
        return bool(np.abs(moved).max() < _STILL_PIXELS)


def fit_exposure(
    plate_bgr: Frame, frame_bgr: Frame, valid: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Fit ``frame = gain * plate + offset`` for each channel on what both show of the background.

    The subject is an outlier: the fit starts from the densest ratio of the two pictures, not from their mean, and
    is repeated on the pixels that it explains (iteratively re-weighted least squares).

    Args:
        plate_bgr, frame_bgr: uint8 (H, W, 3), aligned.
        valid: uint8 (H, W), 0 where the plate shows nothing.

    Returns:
        gain (3,), offset (3,), and the noise: the robust standard deviation, in code values, of the explained
        pixels' residuals.
    """
    height, width = plate_bgr.shape[:2]
    factor = max(1.0, (height * width / _FIT_PIXELS) ** 0.5)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    plate = cv2.resize(plate_bgr, size, interpolation=cv2.INTER_LINEAR).reshape(-1, 3).astype(np.float32)
    frame = cv2.resize(frame_bgr, size, interpolation=cv2.INTER_LINEAR).reshape(-1, 3).astype(np.float32)
    brightest, darkest = largest(np.maximum(plate, frame)), -largest(-np.minimum(plate, frame))
    usable = (darkest > 6) & (brightest < 249)  # clipped tells nothing
    if valid is not None:
        usable &= cv2.resize(valid, size, interpolation=cv2.INTER_LINEAR).ravel() == 255
    plate, frame = plate[usable], frame[usable]
    gain, offset = np.ones(3, np.float32), np.zeros(3, np.float32)
    if len(plate) < 200:
        return gain, offset, 2.0
    for channel in range(3):
        gain[channel] = _densest_ratio(frame[:, channel] / plate[:, channel])
    spread = 2.0
    for _ in range(_MOST_ROUNDS):
        residual = frame - (gain * plate + offset)
        size = largest(np.abs(residual))
        # Everything within six times the spread of the best-explained third counts.
        before, spread = spread, max(0.7, float(np.partition(size, len(size) // 3)[len(size) // 3]) * 1.5)
        weight = np.maximum(0.0, 1.0 - (size / (4.0 * spread)) ** 2) ** 2
        total = weight.sum()
        if total < 100:
            break
        mean_plate, mean_frame = weight @ plate / total, weight @ frame / total
        centred = plate - mean_plate
        variance = weight @ (centred * centred) / total
        covariance = weight @ (centred * (frame - mean_frame)) / total
        # A pull towards no offset keeps a flat plate, which cannot tell gain from offset, well-behaved.
        slope = (covariance + 25.0 * mean_frame / np.maximum(mean_plate, 1.0)) / (variance + 25.0)
        gain = np.clip(slope, 0.25, 4.0)
        offset = np.clip(mean_frame - gain * mean_plate, -40.0, 40.0)
        if abs(spread - before) < 0.01 * before:
            break
    explained = largest(np.abs(frame - (gain * plate + offset)))
    explained = explained[explained < 5.0 * spread]
    noise = float(np.median(explained)) / 1.14 if explained.size else 2.0  # median of the largest of three
    return gain, offset, max(0.3, noise)


def apply_exposure(plate_bgr: Frame, gain: NDArray[np.float32], offset: NDArray[np.float32]) -> Frame:
    """Return ``gain * plate + offset`` for each channel, rounded and clamped: uint8 (H, W, 3)."""
    codes = np.arange(256.0)[:, None]
    table = np.clip(np.floor(codes * gain + offset + 0.5), 0, 255).astype(np.uint8)
    return cv2.LUT(plate_bgr, table[None])


def _densest_ratio(ratio: NDArray[np.float32]) -> float:
    """The mode of a ratio's distribution, on a logarithmic scale from 1/4 to 4."""
    counts, edges = np.histogram(np.log2(np.clip(ratio, 0.25, 4.0)), bins=160, range=(-2.0, 2.0))
    smooth = np.convolve(counts, np.ones(5), mode="same")
    best = int(np.argmax(smooth))
    return float(2.0 ** ((edges[best] + edges[best + 1]) / 2))


def _global_shift(plate_grey: NDArray[np.uint8], frame_grey: NDArray[np.uint8]) -> tuple[float, float]:
    """Coarse shift (x, y) in pixels from plate to frame, by phase correlation of their edges."""
    factor = max(1.0, max(plate_grey.shape) / 480.0)
    size = (round(plate_grey.shape[1] / factor), round(plate_grey.shape[0] / factor))
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (plate_grey, frame_grey)]
    edges = [cv2.sqrt(cv2.magnitude(cv2.Sobel(s, cv2.CV_32F, 1, 0), cv2.Sobel(s, cv2.CV_32F, 0, 1))) for s in small]
    (x, y), _ = cv2.phaseCorrelate(edges[0], edges[1], cv2.createHanningWindow(size, cv2.CV_32F))
    return x * plate_grey.shape[1] / size[0], y * plate_grey.shape[0] / size[1]
