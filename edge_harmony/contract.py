"""The contract between the generator and everything that runs it.

This is the only file that knows tensor names, shapes, ranges, colour order, the meaning of the mask and the
working size. Training, export, calibration and every runtime import it; nobody else writes ``/ 255``.

The generator looks at a small view of the composite and predicts a *colour transform*, a coarse grid of
affine maps; the transform is interpolated and applied to the frame at whatever size the frame has.

**The transform graph** (network only)

============== ========== ======================= ===========================================================
``composite``  float32 in (1, 3, 256, 256)        RGB, 0..1, gamma-encoded: the working view of the composite
``mask``       float32 in (1, 1, 256, 256)        0..1: how much of the pixel is foreground (alpha)
``transform``  float32    (1, 12, 32, 32)         for each cell a 3 x 4 affine map, row-major:
               out                                ``rgb' = M[:, :3] @ rgb + M[:, 3]``, rgb in 0..1. Absolute:
                                                  the identity is ``IDENTITY``, not zeros
============== ========== ======================= ===========================================================

**The frame graph** (everything an application needs, any size H x W)

====================== =========== ================ =========================================================
``foreground``         uint8 in    (H, W, 3)        BGR, straight (not premultiplied) colour of the subject
``alpha``              uint8 in    (H, W)           0..255, straight alpha of the subject
``background``         uint8 in    (H, W, 3)        BGR
``previous_transform`` float32 in  (1, 12, 32, 32)  last frame's ``transform``; ``NO_TRANSFORM`` for none
``strength``           float32 in  (1,)             0 = composite untouched, 1 = fully harmonized
``smoothing``          float32 in  (1,)             0 = use the new transform, 0.9 = keep 90 % of the previous
``harmonized``         uint8 out   (H, W, 3)        BGR composite with the harmonized foreground
``transform``          float32 out (1, 12, 32, 32)  to be passed in as ``previous_transform`` next time
====================== =========== ================ =========================================================

A composite that already exists is harmonized by passing it as both ``foreground`` and ``background``.

**Working view**: frame, alpha and background are read down to ``READ_SIZE`` squared, bilinear with half-pixel
centres and no antialiasing, composited there, and averaged 2 x 2 to ``WORKING_SIZE`` squared. (Aspect ratio is
not kept: the network sees every frame as a square, and the grid covers the frame.)

**Application**: the grid is interpolated bilinearly with half-pixel centres and clamped edges, blended with the
identity by ``strength``, applied to the foreground colour, clamped to 0..255, and composited straight:
``alpha * F' + (1 - alpha) * B``, rounded half up. Where alpha is 0 the background is untouched to the bit.

**Smoothing**: ``transform = previous + (1 - smoothing) * (new - previous)``. A previous transform of zeros alone,
``NO_TRANSFORM``, is none (as a map it would make the subject black): the frame is a first one, its transform is taken
as it is, whatever ``smoothing`` says. So memory cleared to zeros starts a video, and clearing it again is a cut.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

CONTRACT_VERSION: Final = 2
WORKING_SIZE: Final = 256  # pixels, side of the network's square view
READ_SIZE: Final = 512  # pixels, side of the square that frames are first read down to
GRID_SIZE: Final = 32  # cells, side of the transform's square grid
TRANSFORM_CHANNELS: Final = 12  # a 3 x 4 affine map, row-major
TRANSFORM_SHAPE: Final = (1, TRANSFORM_CHANNELS, GRID_SIZE, GRID_SIZE)
MIN_FRAME_SIZE: Final = 64  # pixels, the smallest side of a frame that we accept
OPSET: Final = 18

COMPOSITE: Final = "composite"
MASK: Final = "mask"
TRANSFORM: Final = "transform"
FOREGROUND: Final = "foreground"
ALPHA: Final = "alpha"
BACKGROUND: Final = "background"
PREVIOUS_TRANSFORM: Final = "previous_transform"
STRENGTH: Final = "strength"
SMOOTHING: Final = "smoothing"
HARMONIZED: Final = "harmonized"

TRANSFORM_GRAPH_INPUTS: Final = (COMPOSITE, MASK)
TRANSFORM_GRAPH_OUTPUTS: Final = (TRANSFORM,)
FRAME_GRAPH_INPUTS: Final = (FOREGROUND, ALPHA, BACKGROUND, PREVIOUS_TRANSFORM, STRENGTH, SMOOTHING)
FRAME_GRAPH_OUTPUTS: Final = (HARMONIZED, TRANSFORM)

# Keys of the ONNX metadata_props (and of an engine's sidecar JSON).
META_CONTRACT: Final = "edge_harmony.contract"  # str(CONTRACT_VERSION)
META_GRAPH: Final = "edge_harmony.graph"  # "transform" or "frame"
META_MODEL: Final = "edge_harmony.model"  # the model's name, such as "base"
META_WEIGHTS: Final = "edge_harmony.weights_sha256"  # of the checkpoint's weights, the model's identity
META_PRECISION: Final = "edge_harmony.precision"  # "fp32", "fp16" or "int8"; absent means fp32
META_TENSOR_PREFIX: Final = "edge_harmony.tensor."  # + tensor name: its meaning in words

TENSOR_MEANINGS: Final = {
    COMPOSITE: "float32 (1,3,256,256) RGB 0..1 gamma-encoded working view of the composite",
    MASK: "float32 (1,1,256,256) 0..1 foreground coverage (alpha) of the working view",
    TRANSFORM: "float32 (1,12,32,32) per cell a row-major 3x4 affine map on RGB 0..1, absolute",
    FOREGROUND: "uint8 (H,W,3) BGR straight foreground colour",
    ALPHA: "uint8 (H,W) straight alpha, 255 is foreground",
    BACKGROUND: "uint8 (H,W,3) BGR background",
    PREVIOUS_TRANSFORM: "float32 (1,12,32,32) the transform output of the previous frame; zeros alone: there is none",
    STRENGTH: "float32 (1,) 0 untouched .. 1 fully harmonized",
    SMOOTHING: "float32 (1,) 0 new transform only .. towards 1 keep the previous",
    HARMONIZED: "uint8 (H,W,3) BGR composite with harmonized foreground",
}

IDENTITY: Final[NDArray[np.float32]] = np.ascontiguousarray(
    np.broadcast_to(np.eye(3, 4, dtype=np.float32).reshape(1, TRANSFORM_CHANNELS, 1, 1), TRANSFORM_SHAPE)
)
IDENTITY.setflags(write=False)

NO_TRANSFORM: Final[NDArray[np.float32]] = np.zeros(TRANSFORM_SHAPE, np.float32)
"""As ``previous_transform``: there is none, this is a first frame."""
NO_TRANSFORM.setflags(write=False)


def read_down(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Read a frame, or an alpha, down to ``READ_SIZE`` squared: (H, W, 3) or (H, W) uint8 to the same kind."""
    return cv2.resize(image, (READ_SIZE, READ_SIZE), interpolation=cv2.INTER_LINEAR)


