"""The C library gives what the Python Compositor gives, to a code value, whatever happened before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_harmony.compose.compositor import Compositor
from edge_harmony.compose.grain import _size_ratios, _tile
from edge_harmony.harmonize.onnxruntime import OnnxRuntimeHarmonizer
from edge_harmony.matte.person import PersonMatte
from tests.native import binding
from tests.native.binding import Stream, image_of
from tests.native.conftest import ROOT
from tests.native.scenes import shot, textured
from tests.scenes import soft_disc


@pytest.fixture
def harmonizer(models: Path) -> OnnxRuntimeHarmonizer:
    return OnnxRuntimeHarmonizer(models / "nano.onnx", threads=2)


@pytest.fixture
def stream(library: Any, models: Path, onnxruntime_path: Path) -> Any:
    opened = Stream(library, model_path=models / "nano.onnx", onnxruntime_path=onnxruntime_path, threads=2)
    yield opened
    opened.close()


def largest(made: Any, expected: Any) -> int:
    return int(cv2.absdiff(made, expected).max())


def assert_alike(made: Any, expected: Any, grain: bool = False) -> None:
    """Within a code value. Where the two were built by different compilers, one pixel in a million is a value apart
    before grain is added; grain depends on brightness, and may then round the other way too."""
    off = cv2.absdiff(made, expected)
    assert off.max() <= (2 if grain else 1)
    assert np.count_nonzero(off > 1) <= 3 + off.size / 1e6


@pytest.mark.parametrize(
    ("settings", "own"),
    [
        ({}, {}),
        ({binding.SMOOTHING: 0.0, binding.STRENGTH: 0.4}, {"smoothing": 0.0, "strength": 0.4}),
        ({binding.LIGHT_WRAP: 0.7, binding.GRAIN: 1.0}, {"light_wrap": 0.7, "grain": 1.0}),
    ],
)
def test_made_frames_with_all_state(
    stream: Stream, harmonizer: OnnxRuntimeHarmonizer, settings: dict[int, float], own: dict[str, float]
) -> None:
    compositor = Compositor(harmonizer, **own)
    for setting, value in settings.items():
        stream.set(setting, value)
    plain = 0
    for frame, alpha, background, seconds in shot():
        expected = compositor.process(frame, alpha, background, pts_s=seconds)
        out = np.empty_like(frame)
        stream.process(image_of(frame), image_of(alpha), image_of(background), image_of(out), seconds)
        assert_alike(out, expected, grain="grain" in own)
        np.testing.assert_allclose(stream.transform(), compositor.transform, atol=1e-5)
        assert np.array_equal(out[alpha == 0], background[alpha == 0])
        plain += largest(out, compositor.composite(frame, alpha, background)) > 4
    assert plain > 20, "the scenes ask for no change of colour"
    assert stream.reused == compositor.reused
    assert own.get("smoothing") == 0.0 or compositor.reused > 5


def test_grain_is_added_and_is_the_same(stream: Stream, harmonizer: OnnxRuntimeHarmonizer) -> None:
    rng = np.random.default_rng(3)
    frame = np.full((300, 400, 3), 120, np.uint8)
    alpha = soft_disc((300, 400), 110, 3.0)
    for blur in (0.0, 0.7, 1.2):
        noise = rng.standard_normal((300, 400, 1)) * 30.0
        noise = cv2.GaussianBlur(noise, (0, 0), blur)[..., None] if blur else noise
        background = np.clip(128 + noise + np.zeros(3), 0, 255).astype(np.uint8)
        compositor = Compositor(harmonizer, grain=1.0)
        stream.reset()
        for amount in (0.0, 1.0):
            stream.set(binding.GRAIN, amount)
            compositor.grain = amount
            outs = []
            for _ in range(3):
                expected = compositor.process(frame, alpha, background)
                out = np.empty_like(frame)
                stream.process(image_of(frame), image_of(alpha), image_of(background), image_of(out))
                assert_alike(out, expected, grain=True)
                outs.append(out)
            inside = outs[0][alpha == 255].std()
            assert inside > 3.0 if amount else inside < 2.0
            assert not amount or not np.array_equal(outs[0], outs[1]), "each frame has its own grain"


def test_grain_constants_are_those_of_the_python_package() -> None:
    text = (ROOT / "native" / "library" / "grain.c").read_text()
    for values in (_size_ratios(), [_tile(blur, 0)[1] for blur in (0.0, 0.4, 0.55, 0.7, 0.9, 1.2)]):
        for value in values:
            assert repr(value)[:15] in text


def test_backgrounds_of_another_size_are_fitted(stream: Stream, harmonizer: OnnxRuntimeHarmonizer) -> None:
    rng = np.random.default_rng(5)
    frame = textured(rng, 180, 320)
    alpha = soft_disc((180, 320), 60, 5.0)
    for size in ((360, 640), (120, 131), (401, 333), (1000, 90)):
        background = textured(rng, *size, grain=3.0)
        for number, mode in enumerate(("cover", "contain", "stretch")):
            compositor = Compositor(harmonizer, fit=mode)
            stream.reset()
            stream.set(binding.FIT, number)
            expected = compositor.process(frame, alpha, background)
            out = np.empty_like(frame)
            stream.process(image_of(frame), image_of(alpha), image_of(background), image_of(out))
            assert largest(out, expected) <= 1, (size, mode)


def test_a_still_background_is_looked_at_once_and_gives_the_same(
    stream: Stream, harmonizer: OnnxRuntimeHarmonizer
) -> None:
    rng = np.random.default_rng(9)
    small = textured(rng, 300, 500, grain=5.0)
    small.setflags(write=False)
    compositor = Compositor(harmonizer, grain=0.8, light_wrap=0.5)
    for setting, value in ((binding.GRAIN, 0.8), (binding.LIGHT_WRAP, 0.5), (binding.STILL, 1)):
        stream.set(setting, value)
    held = small.copy()
    for frame, alpha, _, seconds in shot(300, 500):
        expected = compositor.process(frame, alpha, small, pts_s=seconds)
        out = np.empty_like(frame)
        stream.process(image_of(frame), image_of(alpha), image_of(held), image_of(out), seconds)
        assert_alike(out, expected, grain=True)


def test_cut_out_premultiplied_and_estimated(stream: Stream, harmonizer: OnnxRuntimeHarmonizer) -> None:
    for kind in ("", "premultiplied", "estimate"):
        compositor = Compositor(harmonizer)
        stream.reset()
        stream.set(binding.PREMULTIPLIED, kind == "premultiplied")
        stream.set(binding.ESTIMATE, kind == "estimate")
        for frame, alpha, background, seconds in list(shot(196, 260))[::4]:
            given = (frame * (alpha[..., None] / 255.0)).astype(np.uint8) if kind == "premultiplied" else frame
            expected = compositor.cut_out(given, alpha, background, seconds, **({kind: True} if kind else {}))
            out = np.empty((*alpha.shape, 4), np.uint8)
            stream.cut_out(image_of(given), image_of(alpha), image_of(background), image_of(out), seconds)
            assert largest(out, expected) <= 1, kind


def test_a_mask_of_ones_counts_as_a_bool_until_more_is_seen(stream: Stream) -> None:
    frame, background = np.full((64, 96, 3), 200, np.uint8), np.full((64, 96, 3), 40, np.uint8)
    ones = (soft_disc((64, 96), 20, 1.0) > 127).astype(np.uint8)
    out = np.empty_like(frame)
    stream.set(binding.STRENGTH, 0.0)
    stream.process(image_of(frame), image_of(ones), image_of(background), image_of(out))
    assert (out[ones == 1] == 200).all()
    stream.process(image_of(frame), image_of(ones * np.uint8(255)), image_of(background), image_of(out))
    stream.process(image_of(frame), image_of(ones), image_of(background), image_of(out))
    assert (out[ones == 1] <= 41).all()


def test_streams_side_by_side_in_threads(library: Any, models: Path, onnxruntime_path: Path) -> None:
    """Each gives what it gives alone, whatever others do, and may go from thread to thread."""
    frames = list(shot(160, 224))[::3]

    def run(stream: Stream, part: int) -> list[Any]:
        outs = []
        for frame, alpha, background, seconds in frames[part * 7 : part * 7 + 7]:
            out = np.empty_like(frame)
            stream.process(image_of(frame), image_of(alpha), image_of(background), image_of(out), seconds)
            outs.append(out)
        return outs

    streams = [
        Stream(library, model_path=models / "nano.onnx", onnxruntime_path=onnxruntime_path, threads=2) for _ in range(3)
    ]
    for stream in streams:
        stream.set(binding.LIGHT_WRAP, 0.5)
    alone = run(streams[0], 0) + run(streams[0], 1)
    with ThreadPoolExecutor(2) as pool:
        halves = [list(pool.map(run, streams[1:], (part, part))) for part in range(2)]
    for first, second in zip(*halves, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(alone, first + second, strict=True))
    for stream in streams:
        stream.close()


def test_the_person_matte(library: Any, models: Path, onnxruntime_path: Path) -> None:
    skimage = pytest.importorskip("skimage.data")
    person = cv2.cvtColor(skimage.astronaut(), cv2.COLOR_RGB2BGR)
    stream = Stream(library, matte_path=models / "person.onnx", onnxruntime_path=onnxruntime_path, threads=2)
    assert stream.get(binding.ESTIMATE) == 1.0
    matte = PersonMatte(threads=2, follow=False)
    for i in range(6):
        shift = (0, 0, 0, 4, 8, 12)[i]
        frame = np.ascontiguousarray(np.roll(person, shift, axis=1)[: 512 - 32])
        expected, found = matte(frame), np.empty(frame.shape[:2], np.uint8)
        stream.matte(image_of(frame), image_of(found))
        assert expected.mean() > 30
        assert largest(found, expected) <= 2, i
        if i == 2:
            background = textured(np.random.default_rng(1), *frame.shape[:2])
            whole = Stream(library, matte_path=models / "person.onnx", onnxruntime_path=onnxruntime_path, threads=2)
            out = np.empty_like(frame)
            for _ in range(3):
                whole.process(image_of(frame), None, image_of(background), image_of(out))
            mine = Compositor(None).process(matte.foreground(frame, expected), expected, background)
            assert largest(out, mine) <= 3
            whole.close()
    stream.close()


@pytest.mark.slow
@pytest.mark.parametrize("grain", [0.0, 0.6])
def test_the_clip_over_75_frames(
    shared_dir: Path, library: Any, models: Path, onnxruntime_path: Path, grain: float
) -> None:
    folder = shared_dir / "media" / "clip"
    clips = [cv2.VideoCapture(str(folder / name)) for name in ("foreground.mp4", "mask.mp4", "background.mp4")]
    compositor = Compositor(OnnxRuntimeHarmonizer(models / "base.onnx", threads=2), light_wrap=0.5, grain=grain)
    stream = Stream(library, model_path=models / "base.onnx", onnxruntime_path=onnxruntime_path, threads=2)
    stream.set(binding.LIGHT_WRAP, 0.5)
    stream.set(binding.GRAIN, grain)
    for i in range(75):
        frame, mask, background = (clip.read()[1] for clip in clips)
        assert frame is not None, f"the clip ends at {i}"
        alpha = np.ascontiguousarray(mask[:, :, 0])
        expected = compositor.process(frame, alpha, background, pts_s=i / 25)
        out = np.empty_like(frame)
        stream.process(image_of(frame), image_of(alpha), image_of(background), image_of(out), i / 25)
        assert_alike(out, expected, grain=grain > 0.0)
        np.testing.assert_allclose(stream.transform(), compositor.transform, atol=1e-5)
    assert stream.reused == compositor.reused
    stream.close()
