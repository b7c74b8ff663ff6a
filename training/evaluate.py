"""Measure a model on a benchmark of composites with known truth.

    python -m training.evaluate --bench DIR --list FILE                          # the shipped model
    python -m training.evaluate --bench DIR --list FILE --model MODEL.onnx       # any exported transform graph
    python -m training.evaluate --bench DIR --list FILE --checkpoint RUN/last.safetensors
    python -m training.evaluate --bench iHarmony4 --list IHD_test.txt --size 256 --workers 8

Prints MSE, fMSE, PSNR, SSIM and the foreground's CIEDE2000 (see ``training.metrics``), overall and for each tag or
sub-set, with the untouched composite and the Reinhard baseline beside the model. Pictures are measured at their
stored size, as they are shipped through ``edge_harmony``; ``--size 256`` reads pictures down bilinearly and masks by
nearest neighbour first, as papers do. ``--save`` writes each result as PNG under its composite's name, ``--json``
everything that is printed and every picture's figures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony import contract
from edge_harmony.errors import EdgeHarmonyError, ModelError, SinkError, SourceError
from edge_harmony.run.arguments import Parser, whole
from edge_harmony.run.exit_code import exit_code
from edge_harmony.run.signals import children_without_signals
from edge_harmony.sinks.picture import write_picture
from training import report
from training.batches import outlive_signals
from training.data import read_mask, read_rgb
from training.ihdata import Composites, Item
from training.metrics import measure

Harmonize = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]]  # (composite BGR, mask) -> BGR


@dataclass(frozen=True)
class Job:
    """What a process needs to measure pictures; picklable."""

    model: Path | None
    checkpoint: Path | None
    size: int | None
    save: Path | None


def open_model(job: Job) -> tuple[Harmonize, dict[str, str]]:
    """The model under test as a function, and what the report says of it."""
    if job.checkpoint is not None:
        return open_checkpoint(job.checkpoint)
    from edge_harmony import load_harmonizer

    harmonizer = load_harmonizer(job.model, threads=1)
    about = {"model": str(harmonizer.model_path), "backend": harmonizer.backend}
    return harmonizer, about | {k: str(v) for k, v in (harmonizer.metadata or {}).items() if "tensor." not in k}


def open_checkpoint(path: Path) -> tuple[Harmonize, dict[str, str]]:
    """A checkpoint's averaged weights in PyTorch, applied by the runtime's code where it can, else by their head's."""
    import torch

    from edge_harmony.harmonize.transfer import apply_transform
    from training.checkpoint import load_generator, weights_digest
    from training.heads import CONTRACT_HEADS

    generator, state = load_generator(path)
    exportable = generator.config.head in CONTRACT_HEADS
    torch.set_num_threads(1)

    def harmonize(composite_bgr: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        view = contract.pack_view(contract.read_down(composite_bgr), contract.read_down(mask))
        with torch.inference_mode():
            prediction = generator(*(torch.from_numpy(np.ascontiguousarray(t)) for t in view))
            if exportable and prediction.shape == contract.TRANSFORM_SHAPE:
                return apply_transform(composite_bgr, mask, composite_bgr, prediction.numpy())
            rgb = torch.from_numpy(composite_bgr[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255)
            rendered = generator.head.render(rgb, prediction)[0].clamp(0, 1).numpy().transpose(1, 2, 0)[..., ::-1]
        share = mask[..., None].astype(np.float32) / 255
        return np.floor(composite_bgr + share * (rendered * 255 - composite_bgr) + 0.5).astype(np.uint8)

    about = {"checkpoint": str(path), "step": str(state.get("step", "")), "weights": weights_digest(generator)}
    return harmonize, about


def read_item(item: Item, size: int | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Composite and truth as RGB (H, W, 3), mask (H, W), all uint8 and of one size.

    Raises:
        SourceError: a file is no picture, or sizes differ.
    """
    composite, real, mask = read_rgb(item.composite), read_rgb(item.real), read_mask(item.mask)
    if not composite.shape[:2] == real.shape[:2] == mask.shape:
        raise SourceError(
            f"{item.composite.name} is {composite.shape[:2]}, its real image {real.shape[:2]}, its mask {mask.shape}",
            "composite, mask and real image must have one size",
        )
    if size is not None:
        composite, real = (cv2.resize(p, (size, size), interpolation=cv2.INTER_LINEAR) for p in (composite, real))
        mask = cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST)
    return composite, real, mask


class Evaluator:
    """Measures pictures one at a time with the model and the two baselines."""

    def __init__(self, job: Job) -> None:
        from edge_harmony.harmonize.statistics import reinhard

        cv2.setNumThreads(1)
        self.job = job
        model, self.about = open_model(job)
        self.methods: dict[str, Harmonize] = {
            report.COMPOSITE: lambda composite, mask: composite,
            report.REINHARD: reinhard,
            report.MODEL: model,
        }

    def __call__(self, item: Item) -> report.Row:
        composite, real, mask = read_item(item, self.job.size)
        row = report.Row(item.composite.name, item.group, float((mask > 127).mean()))
        composite_bgr = cv2.cvtColor(composite, cv2.COLOR_RGB2BGR)
        for name, method in self.methods.items():
            result_bgr = method(composite_bgr, mask)
            row.add(name, *measure(cv2.cvtColor(result_bgr, cv2.COLOR_BGR2RGB), real, mask))
            if name == report.MODEL and self.job.save is not None:
                write_picture(self.job.save / f"{item.composite.stem}.png", result_bgr, overwrite=True)
        return row


_GRACE_S: Final = 5  # for a picture that is under way
_evaluator: Evaluator | None = None  # one in each worker process


def _start(job: Job) -> None:
    global _evaluator
    _evaluator = Evaluator(job)


def _begin_worker(job: Job) -> None:
    outlive_signals(_GRACE_S)
    _start(job)


def _measure(item: Item) -> report.Row | EdgeHarmonyError:
    assert _evaluator is not None
    try:
        return _evaluator(item)
    except EdgeHarmonyError as e:
        return e  # as a value: our errors take two arguments and would not survive pickling when raised


def evaluate(items: Composites, job: Job, workers: int = 1) -> Iterator[report.Row]:
    """Measure every item, in the order in which they are done."""
    if workers <= 1:
        evaluator = Evaluator(job)
        yield from map(evaluator, items)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(items)), context, _begin_worker, (job,))
    try:
        with children_without_signals():  # one that dies while it reads its queue can leave this one waiting
            measured = [pool.submit(_measure, item) for item in items]
        for done in as_completed(measured):
            row = done.result()
            if isinstance(row, EdgeHarmonyError):
                raise row
            yield row
    except BrokenProcessPool:
        raise ModelError("a worker process died", "run again with --workers 1 to see why") from None
    finally:
        pool.shutdown(cancel_futures=True)


def parse(argv: list[str] | None) -> argparse.Namespace:
    p = Parser(prog="python -m training.evaluate", description=__doc__)
    p.add_argument("--bench", type=Path, required=True, help="folder with composite_images/, masks/, real_images/")
    p.add_argument("--list", type=Path, required=True, help="list file, in the bench or anywhere")
    p.add_argument("--model", type=Path, help="ONNX transform graph (default: the shipped model)")
    p.add_argument("--checkpoint", type=Path, help="checkpoint of a training run, instead of --model")
    p.add_argument("--save", type=Path, metavar="DIR", help="write every result as PNG")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    p.add_argument(
        "--size",
        type=whole(contract.MIN_FRAME_SIZE, 1 << 14),
        help="read pictures down to this square first (papers: 256)",
    )
    p.add_argument("--workers", type=whole(1, 1024), default=1, help="processes, one thread each")
    args = p.parse_args(argv)
    if args.model and args.checkpoint:
        p.error("give --model or --checkpoint, not both")
    return args


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise SinkError(f"cannot make the folder {path}: {e.strerror}", "choose one that you may write to") from None


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    items = Composites(args.bench, args.list)
    if args.save:
        make_folder(args.save)
    if args.json:
        make_folder(args.json.parent)
    job = Job(args.model, args.checkpoint, args.size, args.save)
    about: dict[str, Any] = {"bench": str(args.bench), "list": str(args.list), "size": args.size, **open_model(job)[1]}
    rows = list(report.progress(evaluate(items, job, args.workers), len(items)))
    rows.sort(key=lambda row: row.name)
    summary = report.summarise(rows)
    report.show(summary, about)
    if args.json:
        report.write_json(args.json, {**about, "summary": summary, "images": [row.to_dict() for row in rows]})
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
