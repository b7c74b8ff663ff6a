"""Train a list of configurations with several seeds, measure each, and put them into one table.

    python -m training.experiments training/configs/mix.toml --data PHOTOS MORE --subjects PEOPLE --looks looks.npz \\
        --init edge_harmony/models/nano.onnx --bench CUTOUTS BENCH --list val.txt val.txt --out runs/mix

Every run is ``training.train`` with a budget that is the same for all, then ``training.evaluate`` on each benchmark.
The same command again goes on where it was stopped, in the middle of a run too; finished runs are not repeated unless
their settings have changed, and rows of equal settings share one run. OUT gets table.md (mean and spread over seeds),
table.csv (every run), curves.png, and a folder for each run with its checkpoint and log. --set steps=200 --seeds 1
tries the list out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from edge_harmony.errors import ConfigError, SinkError, SourceError
from edge_harmony.run.arguments import Parser, whole
from edge_harmony.run.exit_code import exit_code
from training import experiment_table
from training.experiment_list import Experiment, read_experiments, to_toml
from training.ihdata import Composites
from training.report import write_json

RESULT = "result.json"


def parse(argv: list[str] | None) -> argparse.Namespace:
    p = Parser(prog="python -m training.experiments", description=__doc__)
    p.add_argument("experiments", type=Path, metavar="LIST.toml", help="see training/configs/ablation.toml")
    p.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="PHOTOS",
        help="folders with real_images/ and masks/, for training",
    )
    p.add_argument(
        "--subjects", type=Path, nargs="+", default=[], metavar="PHOTOS", help="as training.train takes them"
    )
    p.add_argument("--looks", type=Path, metavar="NPZ", help="likewise")
    p.add_argument("--init", type=Path, metavar="FILE", help="weights that every run begins with")
    p.add_argument(
        "--bench",
        type=Path,
        nargs="+",
        required=True,
        metavar="BENCH",
        help="folders in iHarmony4's layout, for measuring",
    )
    p.add_argument("--list", type=Path, nargs="+", required=True, help="list file of each --bench")
    p.add_argument("--out", type=Path, required=True, help="folder for all runs and the table")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for all runs")
    p.add_argument("--seeds", type=whole(1), metavar="N", help="use the first N seeds of the list only")
    p.add_argument("--only", action="append", metavar="GROUP", help="only this group of rows; may be repeated")
    p.add_argument(
        "--parallel", type=whole(1, 1024), default=2, metavar="N", help="runs at a time, one thread each (default 2)"
    )
    p.add_argument("--bf16", action="store_true", help="bfloat16 on a CPU: faster on one with AVX512-BF16 or AMX")
    p.add_argument("--compile", action="store_true", help="as training.train takes it: pays from some hundred steps on")
    p.add_argument("--table", action="store_true", help="write the table of what has been run, train nothing")
    args = p.parse_args(argv)
    if len(args.bench) != len(args.list):
        p.error(f"{len(args.bench)} benchmarks and {len(args.list)} lists: give each its own")
    if len({bench.name for bench in args.bench}) < len(args.bench):
        p.error("two benchmarks have one name: the table could not tell them apart")
    return args


def finished(folder: Path, experiment: Experiment, benches: set[str]) -> dict[str, Any] | None:
    """The stored result of a run, if it is of these settings and on these benchmarks."""
    try:
        result = json.loads((folder / RESULT).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    same = result.get("digest") == experiment.digest and set(result.get("benches", ())) == benches
    return result if same else None


class Commands:
    """Commands of several threads, all of which can be asked to stop: a signal may come to this process alone."""

    def __init__(self) -> None:
        self._lock, self._running, self._stopped = threading.Lock(), set[subprocess.Popen[bytes]](), False

    def run(self, words: list[str], output: IO[str], environment: dict[str, str]) -> int:
        """Run a command and return its exit code; after ``stop`` none is begun, and the code is SIGTERM's."""
        with self._lock:
            if self._stopped:
                return 128 + signal.SIGTERM
            command = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, env=environment)
            self._running.add(command)
        code = command.wait()
        with self._lock:
            self._running.discard(command)
        return code

    def stop(self) -> None:
        """Have what runs save and stop."""
        with self._lock:
            self._stopped = True
            for command in self._running:
                command.terminate()


