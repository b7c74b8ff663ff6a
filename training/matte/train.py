"""Train the matte that ships as ``person``.

One CPU thread, data and network in one process:
    python -m training.matte.train --mattes PEOPLE MATTES --photos PHOTOS --labels LABELS --out runs/matte --threads 1
One GPU:
    python -m training.matte.train --mattes PEOPLE MATTES --photos PHOTOS --labels LABELS --out runs/matte --workers 8 \
      --set batch=64 lr=0.004

PEOPLE holds images/NAME.* and masks/NAME.png, MATTES alpha/NAME.png instead, PHOTOS real_images/NAME.*; LABELS is
written by ``python -m training.matte.teacher``. The run's folder gets last.safetensors (every --save-every steps and on
Ctrl-C), log.csv and preview pictures. The same command again resumes a run exactly, also after a kill; --set KEY=VALUE
overrides any setting (training/matte/config.py), e.g. --set steps=8000.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.errors import ConfigError
from edge_harmony.run.arguments import Parser, whole
from edge_harmony.run.exit_code import exit_code
from edge_harmony.run.signals import StopSignals
from training import checkpoint
from training.batches import batches
from training.device import choose_device
from training.matte.config import MatteLoss, read_run
from training.matte.initial import NORMALISED, begin
from training.matte.network import MatteNet
from training.matte.pictures import collect
from training.matte.samples import MatteSamples, RunSampler, to_float
from training.optimise import Optimisers
from training.settings import overrides


def losses(logits: Tensor, truth: Tensor, weights: MatteLoss) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and its terms, from logits and alphas (N, 1, S, S)."""
    alpha = torch.sigmoid(logits)
    shared, both = (alpha * truth).sum((1, 2, 3)), (alpha * alpha + truth * truth).sum((1, 2, 3))
    area = truth[0].numel()
    terms = {
        "cross_entropy": F.binary_cross_entropy_with_logits(logits, truth),
        "overlap": 1.0 - ((2.0 * shared + 0.005 * area) / (both + 0.005 * area)).mean(),
        "edges": sum(((alpha - truth).diff(dim=d).abs().mean() for d in (2, 3)), torch.zeros(())),
    }
    return torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum(), terms


def parse(argv: list[str] | None) -> argparse.Namespace:
    p = Parser(prog="python -m training.matte.train", description=__doc__)
    p.add_argument(
        "--mattes",
        type=Path,
        nargs="+",
        required=True,
        metavar="MATTES",
        help="folders with images/ and masks/ (drawn) or alpha/ (a teacher's)",
    )
    p.add_argument(
        "--photos",
        type=Path,
        nargs="+",
        required=True,
        metavar="PHOTOS",
        help="folders with real_images/ or unlabelled/",
    )
    p.add_argument("--labels", type=Path, help="folder of the photos' alphas, from training.matte.teacher")
    p.add_argument("--out", type=Path, required=True, help="the run's folder")
    p.add_argument("--config", type=Path, help="TOML file (training/matte/person.toml); default: the run's own")
    p.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override settings")
    p.add_argument("--init", type=Path, metavar="ONNX", help="start a new run from these weights: an exported matte")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument("--workers", type=whole(0, 1024), default=0, help="data processes; 0 makes samples in this one")
    p.add_argument("--threads", type=whole(1, 1024), help="threads of the network on a CPU (default: torch's choice)")
    p.add_argument("--bf16", action="store_true", help="bfloat16 on a CPU too: faster on one with AVX512-BF16 or AMX")
    p.add_argument("--compile", action="store_true", help="compile the network: see training.train")
    p.add_argument("--save-every", type=whole(1), default=300, metavar="STEPS")
    p.add_argument("--log-every", type=whole(1), default=50, metavar="STEPS")
    p.add_argument("--stop-after", type=whole(1), metavar="STEP", help="save and stop at this step; go on later")
    return p.parse_args(argv)


