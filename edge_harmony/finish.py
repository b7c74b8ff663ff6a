"""The last touches that make a subject sit in its place: light wrap and grain. Each is off at amount 0."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge_harmony.colour import luma
from edge_harmony.frame import Alpha, Frame
from edge_harmony.grain import Grain, luma_shape, measure_grain, noise_field

_WRAP_FACTOR: Final = 8  # the light is blurred at an eighth of the size
_LEAST_GRAIN: Final = 0.25  # code values: less than this is not worth adding


def light_wrap(
    composite_bgr: Frame,
    alpha: Alpha,
    background_bgr: Frame,
    amount: float,
    radius: float = 0.02,
    out: Frame | None = None,
) -> Frame:
    """Let the background's light spill round the subject's edge, as it does in a lens.

    The light that reaches a point is the blurred light of the background that is *seen* near it, so it fades from
    the subject's edge inwards and is exactly none further in than ``radius`` (or three
    pixels). It is added as a screen, so nothing
    clips: ``C + amount * alpha * light * (255 - C)``.

    Args:
        composite_bgr: uint8 (H, W, 3), the subject over its background.
        alpha: uint8 (H, W).
        background_bgr: uint8 (H, W, 3).
        amount: 0 (off) .. 1.
        radius: how far the light reaches inwards, as a share of the frame's longer side.
        out: uint8 (H, W, 3) to write into; may be ``composite_bgr``.

    Returns:
        ``out``, or a new array. Untouched to the bit at amount 0, and wherever alpha is 0.
    """
    result = _start(composite_bgr, out)
    left, top, box_width, box_height = cv2.boundingRect(alpha)
    if amount <= 0.0 or box_width == 0:
        return result
    height, width = alpha.shape
    # The rim is looked for, and lit, only in the subject's box and as far round it as light travels.
    travel = radius * max(height, width)
    factor = max(1, min(_WRAP_FACTOR, int(travel / 8)))
    reach = max(1, int((travel / factor - 1.5) / 2))
    margin = factor * (2 * reach + 2)
    top0, left0 = max(0, top - margin), max(0, left - margin)
    box = (slice(top0, min(height, top + box_height + margin)), slice(left0, min(width, left + box_width + margin)))
    cover = alpha[box]
    size = (max(1, cover.shape[1] // factor), max(1, cover.shape[0] // factor))
    small = cv2.resize(background_bgr[box], size, interpolation=cv2.INTER_AREA)
    seen = cv2.resize(cv2.bitwise_not(cover), size, interpolation=cv2.INTER_AREA)
    light = cv2.multiply(small, cv2.merge([seen] * 3), scale=1 / 255)
    window = (2 * reach + 1, 2 * reach + 1)  # two box blurs: smooth, and nothing beyond twice their reach
    # Beyond the picture's edge the scene goes on as it is at the edge.
    light = cv2.blur(cv2.blur(light, window, borderType=cv2.BORDER_REPLICATE), window, borderType=cv2.BORDER_REPLICATE)
    spread = cv2.resize(light, cover.shape[::-1], interpolation=cv2.INTER_LINEAR)
    spread = cv2.multiply(spread, cv2.merge([cover] * 3), scale=min(float(amount), 1.0) / 255)
    colours = result[box]
    lit = cv2.multiply(spread, cv2.bitwise_not(colours), scale=1 / 255)
    cv2.add(colours, lit, dst=lit)
    np.copyto(colours, lit)
    return result


def grain_match(
    composite_bgr: Frame,
    alpha: Alpha,
    background_bgr: Frame,
    amount: float,
    frame_index: int = 0,
    seed: int = 0,
    background_grain: Grain | None = None,
    out: Frame | None = None,
) -> Frame:
    """Give the subject the background's grain where it is the cleaner of the two.

    Noise of the missing variance and of the background's grain size is added to the subject's luma, the most at
    mid-grey and none at black and white, as sensors and film have it.

    Args:
        composite_bgr: uint8 (H, W, 3), the subject over its background.
        alpha: uint8 (H, W).
        background_bgr: uint8 (H, W, 3).
        amount: 0 (off) .. 1 (the whole difference).
        frame_index: which frame of a video this is: each has its own noise, the same every time.
        seed: chooses another noise.
        background_grain: ``measure_grain(background_bgr)`` if it is known already, as for a still background.
        out: uint8 (H, W, 3) to write into; may be ``composite_bgr``.

    Returns:
        ``out``, or a new array. Untouched to the bit at amount 0, and wherever alpha is 0.
    """
    result = _start(composite_bgr, out)
    left, top, width, height = cv2.boundingRect(alpha)
    if amount <= 0.0 or width == 0:
        return result
    wanted = background_grain if background_grain is not None else measure_grain(background_bgr)
    if wanted.sigma == 0.0:
        return result
    box = (slice(top, top + height), slice(left, left + width))
    cover, colours = alpha[box], result[box]
    solid = cv2.erode(cv2.threshold(cover, 254, 255, cv2.THRESH_BINARY)[1], np.ones((5, 5), np.uint8))
    present = measure_grain(np.ascontiguousarray(colours), solid)
    missing = wanted.sigma**2 - present.sigma**2
    if missing < _LEAST_GRAIN**2:
        return result
    noise = noise_field((height, width), wanted.size, frame_index, seed)
    noise *= np.float32(min(float(amount), 1.0) * np.sqrt(missing))
    noise *= cv2.LUT(luma(colours), luma_shape())
    noise *= cover
    noise *= np.float32(1 / 255)
    grained = cv2.add(colours, cv2.merge([noise] * 3), dtype=cv2.CV_8U)
    np.copyto(colours, grained, where=cover[..., None] > 0)
    return result


def _start(composite_bgr: Frame, out: Frame | None) -> Frame:
    """``out`` holding the composite; a copy when there is none."""
    if out is None:
        return composite_bgr.copy()
    if out is not composite_bgr:
        np.copyto(out, composite_bgr)
    return out
