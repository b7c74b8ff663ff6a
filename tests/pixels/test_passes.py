"""The compiled passes as a library: built, loaded, the same on every kind of processor."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.contract import IDENTITY
from edge_harmony.errors import BackendUnavailableError
from edge_harmony.harmonize.transfer import apply_transform
from edge_harmony.pixels import passes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch):
    """Load anew in this test, and again after it."""
    passes.load.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    passes.load.cache_clear()


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    foreground, background = rng.integers(0, 256, (2, 71, 213, 3), np.uint8)
    alpha = rng.integers(0, 256, (71, 213), np.uint8)
    alpha[:20], alpha[:, 100:140] = 0, 255
    transform = (IDENTITY + rng.normal(0, 0.1, IDENTITY.shape)).astype(np.float32)
    return foreground, alpha, background, transform


def test_missing_library_is_an_error_that_says_what_to_do(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setattr(passes, "_FOLDER", tmp_path)
    foreground, alpha, background, transform = scene(0)
    with pytest.raises(BackendUnavailableError, match="missing") as caught:
        apply_transform(foreground, alpha, background, transform)
    assert "pip install" in caught.value.hint


def test_library_of_other_sources_is_not_used(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "native", tmp_path / "native")
    fresh.setattr(passes, "_SOURCES", tmp_path / "native")
    assert passes.load()
    with (tmp_path / "native" / "yuv.c").open("a") as file:
        file.write("/* changed */\n")
    passes.load.cache_clear()
    with pytest.raises(BackendUnavailableError, match="older than their source"):
        passes.load()


def test_file_that_is_no_library_is_named(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = passes.library_path(1)
    assert path is not None
    (tmp_path / path.name).write_bytes(b"not a library")
    fresh.setattr(passes, "_FOLDER", tmp_path)
    with pytest.raises(BackendUnavailableError, match="cannot be loaded"):
        passes.load()


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the processor's abilities are read from /proc/cpuinfo")
def test_level_is_what_the_system_says_of_the_processor() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    expected = 1
    if {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"} <= flags:
        expected = 4 if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags else 3
    assert ctypes.CDLL(str(passes.library_path(1))).processor_level() == expected
    assert f"_v{expected}_" in Path(passes.load()._name).name


def every_pass() -> list[np.ndarray]:
    """Results of all passes on made-up pictures, each uint8."""
    foreground, alpha, background, transform = scene(1)
    height, width = 64, 212
    rng = np.random.default_rng(2)
    results = [apply_transform(foreground, alpha, background, transform, threads=1)]
    luma, u, v = rng.integers(0, 256, (height, width), np.uint8), *rng.integers(0, 256, (2, 32, 106), np.uint8)
    picture, scratch = np.empty((height, width, 3), np.uint8), np.empty(passes.read_scratch(width), np.uint8)
    planes = [n for p in (luma, u) for n in (passes.address(p), p.strides[0])]
    passes.read_rows(height, width, *planes[:3], passes.address(v), planes[3], passes.address(picture), 3 * width,
                     passes.address(scratch), 9539, -4743, 17305, -1745, -4366, 14686, 1, 1)  # fmt: skip
    results.append(picture)
    y, c, d = np.empty_like(luma), np.empty_like(u), np.empty_like(v)
    passes.write_rows(height, width, passes.address(picture), 3 * width, passes.address(y), width, passes.address(c),
                      passes.address(d), 106, passes.address(np.empty(passes.write_scratch(width), np.uint8)), 2113,
                      2032, 20127, 5983, 14392, -11094, -3298, -1321, -13071, 14392)  # fmt: skip
    results += [y, c, d]
    field, cover = rng.normal(0, 0.4, (9, 27, 4)).astype(np.float32), alpha.copy()
    passes.snap_rows(0, 71, field, rng.random((9, 27)) > 0.3, foreground, 1.3, cover)
    results.append(cover)
    fore, back = rng.uniform(0, 255, (2, 18, 54, 3)).astype(np.float32)
    for known in (None, background):
        unmixed = foreground.copy()
        passes.unmix_rows(0, 71, foreground, alpha, fore, back, known, unmixed)
        results.append(unmixed)
    along, across = np.float32([-0.5, 1.0, -0.5]), np.float32([0.3, 0.0, -0.3])
    keyed, screen = np.empty_like(alpha), rng.uniform(40, 90, (5, 14)).astype(np.float32)
    passes.key_rows(0, 71, foreground, along, across, screen, 0.1, 300.0, keyed)
    cleaned = foreground.copy()
    passes.despill_rows(0, 71, cleaned, alpha, along, across, np.float32([0.2, 0.9, 0.3]))
    results += [keyed, cleaned]
    lit, light = background.copy(), rng.integers(0, 256, (8, 26, 3), np.uint8)
    passes.add_light(0, 64, lit, alpha, light, rng.integers(0, 256, (8, 26), np.uint8), 0, 2, 8, 0.7)
    grained = background.copy()
    tile, gains = rng.normal(0, 1, (32, 32)).astype(np.float32), rng.uniform(0, 0.05, 256).astype(np.float32)
    passes.add_grain(0, 71, grained, alpha, 5, 200, tile[:, ::-1], 7, 9, gains)
    return [*results, lit, grained]


def test_every_build_gives_the_same_but_for_rounding(fresh: pytest.MonkeyPatch) -> None:
    reference = every_pass()
    best = ctypes.CDLL(str(passes.library_path(1))).processor_level()
    built = [level for level in (1, 3, 4) if passes.library_path(level) and level <= best]
    for level in built:
        path = passes.library_path(level)
        fresh.setattr(passes, "library_path", lambda _, only=path: only)
        passes.load.cache_clear()
        for ours, theirs in zip(every_pass(), reference, strict=True):
            difference = np.abs(ours.astype(int) - theirs)
            assert difference.max() <= 1
            assert np.mean(difference > 0) < 0.001
        fresh.undo()
    assert len(built) >= (best > 1) + 1


@pytest.mark.slow
def test_another_compiler_can_build_it(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no gcc or clang here")
    pytest.importorskip("setuptools.command.bdist_wheel", reason="needs setuptools 70.1, as pip brings it for a build")
    reference = every_pass()
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(tmp_path / "lib"), "--build-temp",
         str(tmp_path / "temp")],
        cwd=ROOT, env=dict(os.environ, CC=compiler), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fresh.setattr(passes, "_FOLDER", tmp_path / "lib" / "edge_harmony" / "pixels")
    passes.load.cache_clear()
    for ours, theirs in zip(every_pass(), reference, strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_arrays_that_are_not_contiguous_or_of_another_kind_are_refused() -> None:
    plane = np.zeros((8, 8), np.uint8)
    three = np.ones(3, np.float32)
    with pytest.raises(TypeError, match="contiguous"):
        passes.despill_rows(0, 8, np.zeros((8, 16, 3), np.uint8)[:, ::2], plane, three, three, three)
    with pytest.raises(TypeError, match="float32"):
        passes.despill_rows(0, 8, np.zeros((8, 8, 3), np.uint8), plane, three.astype(float), three, three)


@pytest.mark.slow
def test_build_for_arm_gives_the_same_but_for_rounding(tmp_path: Path) -> None:
    emulator = shutil.which("qemu-aarch64")
    if platform.machine() != "x86_64" or emulator is None or importlib.util.find_spec("ziglang") is None:
        pytest.skip("needs x86-64, qemu-aarch64 (apt install qemu-user) and a compiler for ARM (pip install ziglang)")
    results = []
    for target, run in (("x86_64-linux-musl", []), ("aarch64-linux-musl", [emulator])):
        program = tmp_path / target
        sources = [*(ROOT / "native").glob("*.c"), ROOT / "tests" / "pixels" / "passes_driver.c"]
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-O3", "-ffp-contract=fast",
                   "-fno-math-errno", "-fno-trapping-math", "-fno-sanitize=undefined", "-static",
                   "-I", str(ROOT / "native"), *map(str, sources), "-o", str(program)]  # fmt: skip
        subprocess.run(command, check=True)
        done = subprocess.run([*run, str(program)], check=True, capture_output=True)
        results.append(np.frombuffer(done.stdout, np.uint8).astype(int))
    difference = np.abs(results[0] - results[1])
    assert len(difference) > 300_000
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.001
