"""``edge-harmony doctor``: what works here, what does not and why, and the one thing to do next.

``--json`` prints one object, whose fields stay as they are (``format`` changes otherwise; fields may be added)::

    {
      "format": "edge_harmony.doctor.1",
      "version": "0.1.0",            of edge_harmony
      "ready": true,                 the main job can run: our model on ONNX Runtime, on the CPU
      "next": "...",                 the one thing to do next, in words
      "probes": [                    always every probe, always in this order
        {
          "name": "OpenCV",          machine, Python, OpenCV, NumPy, compiled passes, ONNX Runtime, PyAV, models,
                                     main job, NVIDIA driver, GPU, CUDA toolkit, TensorRT, TensorRT-RTX, pycuda,
                                     engines, TensorRT backend, cameras, virtual cameras, display
          "status": "ok",            ok, absent (not there, not needed), warning (something is wrong, the main job
                                     does without) or failed (the main job needs it)
          "found": "4.11.0, ...",    what is there; "" for nothing
          "reason": "",              why the status is not ok; "" when it is
          "remedy": "",              what to do about it; "" for nothing
          "details": {...},          of this probe, for programs
          "duration_ms": 151.2
        }, ...
      ]
    }

Exit code: 0 when ``ready``, else 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from edge_harmony.run.arguments import Subparsers

if TYPE_CHECKING:
    from edge_harmony.doctor import Report

_DESCRIPTION = """\
Look at everything that decides what can run here: Python, OpenCV, ONNX Runtime, the GPU, TensorRT, cameras, the model
files. Each is tried by itself, in a process of its own, so that nothing that crashes can hide the rest. Nothing is
changed and no camera is opened.

The last line is the one thing to do next. The exit code is 0 when our model runs on the CPU, else 1.
"""

_EPILOG = """\
examples:
  edge-harmony doctor
  edge-harmony doctor --json
  edge-harmony doctor --model my_model.onnx
"""

_LOOKS = {"ok": ("ok", "green"), "absent": ("-", "dim"), "warning": ("!", "yellow"), "failed": ("FAILED", "bold red")}
_NARROWEST = 100  # columns of the table where the output is no terminal


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="what works on this machine, and what to do next",
        usage="edge-harmony doctor [--json] [--model FILE]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.add_argument("--model", metavar="FILE", help="try this model (default: the one of the package)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do it; the exit code says whether the main job can run."""
    from edge_harmony.doctor import diagnose

    report = diagnose(args.model)
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _print_table(report)
    return 0 if report.ready else 1


def _print_table(report: Report) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        _print_lines(report)
        return
    console = Console(width=None if sys.stdout.isatty() else _NARROWEST, highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in report.findings:
        mark, style = _LOOKS[finding.status]
        words = Text(finding.found)
        if finding.reason:
            words.append(f"{': ' if finding.found else ''}{finding.reason}", style if style != "dim" else "")
        if finding.remedy and finding.status in ("warning", "failed"):
            words.append(f"\nremedy: {finding.remedy}", "bold")
        table.add_row(Text(mark, style), finding.name, words)
    console.print(table)
    console.print()
    console.print(Text(f"next: {report.next_step}", "bold"), soft_wrap=True)


def _print_lines(report: Report) -> None:
    """Without rich, which may be what is missing."""
    for finding in report.findings:
        words = ": ".join(part for part in (finding.found, finding.reason) if part)
        print(f"{_LOOKS[finding.status][0]:<7}{finding.name:<17}{words}")
        if finding.remedy and finding.status in ("warning", "failed"):
            print(f"{'':24}remedy: {finding.remedy}")
    print(f"\nnext: {report.next_step}")
