"""The last touches that make a subject sit in its place: light wrap and grain. Each is off at amount 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.compose.grain import Grain, luma_shape, measure_grain, noise_tile
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.pixels.passes import add_grain, add_light
from edge_harmony.pixels.row_threads import available_threads, share_rows

_WRAP_FACTORS: Final = (1, 2, 4, 8)  # by how much the light is shrunk to be blurred
_LEAST_GRAIN: Final = 0.25  # code values: less than this is not worth adding


def light_wrap(
    composite_bgr: Frame,
    alpha: Alpha,
    background_bgr: Frame,
    amount: float,
    radius: float = 0.02,
    out: Frame | None = None,
    threads: int | None = None,
) -> Frame:
    """Let the background's light spill round the subject's edge, as it does in a lens.

    The light that reaches a point is the blurred light of the background that is *seen* near it, so it fades from
    the subject's edge inwards and is exactly none further in than ``radius`` (or three
    pixels). It is added as a screen, so nothing clips: ``C + amount * alpha * light * (255 - C)``.

    Args:
        composite_bgr: uint8 (H, W, 3), the subject over its background.
        alpha: uint8 (H, W).
        background_bgr: uint8 (H, W, 3).
        amount: 0 (off) .. 1.
        radius: how far the light reaches inwards, as a share of the frame's longer side.
        out: uint8 (H, W, 3) to write into; may be ``composite_bgr``.
        threads: how many may work on this frame; by default the processors available, at most 8.

    Returns:
        ``out``, or a new array. Untouched to the bit at amount 0, and wherever alpha is 0.

    Raises:
        BackendUnavailableError: the compiled passes were not built.
    """
    result = _start(composite_bgr, out)
    box = cv2.boundingRect(alpha)
    if amount <= 0.0 or box[2] == 0:
        return result
    # The rim is looked for, and lit, only in the subject's box and as far round it as light travels.
    travel = radius * max(alpha.shape)
    factor = max(f for f in _WRAP_FACTORS if f == 1 or f <= travel / 8)
    reach = max(1, int((travel / factor - 1.5) / 2))
    rows, columns = _cells(box, alpha.shape, factor, 2 * reach + 2)
    cover = alpha[rows, columns]
    seen = _shrink(cv2.bitwise_not(cover), factor)
    light = cv2.multiply(_shrink(background_bgr[rows, columns], factor), cv2.merge([seen] * 3), scale=1 / 255)
    window = (2 * reach + 1, 2 * reach + 1)  # two box blurs: smooth, and nothing beyond twice their reach
    # Beyond the picture's edge the scene goes on as it is at the edge.
    light = cv2.blur(cv2.blur(light, window, borderType=cv2.BORDER_REPLICATE), window, borderType=cv2.BORDER_REPLICATE)
    strength = min(float(amount), 1.0)

    def work(first_row: int, last_row: int) -> None:
        add_light(
            box[1] + first_row,
            box[1] + last_row,
            result,
            alpha,
            light,
            seen,
            rows.start,
            columns.start,
            factor,
            strength,
        )

    share_rows(work, box[3], threads or available_threads())
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
    threads: int | None = None,
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
        threads: how many may work on this frame; by default the processors available, at most 8.

    Returns:
        ``out``, or a new array. Untouched to the bit at amount 0, and wherever alpha is 0.

    Raises:
        BackendUnavailableError: the compiled passes were not built.
    """
    result = _start(composite_bgr, out)
    left, top, width, height = cv2.boundingRect(alpha)
    if amount <= 0.0 or width == 0:
        return result
    wanted = background_grain if background_grain is not None else measure_grain(background_bgr)
    if wanted.sigma == 0.0:
        return result
    box = (slice(top, top + height), slice(left, left + width))
    present = measure_grain(result[box], alpha[box])
    missing = wanted.sigma**2 - present.sigma**2
    if missing < _LEAST_GRAIN**2:
        return result
    tile, down, across, sign = noise_tile(wanted.size, frame_index, seed)
    gains = luma_shape() * np.float32(sign * min(float(amount), 1.0) * np.sqrt(missing) / 255.0)

    def work(first_row: int, last_row: int) -> None:
        add_grain(
            top + first_row, top + last_row, result, alpha, left, left + width, tile, down, across, gains
        )  # fmt: skip

    share_rows(work, height, threads or available_threads())
    return result


def _cells(box: Sequence[int], size_hw: tuple[int, ...], factor: int, margin: int) -> tuple[slice, slice]:
    """The rows and columns of whole cells of ``factor`` pixels that hold a box and ``margin`` cells round it.

    Cells are counted from the frame's corner, not the box's: the light does not tremble when the box grows.
    """
    slices = []
    for start, length, size in ((box[1], box[3], size_hw[0]), (box[0], box[2], size_hw[1])):
        first = max(start // factor - margin, 0)
        last = min(-(-(start + length) // factor) + margin, max(size // factor, 1))
        slices.append(slice(min(first, last - 1) * factor, last * factor))
    return slices[0], slices[1]


def _shrink(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """An image whose sides are whole cells, averaged over them (a quarter of the pixels of large cells will do)."""
    height, width = image.shape[:2]
    if factor > 2:
        image = cv2.resize(image, (width // factor * 2, height // factor * 2), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA)


def _start(composite_bgr: Frame, out: Frame | None) -> Frame:
    """``out`` holding the composite; a copy when there is none."""
    if out is None:
        return composite_bgr.copy()
    if out is not composite_bgr:
        np.copyto(out, composite_bgr)
    return out
