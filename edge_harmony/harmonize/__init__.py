"""From a composite and its mask to a composite whose subject belongs there.

``load_harmonizer`` gives a ``Harmonizer``; ``apply_transform`` is its full-resolution step; ``TransformSmoother``
and ``SceneDetector`` keep a video steady; ``reinhard`` is the baseline that needs no model.
"""

from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.harmonize.load import BACKENDS, load_harmonizer
from edge_harmony.harmonize.scene import Change, SceneDetector
from edge_harmony.harmonize.statistics import reinhard
from edge_harmony.harmonize.temporal import TransformSmoother, grid_mask
from edge_harmony.harmonize.transfer import Transform, apply_transform

__all__ = [
    "BACKENDS",
    "Change",
    "Harmonizer",
    "SceneDetector",
    "Transform",
    "TransformSmoother",
    "apply_transform",
    "grid_mask",
    "load_harmonizer",
    "reinhard",
]