def grid_mask(alpha: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The subject's share of each cell of the grid: uint8 (H, W) to float32 (GRID_SIZE, GRID_SIZE) 0..1."""
    small = cv2.resize(alpha, (GRID_SIZE, GRID_SIZE), interpolation=cv2.INTER_AREA)
    return np.multiply(small, np.float32(1.0 / 255.0), dtype=np.float32)


def working_view(
    composite_bgr: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The working view in bytes, as a calibration set keeps it; ``pack_working_view`` makes tensors of it.

    Args:
        composite_bgr: uint8 (READ_SIZE, READ_SIZE, 3), from ``read_down``.
        alpha: uint8 (READ_SIZE, READ_SIZE), from ``read_down``.

    Returns:
        uint8 (WORKING_SIZE, WORKING_SIZE, 3) BGR and uint8 (WORKING_SIZE, WORKING_SIZE).
    """
    size = (WORKING_SIZE, WORKING_SIZE)
    return (
        cv2.resize(composite_bgr, size, interpolation=cv2.INTER_AREA),
        cv2.resize(alpha, size, interpolation=cv2.INTER_AREA),
    )


def pack_working_view(
    view_bgr: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn a ``working_view`` into the transform graph's inputs, as ``pack_view`` gives them."""
    rgb = cv2.cvtColor(view_bgr, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)[None]
    scale = np.float32(1.0 / 255.0)
    return np.multiply(rgb, scale, dtype=np.float32), np.multiply(mask[None, None], scale, dtype=np.float32)


def pack_view(
    composite_bgr: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn a composite and its alpha into the transform graph's two inputs.

    Args:
        composite_bgr: uint8 (READ_SIZE, READ_SIZE, 3), from ``read_down``.
        alpha: uint8 (READ_SIZE, READ_SIZE), from ``read_down``.

    Returns:
        ``composite`` float32 (1, 3, 256, 256) RGB 0..1 and ``mask`` float32 (1, 1, 256, 256) 0..1.
    """
    return pack_working_view(*working_view(composite_bgr, alpha))
