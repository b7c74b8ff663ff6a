"""Train the fusion generator.

One CPU (two data workers, one thread for the network):
    python -m training.train --data PHOTOS --out runs/base --threads 1 --workers 2
One GPU (automatic mixed precision):
    python -m training.train --data PHOTOS --out runs/base --set batch=32
Several GPUs, or several CPU processes:
    torchrun --standalone --nproc-per-node 4 -m training.train --data PHOTOS --out runs/base --set batch=64
Several machines (the same on each, with its own --node-rank; nothing need be shared; on CPUs GLOO_SOCKET_IFNAME=eth0):
    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 4 --master-addr HOST --master-port 29500 \\
        -m training.train --data PHOTOS --out runs/base --set batch=64
iHarmony4:
    python -m training.train --bench iHarmony4 --list IHD_train.txt --out runs/ihd

PHOTOS holds real_images/NAME.* and masks/NAME.png. The run's folder gets last.safetensors (written every --save-every
steps and on Ctrl-C), log.csv, TensorBoard events and preview pictures. The same command again resumes a run exactly,
also after a kill; --set KEY=VALUE overrides any setting of the configuration, e.g. --set steps=80000.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import cast

import cv2
import torch
import torch.distributed as dist
from torch import Tensor, nn

from edge_harmony.errors import ConfigError, SinkError
from edge_harmony.run.arguments import Parser, whole
from edge_harmony.run.exit_code import exit_code
from edge_harmony.run.signals import StopSignals
from training import checkpoint, losses
from training.batches import batches
from training.config import TrainConfig, read_config
from training.data import EpochSampler, PairedComposites, PhotoComposites, collate, to_float
from training.device import choose_device
from training.initial import begin
from training.objective import Objective
from training.optimise import Optimisers
from training.processes import Processes, code_version, file_digest, text_digest
from training.run_log import Log, write_preview
from training.settings import overridden, overrides


def parse(argv: list[str] | None) -> argparse.Namespace:
    p = Parser(prog="python -m training.train", description=__doc__)
    p.add_argument(
        "--data",
        type=Path,
        nargs="+",
        metavar="PHOTOS",
        help="folders with real_images/ and masks/: composites are made on the fly",
    )
    p.add_argument(
        "--subjects",
        type=Path,
        nargs="+",
        default=[],
        metavar="PHOTOS",
        help="more such folders, whose masks are whole subjects: cut out more often (augment.cutouts)",
    )
    p.add_argument("--looks", type=Path, metavar="NPZ", help="films and measured lights; see training/looks.py")
    p.add_argument("--bench", type=Path, help="folder in iHarmony4's layout, instead of --data")
    p.add_argument("--list", type=Path, help="list file of --bench")
    p.add_argument("--out", type=Path, required=True, help="the run's folder")
    p.add_argument("--config", type=Path, help="TOML file; see training/configs")
    p.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override settings, e.g. loss.contrast=0 steps=80000",
    )
    p.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="start a new run from these weights: a checkpoint, or an exported model such as "
        "edge_harmony/models/base.onnx; a generator that is wider or deeper grows out of them",
    )
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument("--workers", type=whole(0, 1024), default=2, help="data processes for each training process")
    p.add_argument("--threads", type=whole(1, 1024), help="threads of the network on a CPU (default: torch's choice)")
    p.add_argument(
        "--bf16",
        action="store_true",
        help="bfloat16: on a GPU instead of half precision, on a CPU where it has AVX512-BF16 or AMX",
    )
    p.add_argument(
        "--compile",
        action="store_true",
        help="compile the network with its loss: minutes at the start, then steps take two thirds of the "
        "time (needs a C++ compiler)",
    )
    p.add_argument("--cache", action="store_true", help="keep decoded photos in memory")
    p.add_argument("--save-every", type=whole(1), default=1000, metavar="STEPS")
    p.add_argument("--preview-every", type=whole(1), default=2000, metavar="STEPS")
    p.add_argument("--log-every", type=whole(1), default=50, metavar="STEPS")
    p.add_argument("--stop-after", type=whole(1), metavar="STEP", help="save and stop at this step; go on later")
    args = p.parse_args(argv)
    if (args.data is None) == (args.bench is None) or (args.bench is None) != (args.list is None):
        p.error("give either --data, or --bench with --list")
    return args


def leave_the_others() -> None:
    with contextlib.suppress(Exception):
        dist.destroy_process_group()


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    # --- processes and device
    ranks, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = choose_device(args.device)
    if ranks > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if args.threads:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    processes = Processes(ranks, rank)

    # --- configuration, model, optimiser; all of it from last.safetensors of process 0 where a run is resumed
    last = args.out / "last.safetensors"
    step, changes, stored_scale = 0, overrides(args.set), {}
    config = processes.together(lambda: read_config(args.config, changes))
    tensors, state = processes.from_first(lambda: checkpoint.load(last) if last.exists() else ({}, {}))
    processes.agree(
        {
            "code": code_version(),
            "configuration": {**config.to_dict(), "from a file": args.config is not None},
            "--stop-after": args.stop_after,
            "--bf16": args.bf16,
            "--compile": args.compile,
            "device": device.type,
            "--init": processes.together(lambda: file_digest(None if tensors else args.init)),
            "--looks": processes.together(lambda: file_digest(args.looks)),
        }
    )
    if tensors:
        step, stored_scale = state["step"], state.get("scaler", {})
        with checkpoint.understood(last):
            stored = overridden(state["config"], {}, TrainConfig)
        if args.config is None:  # the run's own settings, with --set on top
            config = overridden(stored.to_dict(), changes, TrainConfig)
        if config.generator != stored.generator:
            raise ConfigError(f"{last} is of another generator", "choose another --out folder")
    if config.batch % ranks:
        raise ConfigError(f"batch {config.batch} does not divide over {ranks} processes", "set batch to a multiple")
    torch.manual_seed(config.seed)
    objective = Objective(config).to(device)
    objective = objective.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if args.init and not tensors:
        processes.together(lambda: begin(objective.generator, args.init))
    if objective.contrast is not None:  # before a stored critic is read, which saw the start of its own run
        objective.contrast.watch(objective.generator.encoder)
    generator = objective.generator
    average = {k: v.detach().clone() for k, v in generator.state_dict().items()}
    optimisers = Optimisers(objective.named_parameters(), config.lr, config.weight_decay, config.muon)

    def gather() -> dict[str, Tensor]:
        out = {f"model.{k}": v for k, v in generator.state_dict().items()}
        out |= {f"ema.{k}": v for k, v in average.items()}
        if objective.contrast is not None:
            out |= {f"contrast.{k}": v for k, v in objective.contrast.state_dict().items()}
        if objective.semantics is not None:
            out |= {f"semantics.{k}": v for k, v in objective.semantics.state_dict().items()}
        return out | {f"optim.{k}": v for k, v in optimisers.state().items()}

    def run_state() -> dict:
        return {"config": config.to_dict(), "step": step, "scaler": scaler.state_dict()}

    if tensors:
        part = lambda prefix: {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}  # noqa: E731
        with checkpoint.understood(last):
            generator.load_state_dict(part("model."))
            if objective.contrast is not None:
                objective.contrast.load_state_dict(part("contrast."))
            if objective.semantics is not None:
                objective.semantics.load_state_dict(part("semantics."))
            held = part("ema.")
            average = {k: held[k].to(device).reshape(v.shape) for k, v in average.items()}
            optimisers.load(part("optim."))
    wrapped: nn.Module = objective
    if ranks > 1:
        wrapped = nn.parallel.DistributedDataParallel(objective, [device.index] if device.type == "cuda" else None)
    if args.compile:  # one form for each size of samples
        wrapped = cast(nn.Module, torch.compile(wrapped, dynamic=False))
    mixed = args.bf16 or device.type == "cuda"  # half precision on a GPU, bfloat16 where it is asked for
    kind = torch.bfloat16 if args.bf16 or device.type == "cpu" else torch.float16
    scaler = torch.amp.GradScaler(device.type, enabled=mixed and kind == torch.float16)  # bfloat16 needs none
    if stored_scale:
        with checkpoint.understood(last):
            scaler.load_state_dict(stored_scale)

    # --- data: sample k of the run is always the same, whoever makes it
    def read_data() -> PhotoComposites | PairedComposites:
        if args.data is not None:
            return PhotoComposites(args.data, config.seed, config.augment, args.cache, args.subjects, args.looks)
        return PairedComposites(args.bench, args.list, config.seed, config.augment.mask_errors)

    data = processes.together(read_data)
    pictures = [p for p, _ in data.pairs] if isinstance(data, PhotoComposites) else [i.composite for i in data.items]
    names = [picture.name for picture in pictures]
    processes.agree({"list of photos": f"{len(names)} photos, {text_digest(names)}"})

    def size_at(position: int) -> int:
        return config.size(position // config.batch)

    sampler = EpochSampler(len(data), config.seed, size_at, step * config.batch, rank, ranks)
    made = batches(data, config.batch // ranks, sampler, args.workers, device, collate)

    # --- the loop
    def agreed_stop() -> bool:
        """Whether any process was asked to stop: all must leave the loop at the same step."""
        if ranks == 1:
            return signals.noted
        flag = torch.tensor([int(signals.noted)], device=device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    final = min(config.steps, args.stop_after or config.steps)
    bar, task = None, None

    def open_log() -> Log:
        try:
            args.out.mkdir(parents=True, exist_ok=True)
            return Log(args.out, step)
        except OSError as e:
            raise SinkError(f"cannot write to {args.out}: {e.strerror}", "choose another --out folder") from None

    log = processes.together(lambda: open_log() if rank == 0 else None)
    if rank == 0:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("step"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            disable=not sys.stderr.isatty(),
        )
        bar.start()
        task = bar.add_task("", total=config.steps, completed=step, figures="")
    sums: dict[str, float] = {}  # of the steps since the last row of the log
    summed = 0
    since, stop = time.monotonic(), False
    wrapped.train()
    with contextlib.ExitStack() as ending:
        signals = ending.enter_context(StopSignals())
        ending.callback(made.close)
        if ranks > 1:
            ending.callback(leave_the_others)
        if log is not None and bar is not None:
            ending.callback(log.close)
            ending.callback(bar.stop)
        while step < final and not (stop := agreed_stop()):
            batch = to_float(next(made), device)
            torch.manual_seed(hash((config.seed, step, rank)) & 0x7FFFFFFF)  # what the loss draws: no state to store
            optimisers.set_rate(config.learning_rate(step))
            contrast = config.loss.contrast if step >= config.loss.contrast_warmup else 0.0
            with torch.autocast(device.type, kind, enabled=mixed):
                total, terms, output = wrapped(batch, contrast)
            objective.zero_grad(set_to_none=True)
            scaler.scale(total).backward()
            for optimiser in optimisers.all:
                scaler.unscale_(optimiser)
            norm = nn.utils.clip_grad_norm_(generator.parameters(), config.clip)  # a critic is none of its business
            if scaler.is_enabled() or bool(torch.isfinite(norm)):
                for optimiser in optimisers.all:
                    scaler.step(optimiser)
            scaler.update()
            step += 1
            decay = min(config.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                for key, value in generator.state_dict().items():
                    average[key].lerp_(value, 1 - decay)

            figures = {
                "loss": total,
                **terms,
                "grad_norm": norm,
                "fg_psnr": losses.foreground_psnr(output.detach(), batch["real"], batch["mask"]),
            }
            for key, value in figures.items():
                sums[key] = sums.get(key, 0.0) + float(value.detach())
            summed += 1
            if rank == 0 and log and bar is not None and task is not None:
                if step % args.log_every == 0:
                    means = {k: v / summed for k, v in sums.items()}
                    rate = summed * config.batch / (time.monotonic() - since)
                    log.write(step, {**means, "lr": config.learning_rate(step - 1), "samples_per_s": rate})
                    bar.update(task, completed=step, figures=f"loss {means['loss']:.4f}  fg {means['fg_psnr']:.2f} dB")
                if step % args.preview_every == 0:
                    write_preview(args.out / "preview" / f"{step:07d}.png", batch, output.detach())
                if step % args.save_every == 0 or step == final:
                    checkpoint.save(last, gather(), run_state())
            if step % args.log_every == 0:
                sums, summed, since = {}, 0, time.monotonic()
        if stop and rank == 0:
            checkpoint.save(last, gather(), run_state())
            print(f"stopped at step {step}; the same command goes on from {last}", file=sys.stderr)
        if ranks > 1:
            dist.barrier()  # one that leaves while the other still talks to it can bring it down
        asked = signals.take()
    return 128 + (asked or signal.SIGINT) if stop else 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
