"""Files that are read back (checkpoints, logs, calibration sets, sidecars, settings) are whole, or refused in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.config import load_config
from edge_harmony.contract import CONTRACT_VERSION
from edge_harmony.errors import EdgeHarmonyError, ModelError
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.engine_sidecar import EngineSidecar, Machine
from edge_harmony.settings import SETTINGS
from tests.attack.how_long import many
from tests.attack.mutations import mutations

REPOSITORY = Path(__file__).resolve().parents[2]


def tally(path: Path, tries: Iterable[bytes], use: Callable[[], object]) -> Counter[str]:
    """How often a file that is damaged was read, refused in words, or what else came of it."""
    counts: Counter[str] = Counter()
    for data in tries:
        path.write_bytes(data)
        try:
            use()
            counts["read"] += 1
        except EdgeHarmonyError as error:
            counts["refused" if error.message and error.hint else "refused without a hint"] += 1
        except Exception as error:
            counts[f"unexpected {type(error).__name__}"] += 1
    return counts


def assert_told_apart(counts: Counter[str], least: int) -> None:
    assert set(counts) <= {"read", "refused"}, counts
    assert counts["refused"] >= least, counts


def test_sidecars(tmp_path: Path) -> None:
    engine = tmp_path / "m.engine"
    engine.write_bytes(b"engine")
    whole = EngineSidecar(
        CONTRACT_VERSION, "transform", "base", "00", "base.onnx", "11", "fp16", "tensorrt", "10.3.0", ("87",), "Orin",
        "12.6", None, (1920, 1080), None, engine_sidecar.digest(engine), 6, None, "python -m export.build_engine", {},
    )  # fmt: skip
    path = engine_sidecar.write(engine, whole)
    assert engine_sidecar.check(engine, Machine("87", "Orin", {"tensorrt": "10.3.0"}), "00") == whole
    text = path.read_bytes()
    odd = [json.dumps({**json.loads(text), name: value}).encode()
           for name in asdict(whole) for value in (None, 1, "x", [], [1], {}, True, 1e300, [[]])]  # fmt: skip
    machine = Machine("87", "Orin", {"tensorrt": "10.3.0"})
    tries = [*odd, *mutations(text, many(300, 30_000))]
    counts = tally(path, tries, lambda: engine_sidecar.check(engine, machine, "00"))
    assert_told_apart(counts, 200)


def test_settings_in_toml(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    sections: dict[str, list[str]] = {}
    for one in SETTINGS.values():
        if one.in_file:
            sections.setdefault(one.section, []).append(f"{one.name} = {json.dumps(one.default)}")
    whole = "\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in sections.items()).encode()
    odd = [b"a = " + b"[" * 100_000, b"a = " + b"1" * 5_000, b"#" * 2_000_000, b"a" + b".a" * 50_000 + b" = 1",
           b"\x00", b"\xff\xfe", b"[output]\ncrf = 1e999", b"[stream]\nfps = nan"]  # fmt: skip
    counts = tally(path, [*odd, *mutations(whole, many(300, 30_000))], lambda: load_config(path))
    assert_told_apart(counts, 200)


@pytest.fixture(scope="module")
def generator_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="the training extra is not installed")
    from training import checkpoint
    from training.config import TrainConfig
    from training.generator import FusionGenerator, GeneratorConfig

    small = GeneratorConfig(8, (8, 8), (0, 0), context=(), decoder_depths=(0,), code_size=8, code_per_scale=8)
    tensors = {f"ema.{k}": v for k, v in FusionGenerator(small).state_dict().items()}
    path = tmp_path_factory.mktemp("checkpoint") / "c.safetensors"
    checkpoint.save(path, tensors, {"config": TrainConfig(generator=small).to_dict(), "step": 3})
    torch.set_num_threads(1)
    return path


def test_checkpoints(generator_checkpoint: Path, tmp_path: Path) -> None:
    from training import checkpoint

    whole, path = generator_checkpoint.read_bytes(), tmp_path / "c.safetensors"
    checkpoint.load_generator(generator_checkpoint)
    header = 8 + int.from_bytes(whole[:8], "little")
    tries = mutations(whole, many(300, 30_000), first=header)
    assert_told_apart(tally(path, tries, lambda: checkpoint.load_generator(path)), 200)


def test_checkpoints_whose_state_is_odd(generator_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from training import checkpoint

    tensors, state = checkpoint.load(generator_checkpoint)
    path = tmp_path / "c.safetensors"
    odd: list = [None, 1, [], "x", {}, {"config": {}, "step": 1}, {**state, "step": -1}, {**state, "step": 1.5}]
    for values in odd:
        save_file(tensors, path, {"format": checkpoint.FORMAT, "state": json.dumps(values)})
        with pytest.raises(ModelError) as error:
            checkpoint.load_generator(path)
        assert error.value.hint
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] * float("nan")}, path,
              {"format": checkpoint.FORMAT, "state": json.dumps(state)})  # fmt: skip
    with pytest.raises(ModelError, match="NaN"):
        checkpoint.load_generator(path)


def test_logs(tmp_path: Path) -> None:
    from training.run_log import earlier_rows

    path, aside = tmp_path / "log.csv", tmp_path / "log-damaged.csv"
    rows = "".join(f"{step},{1 / step:.6g},,1e-05\r\n" for step in range(1, 40))
    whole, found = b"step,loss,l1,lr\r\n" + rows.encode(), 0
    for data in [b"", b"\x00", b"loss\n1\n", *mutations(whole, many(300, 30_000))]:
        path.write_bytes(data)
        aside.unlink(missing_ok=True)
        kept = earlier_rows(path, 20)
        assert all(int(row["step"]) <= 20 for row in kept)
        if aside.exists():
            found += 1
            assert aside.read_bytes() == data
    assert found > 50
    path.write_bytes(whole)
    assert len(earlier_rows(path, 20)) == 20
    assert path.read_bytes() == whole


def test_calibration_sets(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the export extra is not installed")
    from calibration.shards import open_set, write_set

    view, mask = np.full((256, 256, 3), 90, np.uint8), np.full((256, 256), 255, np.uint8)
    made = write_set(tmp_path / "set", [(view, mask)], {"source": "none"})
    for name, first in (("manifest.json", None), (made.shards[0][0], 200)):
        path = tmp_path / "set" / name
        whole = path.read_bytes()
        tries = mutations(whole, many(150, 10_000), first=first)
        assert_told_apart(tally(path, tries, lambda: open_set(tmp_path / "set").verify()), 100)
        path.write_bytes(whole)
    open_set(tmp_path / "set").verify()


def test_ranges(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the export extra is not installed")
    from export.precision import _read_ranges

    path, whole = tmp_path / "r.json", json.dumps({f"layer{i}/Conv": 1.5 + i for i in range(9)}, indent=1).encode()
    odd = [b"[]", b"1", b'{"a": -1}', b'{"a": 1e999}', b'{"a": null}']
    assert_told_apart(tally(path, [*odd, *mutations(whole, many(300, 30_000))], lambda: _read_ranges(path)), 100)


def test_settings_of_training(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the training extra is not installed")
    from training.config import read_config

    path, whole = tmp_path / "s.toml", (REPOSITORY / "training" / "configs" / "base.toml").read_bytes()
    odd = [b"a = " + b"[" * 100_000, b"steps = " + b"1" * 5_000]
    tries = [*odd, *mutations(whole, many(300, 30_000))]
    assert_told_apart(tally(path, tries, lambda: read_config(path, {})), 150)
