"""What ``edge-harmony batch`` gains by workers, and what Ray costs.

    python benchmarks/farm.py -o farm.json                      # some minutes
    python benchmarks/farm.py --clips 6 --frames 60 --rounds 1  # a short look

Makes CLIPS videos of a figure before a screen (720p, the package's own test pattern), then keys and harmonizes all of
them by each of: one worker, as many workers as there are processors, one worker of Ray's (where it is installed). The
ways take turns, round by round, and every run starts from nothing; medians are given. ``seconds`` is the whole command
with its start, ``working_s`` the time that the clips themselves took, added up, and ``starting_s`` the rest of it for a
single worker: processes that begin, libraries and models that are loaded, a cluster that comes up.

A quiet machine is needed; the load average at the start is in the result. Ray's ports stay inside this machine where
``unshare --net`` is allowed, which the result says.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def main() -> None:
    """Time every way and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=12, help="how many clips (default 12)")
    parser.add_argument("--frames", type=int, default=150, help="frames of each (default 150)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is timed (default 3)")
    parser.add_argument("-o", "--output", type=Path, help="JSON with the results")
    args = parser.parse_args()
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ways: dict[str, list[str]] = {"1 worker": ["--workers", "1"]}
    if processors > 1:
        ways[f"{processors} workers"] = ["--workers", str(processors)]
    if importlib.util.find_spec("ray") is not None:
        ways["Ray, 1 worker"] = ["--workers", "1", "--ray"]
    alone = _has_own_network()
    result: dict[str, Any] = {
        "load": os.getloadavg()[0], "processors": processors, "clips": args.clips, "frames": args.frames,
        "ray_in_its_own_network": alone,
    }  # fmt: skip
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(prefix="eh") as name:
        folder = Path(name)
        _make_clips(folder, args.clips, args.frames)
        for number in range(args.rounds):
            for way, words in ways.items():
                runs[way].append(_time(folder, f"{number}-{len(words)}-{words[1]}", words, alone and "--ray" in words))
    first = statistics.median(run["seconds"] for run in runs["1 worker"])
    result["ways"] = {
        way: {key: round(statistics.median(run[key] for run in several), 2) for key in several[0]}
        for way, several in runs.items()
    }
    for way, figures in result["ways"].items():
        figures["times_as_fast"] = round(first / figures["seconds"], 2)
        print(f"{way:15} " + "  ".join(f"{key} {value}" for key, value in figures.items()))
    print(f"load at the start {result['load']:.1f} on {processors} processors")
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n")


def _make_clips(folder: Path, count: int, frames: int) -> None:
    (folder / "clips").mkdir()
    source = f"test:1280x720@30,screen=#00b140,frames={frames}"
    _command(folder, ["process", source, "--matte", "none", "--bg", "#00b140", "--model", "none", "-o", "clips/0.mp4"])
    for number in range(1, count):
        shutil.copy(folder / "clips" / "0.mp4", folder / "clips" / f"{number}.mp4")


def _time(folder: Path, name: str, words: list[str], own_network: bool) -> dict[str, float]:
    common = ["batch", "clips", "--matte", "chroma", "--bg", "#6080a0", "-o", f"out-{name}/", "--report", "report.json"]
    started = time.perf_counter()
    _command(folder, [*common, *words], own_network)
    seconds = time.perf_counter() - started
    report = json.loads((folder / "report.json").read_text())
    working = sum(one["seconds"] for one in report["results"])
    frames = sum(one["frames"] for one in report["results"])
    figures = {"seconds": seconds, "frames_per_s": frames / seconds, "working_s": working}
    if words[1] == "1":
        figures["starting_s"] = seconds - working
    return figures


def _command(folder: Path, words: list[str], own_network: bool = False) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(folder), "HOME": str(folder)}
    subprocess.run(
        [*(OWN_NETWORK if own_network else ()), sys.executable, "-m", "edge_harmony", *words],
        cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _has_own_network() -> bool:
    if not shutil.which("unshare") or not shutil.which("ip"):
        return False
    return subprocess.run([*OWN_NETWORK, "true"], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
