"""From a composite and its mask to a composite whose subject belongs there.

``load_harmonizer`` gives a ``Harmonizer``; ``apply_transform`` is its full-resolution step; ``reinhard`` is the
baseline that needs no model.
"""

from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.harmonize.load import BACKENDS, load_harmonizer
from edge_harmony.harmonize.statistics import reinhard
from edge_harmony.harmonize.transfer import Transform, apply_transform

__all__ = ["BACKENDS", "Harmonizer", "Transform", "apply_transform", "load_harmonizer", "reinhard"]
