"""Where the subject is: mattes, one file a kind."""

from edge_harmony.matte.base import Matte
from edge_harmony.matte.refine import Refinement
from edge_harmony.matte.select import open_matte

__all__ = ["Matte", "Refinement", "open_matte"]