def make(experiment: Experiment, args: argparse.Namespace, commands: Commands) -> dict[str, Any]:
    """Train (or go on training) and measure one run.

    Raises:
        SourceError: training or measuring failed; the message is the last line of the run's own log.
    """
    folder = args.out / experiment.folder
    folder.mkdir(parents=True, exist_ok=True)
    config, stale = folder / "config.toml", to_toml(experiment.config)
    if config.exists() and config.read_text() != stale:
        raise ConfigError(
            f"{folder} holds a run with other settings", "choose another --out, or delete that folder to run it anew"
        )
    config.write_text(stale)
    train = [
        "training.train",
        "--config",
        config,
        "--data",
        *args.data,
        "--out",
        folder,
        "--threads",
        1,
        "--workers",
        0,
        "--cache",
        "--save-every",
        500,
        "--preview-every",
        10**9,
        "--log-every",
        max(1, min(50, experiment.config.steps // 40)),
        *(["--bf16"] if args.bf16 else []),
        *(["--compile"] if args.compile else []),
    ]
    for option, given in (("--subjects", args.subjects), ("--looks", [args.looks]), ("--init", [args.init])):
        train += [option, *given] if given and given[0] else []
    figures = {bench.name: folder / f"figures-{bench.name}.json" for bench in args.bench}
    measure = [
        [
            "training.evaluate",
            "--checkpoint",
            folder / "last.safetensors",
            "--bench",
            bench,
            "--list",
            listing,
            "--json",
            figures[bench.name],
        ]
        for bench, listing in zip(args.bench, args.list, strict=True)
    ]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (folder / "output.txt").open("a") as output:
        for command in (train, *measure):
            words = [sys.executable, "-m", *map(str, command)]
            if commands.run(words, output, {**os.environ, **threads}):
                last = (folder / "output.txt").read_text().strip().splitlines()[-2:]
                raise SourceError(f"{experiment.folder} stopped: {' / '.join(last)}", f"see {folder / 'output.txt'}")
    result = {
        "name": experiment.name,
        "group": experiment.group,
        "seed": experiment.config.seed,
        "digest": experiment.digest,
        "steps": experiment.config.steps,
        "batch": experiment.config.batch,
        "benches": {name: json.loads(path.read_text())["summary"]["all"] for name, path in figures.items()},
    }
    write_json(folder / RESULT, result)
    return result


def main(argv: list[str] | None = None) -> int:
    from training.settings import overrides

    args = parse(argv)
    for bench, listing in zip(args.bench, args.list, strict=True):
        Composites(bench, listing)  # said now, not after an hour of training, if it is not there
    experiments = read_experiments(args.experiments, overrides(args.set), args.seeds)
    if args.only:
        groups = {experiment.group for experiment in experiments}
        if unknown := set(args.only) - groups:
            raise ConfigError(f"no group {sorted(unknown)[0]!r} in the list", f"groups: {', '.join(sorted(groups))}")
        experiments = [experiment for experiment in experiments if experiment.group in args.only]
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise SinkError(f"cannot write to {args.out}: {e.strerror}", "choose another --out folder") from None
    benches = {bench.name for bench in args.bench}
    results = {e.digest: r for e in experiments if (r := finished(args.out / e.folder, e, benches)) is not None}

    def rows() -> list[dict[str, Any]]:
        return [{**results[e.digest], "name": e.name, "group": e.group} for e in experiments if e.digest in results]

    if not args.table:
        waiting = list({e.digest: e for e in experiments if e.digest not in results}.values())
        print(f"{len(results)} runs are done, {len(waiting)} to go", flush=True)
        commands = Commands()
        with ThreadPoolExecutor(args.parallel) as pool:
            jobs = {pool.submit(make, experiment, args, commands): experiment for experiment in waiting}
            try:
                for job, experiment in jobs.items():
                    results[experiment.digest] = result = job.result()
                    said = (f"{name} {b['model']['psnr']:.2f} dB" for name, b in result["benches"].items())
                    print(f"{experiment.folder}: {', '.join(said)}", flush=True)
                    experiment_table.write(args.out, rows())
            finally:
                commands.stop()
                pool.shutdown(cancel_futures=True)
    if results:
        print(experiment_table.write(args.out, rows()))
        experiment_table.draw_curves(args.out, [e for e in experiments if e.digest in results])
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main, "the same command again goes on"))
