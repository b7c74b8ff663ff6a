"""The C library beside the Python Compositor: milliseconds a frame with given alpha, taken in turns in one run.

    python benchmarks/c_library.py LIBRARY [--model base] [--size 1280x720] [--frames 60] [--threads 1]

LIBRARY is a built libedgeharmony, such as lib/libedgeharmony.so.1 of an archive. Every frame moves, so that the network
is asked each time. Both use the onnxruntime package's own library. Prints the median and the 95th percentile of each,
the processor's time with it (all threads; other work on the machine touches it less), and the quotients of the medians.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from edge_harmony.compose.compositor import Compositor
from edge_harmony.harmonize.onnxruntime import OnnxRuntimeHarmonizer
from edge_harmony.run.arguments import size
from tests.native import binding
from tests.native.binding import Stream, image_of
from tests.native.scenes import textured
from tests.scenes import soft_disc

ROOT = Path(__file__).resolve().parent.parent
WARM = 5  # frames before the clock runs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--model", default="base", help="base or nano")
    parser.add_argument("--size", type=size(), default="1280x720", metavar="WxH")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--light-wrap", type=float, default=0.0)
    parser.add_argument("--grain", type=float, default=0.0)
    given = parser.parse_args()
    height, width = given.size
    model = ROOT / "edge_harmony" / "models" / f"{given.model}.onnx"
    runtime = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime*"))[0]

    finish = {"light_wrap": given.light_wrap, "grain": given.grain}
    compositor = Compositor(OnnxRuntimeHarmonizer(model, threads=given.threads), **finish)
    library = binding.load(given.library.resolve())
    stream = Stream(library, model_path=model, onnxruntime_path=runtime, threads=given.threads)
    stream.set(binding.LIGHT_WRAP, given.light_wrap)
    stream.set(binding.GRAIN, given.grain)

    rng = np.random.default_rng(1)
    still, behind = textured(rng, height, width), textured(rng, height, width, grain=4.0)
    frames = [np.ascontiguousarray(np.roll(still, 40 * i, axis=1)) for i in range(8)]
    alphas = [
        soft_disc((height, width), height * 0.35, 9.0, (width * (0.3 + 0.05 * i), height * 0.6)) for i in range(8)
    ]
    made = [np.empty_like(still) for _ in range(2)]
    times: list[list[tuple[float, float]]] = [[], []]  # milliseconds on the clock, and of the processor
    worst = 0
    for number in range(WARM + given.frames):
        frame, alpha = frames[number % 8], alphas[number % 8]
        start = clocks()
        compositor.process(frame, alpha, behind, out=made[0])
        middle = clocks()
        stream.process(image_of(frame), image_of(alpha), image_of(behind), image_of(made[1]))
        end = clocks()
        worst = max(worst, int(np.abs(made[0].astype(np.int16) - made[1]).max()))
        if number >= WARM:
            times[0].append((middle[0] - start[0], middle[1] - start[1]))
            times[1].append((end[0] - middle[0], end[1] - middle[1]))
    print(f"{given.model}, {width} x {height}, {given.threads} threads, {given.frames} frames, {finish}")
    medians = np.median(np.array(times), axis=1)
    for name, taken, (wall, busy) in zip(("Python", "C"), times, medians, strict=True):
        late = np.percentile([wall for wall, _ in taken], 95)
        print(f"{name:6} median {wall:7.2f} ms, 95 % below {late:7.2f} ms; processor {busy:7.2f} ms")
    wall, busy = medians[1] / medians[0]
    print(f"C / Python {wall:.2f}, of the processor {busy:.2f}; at most {worst} code values apart")


def clocks() -> tuple[float, float]:
    return time.perf_counter() * 1e3, time.process_time() * 1e3


if __name__ == "__main__":
    main()
