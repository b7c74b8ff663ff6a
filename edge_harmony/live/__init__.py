"""Live: from a camera to a window, a virtual camera, a file or a browser, without falling behind.

from edge_harmony.live import Pipeline

with Pipeline("0", background="beach.jpg") as pipeline:
    for result in pipeline:
        show(result.image_bgr)
"""

from edge_harmony.live.controls import Controls
from edge_harmony.live.figures import Figures
from edge_harmony.live.pipeline import Pipeline
from edge_harmony.live.result import Result

__all__ = ["Controls", "Figures", "Pipeline", "Result"]
