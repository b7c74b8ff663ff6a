"""From a frame, its alpha and a background to the finished picture, steady over time.

``Compositor`` does all of it; ``SceneDetector`` and ``TransformSmoother`` are what keeps it steady.
"""

from edge_harmony.compose.compositor import Compositor
from edge_harmony.compose.scene_change import Change, SceneDetector
from edge_harmony.compose.smoothing import TransformSmoother
from edge_harmony.contract import grid_mask

__all__ = ["Change", "Compositor", "SceneDetector", "TransformSmoother", "grid_mask"]
