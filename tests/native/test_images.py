"""Formats, strides, and what is refused and how."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import edge_harmony
from tests.native import binding
from tests.native.binding import Image, Stream, StreamError, image_of, yuv_of
from tests.native.conftest import ROOT
from tests.native.scenes import textured
from tests.scenes import soft_disc

HEIGHT, WIDTH = 120, 200


@pytest.fixture
def stream(library: Any) -> Any:
    """Without a model: colours stay, so that formats can be told apart from them."""
    opened = Stream(library, threads=2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def parts() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(2)
    frame, background = textured(rng, HEIGHT, WIDTH), textured(rng, HEIGHT, WIDTH)
    return frame, soft_disc((HEIGHT, WIDTH), 40, 8.0, (100, 60)), background


def composite(stream: Stream, frame: Image, alpha: Image | None, background: Image) -> NDArray[np.uint8]:
    out = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    stream.process(frame, alpha, background, image_of(out))
    return out


def test_orders_of_channels(stream: Stream, parts: Any) -> None:
    frame, alpha, background = parts
    expected = composite(stream, image_of(frame), image_of(alpha), image_of(background))
    for pixel_format, order in (
        (binding.RGB, cv2.COLOR_BGR2RGB), (binding.BGRA, cv2.COLOR_BGR2BGRA), (binding.RGBA, cv2.COLOR_BGR2RGBA)
    ):  # fmt: skip
        given, behind = cv2.cvtColor(frame, order), cv2.cvtColor(background, order)
        out = np.zeros_like(given)
        stream.process(image_of(given, pixel_format), image_of(alpha), image_of(behind, pixel_format),
                       image_of(out, pixel_format))  # fmt: skip
        assert np.array_equal(out, cv2.cvtColor(expected, order))


def test_the_alpha_of_the_frame_itself(stream: Stream, parts: Any) -> None:
    frame, alpha, background = parts
    own = np.dstack([frame, alpha])
    expected = composite(stream, image_of(frame), image_of(alpha), image_of(background))
    assert np.array_equal(composite(stream, image_of(own), None, image_of(background)), expected)


def test_padded_and_upside_down_rows(stream: Stream, parts: Any) -> None:
    frame, alpha, background = parts
    expected = composite(stream, image_of(frame), image_of(alpha), image_of(background))
    stream.set(binding.LIGHT_WRAP, 0.5)
    stream.set(binding.ESTIMATE, 1)
    lit = composite(stream, image_of(frame), image_of(alpha), image_of(background))

    def padded(image: NDArray[np.uint8], flip: bool) -> Any:
        shape = (image.shape[0], image.shape[1] + 13, *image.shape[2:])
        held = np.full(shape, 77, np.uint8)
        held = held[::-1] if flip else held
        held[:, : image.shape[1]] = image
        return held[:, : image.shape[1]]

    for flip in (False, True):
        given = [padded(image, flip) for image in (frame, alpha, background, np.zeros_like(frame))]
        stream.process(*(image_of(image) for image in given))
        assert np.array_equal(given[3], lit)
        assert (given[3].base[:, WIDTH:] == 77).all(), "what lies between rows is not the library's"
    stream.set(binding.LIGHT_WRAP, 0.0)
    stream.set(binding.ESTIMATE, 0)
    stream.process(*(image_of(image) for image in given))
    assert np.array_equal(given[3], expected)


@pytest.mark.parametrize("pixel_format", [binding.NV12, binding.I420])
def test_yuv_in_and_out(stream: Stream, parts: Any, pixel_format: int) -> None:
    frame, alpha, background = (cv2.GaussianBlur(part, (0, 0), 3) for part in parts)
    expected = composite(stream, image_of(frame), image_of(alpha), image_of(background))

    def planes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        i420 = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
        if pixel_format == binding.I420:
            return i420
        chroma = i420[HEIGHT:].reshape(2, -1)
        return np.vstack([i420[:HEIGHT], chroma.T.reshape(HEIGHT // 2, WIDTH)])

    given = [planes(frame), planes(background), np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8)]
    images = [yuv_of(np.ascontiguousarray(image), HEIGHT, pixel_format) for image in given]
    stream.process(images[0], image_of(alpha), images[1], images[2])
    found = images[2].array
    if pixel_format == binding.NV12:
        found = np.vstack([found[:HEIGHT], found[HEIGHT:].reshape(-1, 2).T.reshape(HEIGHT // 2, WIDTH)])
    seen = cv2.cvtColor(found, cv2.COLOR_YUV2BGR_I420)
    # OpenCV went to YUV before the library and back after it; its own way there and back is off by half as much.
    own = cv2.absdiff(cv2.cvtColor(cv2.cvtColor(expected, cv2.COLOR_BGR2YUV_I420), cv2.COLOR_YUV2BGR_I420), expected)
    assert cv2.absdiff(seen, expected).mean() < 2 * own.mean()
    assert cv2.absdiff(seen, expected).max() <= 2 * own.max()
    for colour in range(1, 5):  # each matrix and range comes back as it went
        there = yuv_of(np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8), HEIGHT, pixel_format, colour)
        stream.process(image_of(frame), image_of(alpha), image_of(background), there)
        back = composite(stream, there, image_of(np.full_like(alpha, 255)), image_of(background))
        assert cv2.absdiff(back, expected).mean() < 1.0, colour
        assert cv2.absdiff(back, expected).max() <= 6, colour


def test_versions_agree(library: Any) -> None:
    assert library.eh_version().decode() == edge_harmony.__version__
    header = (ROOT / "native" / "include" / "edge_harmony.h").read_text()
    for name, value in zip(("MAJOR", "MINOR", "PATCH"), edge_harmony.__version__.split("."), strict=True):
        assert f"#define EDGE_HARMONY_VERSION_{name} {value}\n" in header
    assert f'#define EDGE_HARMONY_VERSION "{edge_harmony.__version__}"' in header


def refused(stream: Stream, status: int, words: str, *images: Any) -> None:
    with pytest.raises(StreamError, match=words) as caught:
        stream.process(*images)
    assert caught.value.status == status


def test_images_that_are_refused(stream: Stream, parts: Any) -> None:
    frame, alpha, background = (image_of(part) for part in parts)
    out = image_of(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    small = image_of(np.zeros((40, WIDTH, 3), np.uint8))
    other = image_of(np.zeros((HEIGHT, WIDTH - 8), np.uint8))
    narrow = image_of(parts[0])
    narrow.stride[0] = 3 * WIDTH - 1
    odd = yuv_of(np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8), HEIGHT, binding.NV12)
    odd.width -= 1
    refused(stream, binding.IMAGE, "sides of 64", small, alpha, background, out)
    refused(stream, binding.IMAGE, "alpha is 192 x 120", frame, other, background, out)
    refused(stream, binding.IMAGE, "GREY", alpha, alpha, background, out)
    refused(stream, binding.IMAGE, "stride of 599", narrow, alpha, background, out)
    refused(stream, binding.IMAGE, "even", odd, alpha, background, out)
    refused(stream, binding.IMAGE, "shares memory", frame, alpha, background, frame)
    refused(stream, binding.IMAGE, "unknown format", Image(), alpha, background, out)
    refused(stream, binding.ARGUMENT, "no alpha", frame, None, background, out)
    with pytest.raises(StreamError, match="no matting model"):
        stream.matte(frame, alpha)
    stream.process(frame, alpha, background, out)  # and it goes on as if nothing had been


def test_settings_that_are_refused(stream: Stream) -> None:
    for setting, value in ((binding.STRENGTH, 1.1), (binding.SMOOTHING, 1.0), (binding.GRAIN, float("nan")),
                           (binding.FIT, 0.5), (77, 0.0)):  # fmt: skip
        with pytest.raises(StreamError) as caught:
            stream.set(setting, value)
        assert caught.value.status == binding.ARGUMENT
    assert stream.get(binding.STRENGTH) == 1.0


def test_null_is_no_crash(library: Any) -> None:
    assert library.eh_process(None, None, None, None, None, 0.0) == binding.ARGUMENT
    assert library.eh_open(None, None, None, 0) == binding.ARGUMENT
    assert b"eh_open" in library.eh_error(None)
    library.eh_close(None)


def test_models_that_are_refused(library: Any, models: Path, onnxruntime_path: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes((models / "nano.onnx").read_bytes()[:5000])
    for options, status, words in (
        ({"model_path": tmp_path / "none.onnx"}, binding.MODEL, "cannot be opened"),
        ({"model_path": damaged}, binding.MODEL, "damaged"),
        ({"model_path": models / "person.onnx"}, binding.MODEL, "is the matte graph"),
        ({"matte_path": models / "nano.onnx"}, binding.MODEL, "is the transform graph"),
        ({"model_path": models / "nano.onnx", "onnxruntime_path": damaged}, binding.RUNTIME, "cannot be loaded"),
        ({"threads": -1}, binding.ARGUMENT, "threads"),
    ):
        with pytest.raises(StreamError, match=words) as caught:
            Stream(library, **{"onnxruntime_path": onnxruntime_path, **options})
        assert caught.value.status == status


def test_a_model_in_memory_and_a_runtime_named_by_the_environment(
    library: Any, models: Path, onnxruntime_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = (models / "nano.onnx").read_bytes()
    monkeypatch.setenv("EDGE_HARMONY_ONNXRUNTIME", str(onnxruntime_path))
    buffer = ctypes.create_string_buffer(held, len(held))
    stream = Stream(library, model_bytes=ctypes.addressof(buffer), model_size=len(held), threads=1)
    stream.close()


def test_options_of_an_older_header(library: Any) -> None:
    """A caller that knows less of the options than the library does is served; one that says nothing is told."""
    given, handle = binding.Options(), ctypes.c_void_p()
    text = ctypes.create_string_buffer(300)
    assert library.eh_open(ctypes.byref(given), ctypes.byref(handle), text, 300) == binding.ARGUMENT
    assert b"eh_options_init" in text.value
