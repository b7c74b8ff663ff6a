"""The full-resolution step against a plain float64 reference, in every layout and from several threads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.contract import IDENTITY
from edge_harmony.errors import ConfigError, MatteError, ModelError, SourceError
from edge_harmony.harmonize.transfer import apply_transform, packed
from edge_harmony.pixels.over import over
from tests.harmonize.reference import apply_reference, random_scene, random_transform


def difference(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.abs(found.astype(np.int16) - expected)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(64, 200),
    width=st.integers(64, 333),
    seed=st.integers(0, 2**32 - 1),
    strength=st.sampled_from([0.0, 0.31, 1.0]),
)
def test_equals_reference_within_a_code_value(height: int, width: int, seed: int, strength: float) -> None:
    foreground, alpha, background = random_scene(height, width, seed)
    transform = random_transform(seed)
    found = apply_transform(foreground, alpha, background, transform, strength, threads=1)
    off = difference(found, apply_reference(foreground, alpha, background, transform, strength))
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 1 + 1e-4 * off.size  # ties that float32 rounds the other way
    assert np.array_equal(found[alpha == 0], background[alpha == 0])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 4099), (1081, 65), (271, 1921), (136, 2048), (100, 1025)])
def test_equals_reference_at_extreme_shapes(height: int, width: int) -> None:
    foreground, alpha, background = random_scene(height, width, height)
    transform = random_transform(width)
    found = apply_transform(foreground, alpha, background, transform)
    assert difference(found, apply_reference(foreground, alpha, background, transform)).max() <= 1


@settings(max_examples=30, deadline=None)
@given(height=st.integers(64, 130), width=st.integers(64, 260), seed=st.integers(0, 2**32 - 1))
def test_without_strength_it_is_exact_compositing(height: int, width: int, seed: int) -> None:
    foreground, alpha, background = random_scene(height, width, seed)
    found = apply_transform(foreground, alpha, background, random_transform(seed), strength=0.0)
    assert np.array_equal(found, over(foreground, alpha, background))
    assert np.array_equal(apply_transform(foreground, alpha, background, IDENTITY), found)


def test_opaque_foreground_hides_the_background() -> None:
    foreground, _, background = random_scene(90, 111, 4)
    opaque = np.full((90, 111), 255, np.uint8)
    transform = random_transform(1)
    found = apply_transform(foreground, opaque, background, transform)
    assert np.array_equal(found, apply_transform(foreground, opaque, foreground, transform))
    assert np.array_equal(apply_transform(foreground, opaque, background, IDENTITY), foreground)


def test_each_coefficient_has_its_place() -> None:
    # out red = green, out green = half of blue, out blue = 0.2: one after another, in RGB.
    transform = np.zeros_like(IDENTITY)
    transform[0, 1] = 1.0
    transform[0, 6] = 0.5
    transform[0, 11] = 0.2
    frame = np.empty((64, 70, 3), np.uint8)
    frame[:] = (100, 150, 200)  # BGR
    found = apply_transform(frame, np.full((64, 70), 255, np.uint8), frame, transform)
    assert np.array_equal(found, np.broadcast_to(np.uint8([51, 50, 150]), found.shape))


@pytest.mark.parametrize("gain", [1e30, -1e30])
def test_extreme_transforms_are_clamped(gain: float) -> None:
    frame = np.full((64, 64, 3), 7, np.uint8)
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:32] = 0
    found = apply_transform(frame, alpha, frame, IDENTITY * np.float32(gain))
    assert (found[:32] == 7).all()
    assert (found[32:] == (255 if gain > 0 else 0)).all()


def layouts(array: np.ndarray) -> dict[str, np.ndarray]:
    """The same picture in other places in memory."""
    height, width = array.shape[:2]
    rest = array.shape[2:]
    canvas = np.zeros((height + 9, width + 5, *rest), np.uint8)
    canvas[3 : 3 + height, 2 : 2 + width] = array
    sparse = np.zeros((2 * height, 2 * width, *rest), np.uint8)
    sparse[::2, ::2] = array
    return {
        "a crop": canvas[3 : 3 + height, 2 : 2 + width],
        "upside down": np.ascontiguousarray(array[::-1])[::-1],
        "mirrored": np.ascontiguousarray(array[:, ::-1])[:, ::-1],
        "every second row and column": sparse[::2, ::2],
        "transposed": np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1),
        "planar": np.moveaxis(np.ascontiguousarray(np.moveaxis(array, -1, 0)), 0, -1),
        "channels reversed": np.ascontiguousarray(array[..., ::-1])[..., ::-1],
    }


@pytest.mark.parametrize("layout", layouts(np.zeros((64, 64, 3), np.uint8)))
def test_memory_layout_does_not_matter(layout: str) -> None:
    foreground, alpha, background = random_scene(71, 83, 5)
    transform = random_transform(9)
    expected = apply_transform(foreground, alpha, background, transform)
    strange = [layouts(array)[layout] for array in (foreground, alpha, background)]
    assert np.array_equal(strange[0], foreground)
    assert np.array_equal(apply_transform(*strange, transform), expected)
    out = layouts(np.zeros_like(foreground))[layout]
    around = out.base if out.base is not None else out
    before = int(around.sum())
    assert apply_transform(foreground, alpha, background, transform, out=out) is out
    assert np.array_equal(out, expected)
    assert int(around.sum()) - before == int(expected.sum())  # nothing beside it was written


def test_result_may_replace_an_input() -> None:
    foreground, alpha, background = random_scene(97, 203, 7)
    transform = random_transform(2)
    expected = apply_transform(foreground, alpha, background, transform)
    for place in ("foreground", "background"):
        scene = {"foreground": foreground.copy(), "background": background.copy()}
        out = apply_transform(scene["foreground"], alpha, scene["background"], transform, out=scene[place])
        assert out is scene[place]
        assert np.array_equal(out, expected)
    composite = foreground.copy()
    harmonized = apply_transform(foreground, alpha, foreground, transform)
    assert np.array_equal(apply_transform(composite, alpha, composite, transform, out=composite), harmonized)


def test_result_may_overlap_its_inputs() -> None:
    foreground, alpha, background = random_scene(80, 90, 8)
    transform = random_transform(3)
    expected = apply_transform(foreground, alpha, background, transform)
    memory = np.empty((90, 90, 3), np.uint8)
    memory[10:] = foreground
    assert np.array_equal(apply_transform(memory[10:], alpha, background, transform, out=memory[:80]), expected)
    memory[:80] = background
    assert np.array_equal(apply_transform(foreground, alpha, memory[:80], transform, out=memory[10:]), expected)


def test_inputs_are_left_alone() -> None:
    foreground, alpha, background = random_scene(80, 90, 10)
    transform = random_transform(3)
    copies = [array.copy() for array in (foreground, alpha, background, transform)]
    out = apply_transform(foreground, alpha, background, transform)
    assert all(np.array_equal(a, b) for a, b in zip((foreground, alpha, background, transform), copies, strict=True))
    assert not np.may_share_memory(out, background)
    read_only = [array.copy() for array in (foreground, alpha, background)]
    for array in read_only:
        array.setflags(write=False)
    assert np.array_equal(apply_transform(*read_only, transform), out)


def test_threads_do_not_change_the_result() -> None:
    foreground, alpha, background = random_scene(333, 127, 11)
    transform = random_transform(4)
    one, three = (apply_transform(foreground, alpha, background, transform, threads=n) for n in (1, 3))
    assert np.array_equal(one, three)


@pytest.mark.parametrize("channels", [1, 3])
def test_any_layout_is_gathered(channels: int) -> None:
    shape = (70, 91) if channels == 1 else (70, 91, 3)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for name, view in layouts(image).items():
        found = packed(view, 2)
        assert np.array_equal(found, image), name
        assert found is view or found.flags.c_contiguous
    if channels == 3:
        four = np.dstack([image, image[..., 0]])
        assert np.array_equal(packed(four[..., :3]), image)
        assert np.array_equal(packed(image[..., ::-1]), image[..., ::-1])
        assert packed(image[3:50, 7:40]).base is not None  # rows may lie anywhere: no copy


def test_many_callers_at_once() -> None:
    scenes = [random_scene(150 + 7 * i, 120 + 31 * i, i) for i in range(6)]
    transforms = [random_transform(i) for i in range(6)]
    expected = [apply_transform(*scene, t, threads=1) for scene, t in zip(scenes, transforms, strict=True)]

    def work(index: int) -> bool:
        found = [apply_transform(*scenes[index], transforms[index], threads=2) for _ in range(10)]
        return all(np.array_equal(frame, expected[index]) for frame in found)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))


@pytest.mark.skipif(sys.platform != "linux", reason="protects memory with Linux's mprotect")
def test_touches_nothing_beyond_the_arrays() -> None:
    # Frames that end where the process may not read: one byte too far kills it.
    script = """
