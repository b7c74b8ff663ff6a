"""How a model bears what benchmarks leave out: wrong masks, noise, odd scenes, other sizes, nothing to do.

    python -m training.robustness --bench DIR --list FILE [--model MODEL.onnx | --checkpoint FILE] [--limit N]

One row for each condition: mean PSNR and fMSE of the untouched composite and of the result, both against the truth and
both over the true mask, whatever mask the model was given. Where the condition is a change of colours, the truth so
changed takes the stored composite's place. Then: how far an already harmonious picture is moved, and its colours (all,
those like skin, saturated ones); how far results at other sizes are from those at stored size; and results by the
foreground's share of the frame.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.over import over
from edge_harmony.run.arguments import Parser, whole
from edge_harmony.run.exit_code import exit_code
from training import augment
from training.evaluate import Harmonize, Job, open_model, read_item
from training.ihdata import Composites
from training.metrics import foreground_differences, lab, measure
from training.report import progress, write_json

Image = NDArray[np.uint8]
Scene = tuple[Image, Image, Image, Image]  # composite BGR, truth BGR, true mask, mask that the model is given

SIZES = (1024, 3840)  # longer side
AREAS: Final = (0.0, 0.05, 0.15, 0.35, 1.0)


def reached(mask: Image, pixels: int) -> Image:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    return (cv2.dilate if pixels > 0 else cv2.erode)(mask, kernel)


def shifted(mask: Image, pixels: int) -> Image:
    move = np.array([[1, 0, pixels], [0, 1, pixels]], np.float32)
    return cv2.warpAffine(mask, move, mask.shape[::-1], borderMode=cv2.BORDER_REPLICATE)


def with_holes(mask: Image, count: int = 6) -> Image:
    """Round holes at fixed random places of the foreground, each a hundredth of its area."""
    rows, columns = np.nonzero(mask > 127)
    out, rng = mask.copy(), np.random.default_rng(0)
    if len(rows):
        radius = max(1, round((len(rows) / 100 / np.pi) ** 0.5))
        for i in rng.integers(0, len(rows), count):
            cv2.circle(out, (int(columns[i]), int(rows[i])), radius, 0, -1)
    return out


def foreground_only(composite: Image, mask: Image, changed: Image) -> Image:
    return np.where(mask[..., None] > 127, changed, composite)


def compressed(image: Image, quality: int) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def noisy(image: Image, deviation: float) -> Image:
    noise = np.random.default_rng(0).normal(0, deviation, image.shape)
    return np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)


def soft(image: Image) -> Image:
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def sharp(image: Image) -> Image:
    return cv2.addWeighted(image, 1.6, soft(image), -0.6, 0.0)


def grey(image: Image) -> Image:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def night(image: Image) -> Image:
    """Three stops darker in linear light, and bluer."""
    linear = (image / 255.0) ** 2.2 * np.array([0.16, 0.125, 0.09])
    return (linear ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


def film_look(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """As films are, but made in another way than training's: S-curves, split toning, faded blacks. RGB 0..1."""
    steep = rng.uniform(0.6, 2.2, 3)
    curved = 0.5 + np.tanh((image - 0.5) * steep) / (2 * np.tanh(0.5 * steep))
    light = image.mean(2, keepdims=True)
    toned = curved + rng.uniform(-0.08, 0.08, 3) * (1 - light) ** 2 + rng.uniform(-0.08, 0.08, 3) * light**2
    fade = rng.uniform(0.02, 0.12)
    return (fade + (1 - fade) * toned).astype(np.float32)


def disturbed(change: Callable[..., NDArray[np.float32]], real: Image, mask: Image) -> Scene:
    """The truth with its subject changed, at random but the same every time, in place of the stored composite."""
    changed = change(rgb(real).astype(np.float32) / 255, np.random.default_rng(int(real.sum())))
    return foreground_only(real, mask, rgb((np.clip(changed, 0, 1) * 255 + 0.5).astype(np.uint8))), real, mask, mask


def cut_with_care(composite: Image, real: Image, mask: Image) -> Scene:
    """The subject, a little smaller and with a soft rim, before surroundings without a trace of it or its own.

    Benchmarks change a region of a photograph: its sliver of the surroundings changes with it, and the seam tells how.
    A subject from elsewhere has none.
    """
    hidden = (reached(mask, 3) > 127).astype(np.uint8)
    behind = cv2.inpaint(real, hidden, 3, cv2.INPAINT_TELEA)
    alpha = cv2.GaussianBlur(reached(mask, -2), (0, 0), 0.8)
    return over(composite, alpha, behind), over(real, alpha, behind), alpha, alpha