def write_preview(path: Path, batch: dict[str, Tensor], alpha: Tensor) -> None:
    """Rows of picture, previous alpha, alpha found, truth, for up to eight samples."""
    picture = batch["picture"]
    columns = (picture[:, :3], *(a.expand(-1, 3, -1, -1) for a in (picture[:, 3:], alpha, batch["alpha"])))
    rows = torch.cat(columns, 3)[:8]
    shown = (rows.permute(0, 2, 3, 1).reshape(-1, rows.shape[3], 3) * 255).byte().cpu().numpy()
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    device = choose_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)

    # --- settings, network, optimiser; all of it from last.safetensors where a run is resumed
    last = args.out / "last.safetensors"
    step, tensors, state = 0, {}, {}
    if last.exists():
        tensors, state = checkpoint.load(last)
        step = state["step"]
    with checkpoint.understood(last):
        stored = read_run(None, {}, state["config"]) if state else None
    run = read_run(args.config, overrides(args.set), state.get("config"))
    if stored is not None and stored.network != run.network:
        raise ConfigError(f"{last} is of another network", "choose another --out folder")
    torch.manual_seed(run.seed)
    net = MatteNet(run.network).to(device)
    net = net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimisers = Optimisers(net.named_parameters(), run.lr, run.weight_decay)
    if tensors:
        part = lambda prefix: {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}  # noqa: E731
        with checkpoint.understood(last):
            net.load_state_dict(part("model."))
            optimisers.load(part("optim."))

    def save() -> None:
        all_of_it = {f"model.{k}": v for k, v in net.state_dict().items()}
        all_of_it |= {f"ema.{k}": v for k, v in average.items()}
        all_of_it |= {f"optim.{k}": v for k, v in optimisers.state().items()}
        checkpoint.save(last, all_of_it, {"config": run.to_dict(), "step": step})

    # --- data: sample k of the run is always the same
    found = collect(args.mattes, args.photos, args.labels)
    data = MatteSamples(found, run.seed, run.augment)
    print(
        f"{len(found.shown)} pictures, {len(found.subjects)} people to cut out, {len(found.things)} things, "
        f"{len(found.backgrounds)} backgrounds",
        flush=True,
    )
    sampler = RunSampler(lambda position: run.size(position // run.batch), step * run.batch)
    made = batches(data, run.batch, sampler, args.workers, device)

    if args.init and not tensors:
        some = [data[position, run.size(0)]["picture"] for position in range(NORMALISED)]
        begin(net, args.init, torch.from_numpy(np.stack(some)).to(device).permute(0, 3, 1, 2).float() / 255)
    average = {k: v.detach().clone() for k, v in net.state_dict().items()}
    if tensors:
        with checkpoint.understood(last):
            average = {k: tensors[f"ema.{k}"].to(device).reshape(v.shape) for k, v in average.items()}
    predict = torch.compile(net.logits, dynamic=False) if args.compile else net.logits

    # --- the loop
    final = min(run.steps, args.stop_after or run.steps)
    sums: dict[str, float] = {}  # of the steps since the last row of the log
    summed = 0
    log = args.out / "log.csv"
    if not log.exists():
        args.out.mkdir(parents=True, exist_ok=True)
    since = time.monotonic()
    net.train()
    with StopSignals() as signals, contextlib.closing(made):
        while step < final and not signals.noted:
            batch = to_float(next(made), device)
            optimisers.set_rate(run.learning_rate(step))
            with torch.autocast(device.type, torch.bfloat16, enabled=args.bf16 or device.type == "cuda"):
                logits = predict(batch["picture"].contiguous(memory_format=torch.channels_last))
            total, terms = losses(logits.float(), batch["alpha"], run.loss)
            net.zero_grad(set_to_none=True)
            total.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), run.clip)
            if bool(torch.isfinite(norm)):
                optimisers.step()
            step += 1
            decay = min(run.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                for key, value in net.state_dict().items():
                    if value.is_floating_point():
                        average[key].lerp_(value, 1 - decay)
                found, truth = logits > 0, batch["alpha"] > 0.5
                union = (found | truth).sum((1, 2, 3))
                overlap = (found & truth).sum((1, 2, 3))[union > 0] / union[union > 0]
            for key, value in {"loss": total, **terms, "grad_norm": norm, "iou": overlap.mean()}.items():
                sums[key] = sums.get(key, 0.0) + float(value.detach())
            summed += 1
            if step % args.log_every == 0:
                row = {
                    "step": step,
                    **{k: f"{v / summed:.5g}" for k, v in sums.items()},
                    "lr": f"{run.learning_rate(step - 1):.3g}",
                    "samples_per_s": f"{summed * run.batch / (time.monotonic() - since):.1f}",
                }
                new = not log.exists()
                with log.open("a", newline="") as f:
                    writer = csv.DictWriter(f, list(row))
                    if new:
                        writer.writeheader()
                    writer.writerow(row)
                print("  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
                sums, summed, since = {}, 0, time.monotonic()
            if step % (10 * args.save_every) == 0:
                write_preview(args.out / "preview" / f"{step:06d}.png", batch, torch.sigmoid(logits.detach().float()))
            if step % args.save_every == 0 or step == final:
                save()
        asked = signals.take()
        if asked:
            save()
            print(f"stopped at step {step}; the same command goes on from {last}", file=sys.stderr)
    return 128 + asked if asked else 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