import ctypes, mmap
import numpy as np
from edge_harmony.contract import IDENTITY
from edge_harmony.harmonize.transfer import apply_transform, packed

libc = ctypes.CDLL(None, use_errno=True)
kept = []

def at_the_edge(shape, at_end):
    size = int(np.prod(shape))
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, pages + 2 * mmap.PAGESIZE)
    kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (start, start + mmap.PAGESIZE + pages):
        assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    offset = mmap.PAGESIZE + (pages - size if at_end else 0)
    return np.frombuffer(memory, np.uint8, size, offset).reshape(shape)

for at_end in (False, True):
    for height, width in ((64, 64), (65, 71), (64, 127), (67, 1937)):
        foreground, background, out = (at_the_edge((height, width, 3), at_end) for _ in range(3))
        alpha = at_the_edge((height, width), at_end)
        alpha[:] = np.random.default_rng(width).integers(1, 256, alpha.shape)
        apply_transform(foreground, alpha, background, IDENTITY, out=out, threads=2)
import os
os._exit(0)  # the arrays must not be tidied up
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_works_in_a_forked_child() -> None:
    script = """
import os, numpy as np
from edge_harmony.contract import IDENTITY
from edge_harmony.harmonize.transfer import apply_transform, packed

frame, alpha = np.full((200, 200, 3), 90, np.uint8), np.full((200, 200), 255, np.uint8)
assert (apply_transform(frame, alpha, frame, IDENTITY, threads=3) == 90).all()
child = os.fork()
if child == 0:
    os._exit(0 if (apply_transform(frame, alpha, frame, IDENTITY, threads=3) == 90).all() else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_refuses_what_it_cannot_use() -> None:
    foreground, alpha, background = random_scene(70, 80, 1)
    transform = random_transform(1)
    for bad in (np.nan, np.inf):
        broken = transform.copy()
        broken[0, 5, 3, 3] = bad
        with pytest.raises(ModelError, match="NaN or infinity"):
            apply_transform(foreground, alpha, background, broken)
    with pytest.raises(ModelError, match="shape"):
        apply_transform(foreground, alpha, background, transform[0])
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="strength"):
            apply_transform(foreground, alpha, background, transform, strength)
    with pytest.raises(ConfigError, match="threads"):
        apply_transform(foreground, alpha, background, transform, threads=0)
    with pytest.raises(MatteError, match="80 x 69"):
        apply_transform(foreground, alpha[:-1], background, transform)
    with pytest.raises(SourceError, match="background is 79 x 70") as caught:
        apply_transform(foreground, alpha, background[:, :-1], transform)
    assert "fit" in caught.value.hint
    with pytest.raises(SourceError, match="out"):
        apply_transform(foreground, alpha, background, transform, out=np.empty((70, 81, 3), np.uint8))
    background.setflags(write=False)
    with pytest.raises(SourceError, match="read-only"):
        apply_transform(foreground, alpha, background, transform, out=background)