CONDITIONS: Final[dict[str, Callable[[Image, Image, Image], Scene]]] = {
    "as stored": lambda c, r, m: (c, r, m, m),
    "mask 3 px too large": lambda c, r, m: (c, r, m, reached(m, 3)),
    "mask 3 px too small": lambda c, r, m: (c, r, m, reached(m, -3)),
    "mask 3 px off": lambda c, r, m: (c, r, m, shifted(m, 3)),
    "mask blurred by 3 px": lambda c, r, m: (c, r, m, cv2.GaussianBlur(m, (0, 0), 3)),
    "mask with holes": lambda c, r, m: (c, r, m, with_holes(m)),
    "subject cut out with care": cut_with_care,
    "foreground JPEG 40": lambda c, r, m: (foreground_only(c, m, compressed(c, 40)), r, m, m),
    "foreground noise 6": lambda c, r, m: (foreground_only(c, m, noisy(c, 6)), r, m, m),
    "exposure": lambda c, r, m: disturbed(augment.exposure, r, m),
    "white balance": lambda c, r, m: disturbed(augment.white_balance, r, m),
    "haze": lambda c, r, m: disturbed(augment.haze, r, m),
    "film look, otherwise made": lambda c, r, m: disturbed(film_look, r, m),
    "soft scene": lambda c, r, m: (soft(c), soft(r), m, m),
    "sharpened scene": lambda c, r, m: (sharp(c), sharp(r), m, m),
    "grey scene": lambda c, r, m: (grey(c), grey(r), m, m),
    "night scene": lambda c, r, m: (night(c), night(r), m, m),
    "foreground alone grey": lambda c, r, m: (foreground_only(c, m, grey(c)), r, m, m),
}


