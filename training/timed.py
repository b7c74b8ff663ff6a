r"""Train for so many minutes from a pack, export, measure: one call, for a machine that is lent for minutes.

    python -m training.timed pack --config training/configs/base.toml --out results --minutes 9
    python -m training.timed pack --config training/configs/large.toml --out results --minutes 9 \
      --workers 14 --set batch=64

Times a few steps first, then sets ``steps`` so that the rate has come down to zero when the time is over. ``--out``
gets NAME.onnx (compact: the next run begins from it, ``--init``), log.csv, previews and, where the pack has a
benchmark, figures.json. A second call with the same --out goes on where the first was cut off.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

from edge_harmony.errors import ConfigError, SourceError
from edge_harmony.run.arguments import Parser, number, whole
from edge_harmony.run.exit_code import exit_code
from training import checkpoint, train

TRIED = 40  # steps that are timed
SPARE = 1.15  # the last steps are at the largest size, and files are to be written
ENDING = 45.0  # seconds for export and measurement


def started(pack: Path, out: Path, args: argparse.Namespace) -> list[str]:
    """The arguments of training.train that a pack means."""
    if not (pack / "data").is_dir():
        raise SourceError(f"{pack} is no pack", "make one with python -m training.pack")
    given = ["--config", str(args.config), "--data", str(pack / "data"), "--out", str(out), "--cache"]
    given += ["--workers", str(args.workers), "--save-every", "500", "--log-every", "10", "--preview-every", "1000"]
    if (pack / "subjects").is_dir():
        given += ["--subjects", str(pack / "subjects")]
    if (pack / "looks.npz").is_file():
        given += ["--looks", str(pack / "looks.npz")]
    for init in pack.glob("init.*"):
        given += ["--init", str(init)]
    given += ["--bf16"] if args.bf16 else []
    given += ["--threads", str(args.threads)] if args.threads else []
    return given + (["--set", *args.set] if args.set else [])


def seconds_per_step(log: Path, batch: int) -> float:
    """From the last row of a run's log."""
    with log.open(newline="") as f:
        return batch / float(list(csv.DictReader(f))[-1]["samples_per_s"])


def main(argv: list[str] | None = None) -> int:
    p = Parser(prog="python -m training.timed", description=__doc__)
    p.add_argument("pack", type=Path, help="folder that training.pack wrote")
    p.add_argument("--config", type=Path, required=True, help="TOML file; its name is the model's")
    p.add_argument("--out", type=Path, required=True, help="folder of the results")
    p.add_argument("--minutes", type=number(0), required=True, help="time for all of it")
    p.add_argument("--workers", type=whole(0, 1024), default=2)
    p.add_argument("--threads", type=whole(1, 1024))
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    args = p.parse_args(argv)
    begun, name = time.monotonic(), args.config.stem
    run = args.out / name
    given = started(args.pack, run, args)
    if not (run / "last.safetensors").exists():
        code = train.main([*given, "--stop-after", str(TRIED)])
        if code:
            return code
    state = checkpoint.load(run / "last.safetensors", ("none.",))[1]
    pace = seconds_per_step(run / "log.csv", state["config"]["batch"])
    left = args.minutes * 60 - ENDING - (time.monotonic() - begun)
    steps = state["step"] + int(left / pace / SPARE)
    if steps <= state["step"]:
        raise ConfigError(f"{args.minutes} minutes are over after {state['step']} steps", "give more --minutes")
    print(f"{pace:.3f} s a step: {steps} steps", flush=True)
    code = train.main([*given, "--set", *args.set, f"steps={steps}"])
    if code:
        return code
    code = finish(args.pack, args.out, name)
    if code:
        return code
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes")
    return 0


def finish(pack: Path, out: Path, name: str) -> int:
    """Export a run and measure it; the exit code of what failed, which has said why, or 0."""
    commands = [
        [
            "export.to_onnx",
            "--checkpoint",
            out / name / "last.safetensors",
            "-o",
            out,
            "--name",
            name,
            "--graph",
            "transform",
            "--compact",
        ]
    ]
    if (pack / "bench").is_dir():
        commands.append(
            [
                "training.evaluate",
                "--bench",
                pack / "bench",
                "--list",
                "list.txt",
                "--model",
                out / f"{name}.onnx",
                "--json",
                out / "figures.json",
                "--workers",
                "2",
            ]
        )
    for command in commands:  # processes of their own: training does not import what exports it
        code = subprocess.run([sys.executable, "-m", *map(str, command)]).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
