"""The full-resolution passes one by one: milliseconds for a whole 1080p frame on one thread, best of many.

    python benchmarks/passes.py [--compiler gcc]

``--compiler`` builds them with another C compiler in a temporary folder and times that build beside the installed one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edge_harmony.contract import IDENTITY
from edge_harmony.harmonize.transfer import apply_transform, packed
from edge_harmony.pixels import passes

HEIGHT, WIDTH = 1080, 1920
ROOT = Path(__file__).resolve().parent.parent


def works() -> dict[str, Callable[[], object]]:
    """Each pass on random pictures whose every pixel has some subject."""
    rng = np.random.default_rng(0)
    frame, behind, out = rng.integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    alpha = np.full((HEIGHT, WIDTH), 200, np.uint8)
    luma, cover = rng.integers(0, 256, (2, HEIGHT, WIDTH), np.uint8)
    u, v = rng.integers(0, 256, (2, HEIGHT // 2, WIDTH // 2), np.uint8)
    scratch = np.empty(max(passes.read_scratch(WIDTH), passes.write_scratch(WIDTH)), np.uint8)
    light, seen = rng.integers(0, 256, (135, 240, 3), np.uint8), np.zeros((135, 240), np.uint8)
    tile, gains = rng.normal(0, 1, (512, 512)).astype(np.float32), np.full(256, 0.01, np.float32)
    along, across = np.array([-0.5, 1.0, -0.5], np.float32), np.array([0.3, 0.0, -0.3], np.float32)
    screen, field = np.full((67, 120), 60, np.float32), rng.normal(0, 0.3, (270, 480, 4)).astype(np.float32)
    fore, back = rng.uniform(0, 255, (2, 270, 480, 3)).astype(np.float32)
    everywhere, at = np.ones((270, 480), bool), passes.address
    to_bgr = 9539, -4743, 17305, -1745, -4366, 14686, 0, 2
    to_yuv = 2113, 2032, 20127, 5983, 14392, -11094, -3298, -1321, -13071, 14392

    def read() -> None:
        planes = at(luma), WIDTH, at(u), at(v), WIDTH // 2
        passes.read_rows(HEIGHT, WIDTH, *planes, at(out), 3 * WIDTH, at(scratch), *to_bgr)

    def write() -> None:
        planes = at(luma), WIDTH, at(u), at(v), WIDTH // 2
        passes.write_rows(HEIGHT, WIDTH, at(out), 3 * WIDTH, *planes, at(scratch), *to_yuv)

    return {
        "harmonize and composite": lambda: apply_transform(frame, alpha, behind, IDENTITY, out=out, threads=1),
        "YUV 4:2:0 to BGR": read,
        "BGR to YUV 4:2:0": write,
        "gather a mirrored frame": lambda: packed(frame[:, ::-1], 1),
        "light": lambda: passes.add_light(0, HEIGHT, out, alpha, light, seen, 0, 0, 8, 0.5),
        "grain": lambda: passes.add_grain(0, HEIGHT, out, alpha, 0, WIDTH, tile, 5, 9, gains),
        "chroma key": lambda: passes.key_rows(0, HEIGHT, frame, along, across, screen, 0.1, 300.0, cover),
        "despill": lambda: passes.despill_rows(0, HEIGHT, out, alpha, along, across, along),
        "snap edges": lambda: passes.snap_rows(0, HEIGHT, field, everywhere, frame, 1.3, cover),
        "unmix colours": lambda: passes.unmix_rows(0, HEIGHT, frame, alpha, fore, back, None, out),
    }


def best_ms(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1e3 * min(times)


def build(compiler: str, folder: Path) -> Path:
    """The folder that holds the libraries of another compiler."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(folder), "--build-temp", str(folder)]
    subprocess.run(command, cwd=ROOT, env=dict(os.environ, CC=compiler), check=True)
    return folder / "edge_harmony"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", metavar="CC", help="another C compiler to compare with")
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = {"installed": passes._FOLDER}
        if args.compiler:
            folders[args.compiler] = build(args.compiler, Path(name))
        columns = {}
        for label, folder in folders.items():
            passes._FOLDER = folder
            passes.load.cache_clear()
            columns[label] = {work: best_ms(run, args.rounds) for work, run in works().items()}
    print("| pass | " + " | ".join(f"{label}, ms" for label in columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    for work in columns["installed"]:
        print(f"| {work} | " + " | ".join(f"{times[work]:.2f}" for times in columns.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