def psnr(a: Image, b: Image) -> float:
    """Over the whole picture; 99 for equal ones."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def kinds_of_colour(pixels: Image) -> dict[str, NDArray[np.bool_]]:
    """Which of some RGB pixels (N, 3) are like skin, and which are saturated as brand colours are, (N,) each.

    By CIELAB: skin lies at hues of 25 to 75 degrees with a chroma of 12 to 45 and a lightness of 30 to 90, whoever's it
    is (and so do wood and sand); saturated is a chroma above 60.
    """
    lightness, a, b = lab(pixels).T
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a))
    skin = (hue > 25) & (hue < 75) & (chroma > 12) & (chroma < 45) & (lightness > 30) & (lightness < 90)
    return {"all": np.ones(len(pixels), bool), "like skin": skin, "saturated": chroma > 60}


def rgb(image: Image) -> Image:
    return np.ascontiguousarray(image[..., ::-1])


class Probe:
    """Collects the figures of one model, picture after picture."""

    def __init__(self, model: Harmonize, sizes: tuple[int, ...] | None = None) -> None:
        self.model, self.sizes = model, SIZES if sizes is None else sizes
        self.conditions: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in CONDITIONS}
        self.harmonious: list[float] = []
        self.drift: dict[str, list[NDArray]] = {}  # colour differences of harmonious pictures' foregrounds
        self.at_size: dict[int, list[tuple[float, float]]] = {size: [] for size in self.sizes}
        self.areas: list[tuple[float, float, float]] = []

    def add(self, composite: Image, real: Image, mask: Image) -> None:
        """One benchmark picture: uint8 BGR (H, W, 3) twice and its mask (H, W)."""
        stored = composite
        for name, make in CONDITIONS.items():
            seen, truth, true_mask, given = make(composite, real, mask)
            result = self.model(np.ascontiguousarray(seen), given)
            before = measure(rgb(seen), rgb(truth), true_mask)[0]
            after = measure(rgb(result), rgb(truth), true_mask)[0]
            self.conditions[name].append((before.psnr, before.fmse, after.psnr, after.fmse))
            if name == "as stored":
                stored = result
                self.areas.append((float((mask > 127).mean()), before.fmse, after.fmse))
        kept = self.model(real, mask)
        self.harmonious.append(psnr(kept, real))
        differences = foreground_differences(rgb(kept), rgb(real), mask)
        for name, chosen in kinds_of_colour(rgb(real)[mask > 127]).items():
            self.drift.setdefault(name, []).append(differences[chosen])
        reference = psnr(stored, real)
        for size in self.sizes:
            scale = size / max(mask.shape)
            large, large_mask = (
                cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) for p in (composite, mask)
            )
            small = cv2.resize(self.model(large, large_mask), mask.shape[::-1], interpolation=cv2.INTER_AREA)
            unchanged = cv2.resize(large, mask.shape[::-1], interpolation=cv2.INTER_AREA)
            moved = np.clip(composite.astype(int) + small - unchanged, 0, 255).astype(np.uint8)
            self.at_size[size].append((psnr(moved, real) - reference, psnr(moved, stored)))

    def summary(self) -> dict[str, Any]:
        """All figures, JSON-ready."""
        conditions = {
            name: dict(zip(("psnr_before", "fmse_before", "psnr", "fmse"), np.nanmean(rows, 0).tolist(), strict=True))
            for name, rows in self.conditions.items()
        }
        areas = []
        for low, high in pairwise(AREAS):
            rows = np.array([(b, a) for share, b, a in self.areas if low <= share < high])
            if len(rows):
                before, after = rows.mean(0).tolist()
                areas.append({"from": low, "to": high, "images": len(rows), "fmse_before": before, "fmse": after})
        return {
            "images": len(self.harmonious),
            "conditions": conditions,
            "harmonious": {
                "psnr": float(np.mean(self.harmonious)),
                "p5": float(np.percentile(self.harmonious, 5)),
                "least": float(np.min(self.harmonious)),
            },
            "drift": {
                name: dict(
                    zip(("p50", "p90", "p95", "p99"), np.percentile(together, (50, 90, 95, 99)).tolist(), strict=True)
                )
                for name, parts in self.drift.items()
                if len(together := np.concatenate(parts))
            },
            "sizes": {
                str(size): {
                    "psnr_change": float(np.mean([c for c, _ in rows])),
                    "psnr_to_stored": float(np.mean([p for _, p in rows])),
                }
                for size, rows in self.at_size.items()
            },
            "areas": areas,
        }


def show(summary: dict[str, Any]) -> None:
    """Print a summary as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 110)
    table = Table("condition", *("composite PSNR", "fMSE", "result PSNR", "fMSE", "ratio"))
    for name, row in summary["conditions"].items():
        table.add_row(
            name,
            f"{row['psnr_before']:.2f}",
            f"{row['fmse_before']:.0f}",
            f"{row['psnr']:.2f}",
            f"{row['fmse']:.0f}",
            f"{row['fmse'] / max(row['fmse_before'], 1e-9):.2f}",
        )
    console.print(table)
    h = summary["harmonious"]
    console.print(
        f"already harmonious: {h['psnr']:.2f} dB against itself (5 % below {h['p5']:.2f}, least {h['least']:.2f})"
    )
    for name, row in summary["drift"].items():
        console.print(
            f"  colours {name}: moved by ΔE2000 {row['p50']:.1f} (p50), {row['p90']:.1f} (p90), "
            f"{row['p95']:.1f} (p95), {row['p99']:.1f} (p99)"
        )
    for size, row in summary["sizes"].items():
        console.print(
            f"longer side {size}: {row['psnr_change']:+.3f} dB against the result at stored size, "
            f"from which it differs by {row['psnr_to_stored']:.1f} dB"
        )
    for row in summary["areas"]:
        console.print(
            f"foreground {row['from']:.0%} to {row['to']:.0%}: {row['images']} pictures, fMSE "
            f"{row['fmse_before']:.0f} -> {row['fmse']:.0f}"
        )


def main(argv: list[str] | None = None) -> int:
    p = Parser(prog="python -m training.robustness", description=__doc__)
    p.add_argument("--bench", type=Path, required=True, help="folder with composite_images/, masks/, real_images/")
    p.add_argument("--list", type=Path, required=True, help="list file, in the bench or anywhere")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="ONNX transform graph (default: the shipped model)")
    which.add_argument("--checkpoint", type=Path, help="checkpoint of a training run")
    p.add_argument("--limit", type=whole(1), metavar="N", help="the first N pictures only")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    args = p.parse_args(argv)
    cv2.setNumThreads(1)
    items = list(Composites(args.bench, args.list))[: args.limit]
    probe = Probe(open_model(Job(args.model, args.checkpoint, None, None))[0])
    for item in progress(items, len(items)):
        composite, real, mask = read_item(item, None)
        probe.add(rgb(composite), rgb(real), mask)
    summary = probe.summary()
    show(summary)
    if args.json:
        write_json(args.json, summary)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
