"""What a frame and an alpha are, checked once at the door so that no stage has to ask again."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.contract import MIN_FRAME_SIZE
from edge_harmony.errors import MatteError, SourceError

_log = logging.getLogger(__name__)

Frame = NDArray[np.uint8]  # (H, W, 3) BGR, gamma-encoded, sides of at least MIN_FRAME_SIZE
Alpha = NDArray[np.uint8]  # (H, W), 0..255, straight

_COLOUR_HINT = {
    1: "convert it with cv2.cvtColor({name}, cv2.COLOR_GRAY2BGR)",
    2: "convert it to BGR first, for example with cv2.merge of three channels",
    4: "split the alpha off first: cv2.cvtColor({name}, cv2.COLOR_BGRA2BGR)",
}


def check_frame(frame: Any, name: str = "frame") -> Frame:
    """Make sure that an array is a frame.

    Args:
        frame: anything.
        name: what to call it in an error.

    Returns:
        The same array, never a copy: uint8 (H, W, 3) BGR with both sides at least ``MIN_FRAME_SIZE``. It may be
        a strided view.

    Raises:
        SourceError: not an array, empty, grey, with an alpha channel, 16-bit, floating point, or too small. The
            hint names the OpenCV call that makes a frame of it.
    """
    if not isinstance(frame, np.ndarray):
        raise SourceError(
            f"{name} is {_kind(frame)}, not an image array",
            "cv2.imread returns None when it cannot read a file: check the path"
            if frame is None
            else f"convert it with numpy.asarray({name})",
        )
    if frame.size == 0:
        raise SourceError(f"{name} is empty, its shape is {frame.shape}", "check what was read or cropped")
    if frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] in _COLOUR_HINT):
        channels = 1 if frame.ndim == 2 else frame.shape[2]
        kind = {1: "grey", 2: "a two-channel picture", 4: "a picture with an alpha channel"}[channels]
        raise SourceError(
            f"{name} is {kind}, shape {frame.shape}; a BGR frame (H, W, 3) is needed",
            _COLOUR_HINT[channels].format(name=name),
        )
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise SourceError(
            f"{name} has shape {frame.shape}; a BGR frame (H, W, 3) is needed",
            "pass one frame at a time, as cv2.imread or cv2.VideoCapture.read return it",
        )
    if frame.dtype != np.uint8:
        raise SourceError(f"{name} is {frame.dtype}; 8-bit frames (uint8) are needed", _depth_hint(frame, name))
    height, width = frame.shape[:2]
    if height < MIN_FRAME_SIZE or width < MIN_FRAME_SIZE:
        raise SourceError(
            f"{name} is {width} x {height}; the smallest side that works is {MIN_FRAME_SIZE}",
            f"enlarge it with cv2.resize({name}, None, fx=s, fy=s)",
        )
    return frame


def check_alpha(alpha: Any, size_hw: tuple[int, int], name: str = "mask") -> Alpha:
    """Make sure that an array is a frame's alpha, and make it uint8.

    Args:
        alpha: uint8 0..255, bool, float32 or float64 0..1; of shape (H, W) or (H, W, 1).
        size_hw: height and width of the frame it belongs to.
        name: what to call it in an error.

    Returns:
        uint8 (H, W). The same array when it is that already, a view of it when it is uint8 (H, W, 1); otherwise
        a new array, in which True is 255 and floats are rounded half up.

    Raises:
        MatteError: not an array, colour, of another size, of another dtype, NaN, or out of 0..1.
    """
    if not isinstance(alpha, np.ndarray):
        raise MatteError(
            f"{name} is {_kind(alpha)}, not an array",
            "cv2.imread returns None when it cannot read a file: check the path"
            if alpha is None
            else f"convert it with numpy.asarray({name})",
        )
    if alpha.ndim == 3 and alpha.shape[2] == 1:
        alpha = alpha[:, :, 0]
    if alpha.ndim != 2:
        raise MatteError(
            f"{name} has shape {alpha.shape}; one channel (H, W) is needed",
            f"take the alpha channel, {name}[:, :, 3], or grey: cv2.cvtColor({name}, cv2.COLOR_BGR2GRAY)",
        )
    if alpha.shape != tuple(size_hw):
        height, width = size_hw
        raise MatteError(
            f"{name} is {alpha.shape[1]} x {alpha.shape[0]} but the frame is {width} x {height}",
            f"use the {name} made for this frame, or scale it: "
            f"cv2.resize({name}, ({width}, {height}), interpolation=cv2.INTER_LINEAR)",
        )
    if alpha.dtype == np.uint8:
        return alpha
    if alpha.dtype == np.bool_:
        return alpha.astype(np.uint8) * np.uint8(255)
    if alpha.dtype in (np.float32, np.float64):
        return _float_to_uint8(alpha, name)
    hint = f"convert it with ({name} // 257).astype('uint8')" if alpha.dtype == np.uint16 else ""
    raise MatteError(
        f"{name} is {alpha.dtype}; uint8 0..255, bool, or float 0..1 is needed",
        hint or f"convert it with {name}.astype('uint8') once it is in 0..255",
    )


def stretch_binary(alpha: Alpha, name: str = "mask") -> Alpha:
    """A mask of 0 and 1 as one of 0 and 255, with a warning; any other is returned as it is.

    As 0..255 such a mask would be a subject of four thousandths: it would vanish, and nobody would know why.

    Args:
        alpha: uint8 (H, W).
        name: what to call it in the warning.
    """
    if alpha.size and int(alpha.max()) == 1:
        _log.warning("%s holds only 0 and 1: 1 is taken as fully subject", name)
        return alpha * np.uint8(255)
    return alpha


def straight_colour(frame_bgr: Frame, alpha: Alpha) -> Frame:
    """The straight colour of a premultiplied frame: uint8 (H, W, 3), ``255 F / alpha`` rounded; 0 where alpha is 0."""
    share = np.maximum(alpha, 1).astype(np.uint32)[:, :, None]
    return (
        np.minimum((frame_bgr.astype(np.uint32) * 255 + share // 2) // share, 255).astype(np.uint8)
        * (alpha > 0).astype(np.uint8)[:, :, None]
    )


def _float_to_uint8(alpha: NDArray[Any], name: str) -> Alpha:
    low, high = float(alpha.min()), float(alpha.max())  # a NaN anywhere makes both NaN
    if np.isnan(low):
        raise MatteError(f"{name} holds NaN", f"find out where it comes from, or use numpy.nan_to_num({name})")
    if low < 0.0 or high > 1.0:
        scaled = low >= 0.0 and 1.0 < high <= 255.0
        raise MatteError(
            f"{name} holds values from {low:.4g} to {high:.4g}; a float alpha must lie in 0..1",
            f"divide it by 255 or pass it as uint8: {name}.astype('uint8')"
            if scaled
            else f"clip it: numpy.clip({name}, 0, 1)",
        )
    return np.floor(alpha * 255.0 + 0.5).astype(np.uint8)


def _depth_hint(frame: NDArray[Any], name: str) -> str:
    if frame.dtype == np.uint16:
        return f"reduce it with cv2.convertScaleAbs({name}, alpha=255 / 65535), or export it as 8-bit"
    if frame.dtype.kind == "f":
        return f"if it is in 0..1, use cv2.convertScaleAbs({name}, alpha=255); HDR must be tone-mapped first"
    return f"convert it with {name}.astype('uint8') once it is in 0..255"


def _kind(thing: Any) -> str:
    return "None" if thing is None else f"a {type(thing).__name__}"
