"""The OBS filter in a real libobs without a screen: its pixels are the C library's, and what is wrong is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.displays import virtual_display
from tests.native import binding
from tests.native.binding import Stream, image_of, load, yuv_of
from tests.native.conftest import FLAGS, LIBRARIES

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "edge_harmony" / "models"
FORMATS = {"I420": 1, "NV12": 2, "YUY2": 4, "UYVY": 5, "BGRA": 7, "I444": 10, "I422": 12}  # libobs' numbers
SIZE_HW = (240, 320)
FRAMES = 3

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[np.ndarray, str]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the filter, the program that runs it, and the library by itself."""
    for tool in ("cmake", "cc", "pkg-config"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if subprocess.run(["pkg-config", "--exists", "libobs"]).returncode:
        pytest.skip("libobs is not installed: apt install libobs-dev")
    folder = tmp_path_factory.mktemp("obs")
    sources = sorted(map(str, (ROOT / "native" / "library").glob("*.c")))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libobs"], capture_output=True, text=True, check=True)
    for command in (
        ["cmake", "-S", str(ROOT / "integrations" / "obs"), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"],
        ["cmake", "--build", str(folder)],
        ["cc", str(Path(__file__).with_name("run_filter.c")), "-o", str(folder / "run_filter"), *flags.stdout.split()],
        ["cc", *FLAGS, "-shared", *sources, "-o", str(folder / "libedgeharmony.so"), *LIBRARIES],
    ):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stderr, done.stderr
    return folder


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """libobs wants an X display for its hotkeys, nothing more."""
    if not shutil.which("Xvfb"):
        pytest.skip("libobs wants an X display: apt install xvfb")
    with virtual_display("640x480x24") as name:
        yield name


@pytest.fixture
def run(built: Path, onnxruntime_path: Path, display: str, tmp_path: Path) -> Run:
    """The filter on frames in bytes: what comes back, and what was said."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("base", "person"):
        shutil.copy(MODELS / f"{name}.onnx", data)

    def work(settings: dict[str, Any], format: str, frames: bytes, with_runtime: bool = True) -> tuple[np.ndarray, str]:
        file = tmp_path / "settings.json"
        file.write_text(json.dumps({"threads": 1, **settings}))
        environment = {**os.environ, "DISPLAY": display}
        environment["EDGE_HARMONY_ONNXRUNTIME"] = str(onnxruntime_path if with_runtime else "/nowhere.so")
        height, width = SIZE_HW
        words = [built / "edge-harmony.so", data, file, FORMATS[format], width, height]
        done = subprocess.run(
            [str(built / "run_filter"), *map(str, words)],
            input=frames,
            capture_output=True,
            env=environment,
            timeout=300,
        )
        said = done.stderr.decode(errors="replace")
        assert done.returncode == 0, said
        assert "leaks: 0" in said, said
        return np.frombuffer(done.stdout, np.uint8), said

    return work


@pytest.fixture(scope="module")
def person() -> list[np.ndarray]:
    """Somebody who moves: uint8 (H, W, 3) BGR."""
    skimage = pytest.importorskip("skimage.data", reason="needs scikit-image's portrait")
    picture = cv2.resize(cv2.cvtColor(skimage.astronaut(), cv2.COLOR_RGB2BGR), SIZE_HW[::-1])
    return [np.ascontiguousarray(np.roll(picture, 6 * number, axis=1)) for number in range(FRAMES)]


@pytest.fixture
def stream(built: Path, onnxruntime_path: Path) -> Stream:
    made = Stream(
        load(built / "libedgeharmony.so"), model_path=MODELS / "base.onnx", matte_path=MODELS / "person.onnx",
        onnxruntime_path=onnxruntime_path, threads=1,
    )  # fmt: skip
    made.set(binding.STILL, 1)
    return made


def test_pixels_are_the_librarys(run, person, stream, tmp_path):
    backdrop = np.random.default_rng(3).integers(0, 256, (8, 12, 4), np.uint8)
    backdrop[..., 3] = 255
    backdrop = cv2.resize(backdrop, (480, 320), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "room.png"), backdrop)
    coded = [np.dstack([frame, np.full(SIZE_HW, 255, np.uint8)]) for frame in person]
    settings = {"background": str(tmp_path / "room.png"), "strength": 0.9, "light_wrap": 0.3, "grain": 0.2}
    found, said = run(settings, "BGRA", b"".join(frame.tobytes() for frame in coded))
    assert "problem" not in said
    for setting, value in ((binding.STRENGTH, 0.9), (binding.LIGHT_WRAP, 0.3), (binding.GRAIN, 0.2)):
        stream.set(setting, value)
    for number, (result, frame) in enumerate(zip(found.reshape(FRAMES, *SIZE_HW, 4), coded, strict=True)):
        expected = np.empty_like(frame)
        stream.process(image_of(frame), None, image_of(backdrop), image_of(expected), 1.0 + 0.04 * number)
        assert np.array_equal(result, expected)
        assert not np.array_equal(result, frame)


def test_a_cameras_nv12(run, person, stream):
    rows = [cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420) for frame in person]
    height, width = SIZE_HW
    for picture in rows:  # to NV12: u and v by turns
        picture[height:] = picture[height:].reshape(2, -1).T.reshape(-1, width)
    found, said = run({"colour": 0xFF204060}, "NV12", b"".join(picture.tobytes() for picture in rows))
    assert "problem" not in said
    behind = np.full((64, 64, 4), (0x60, 0x40, 0x20, 255), np.uint8)  # OBS keeps red in the lowest byte
    for number, (result, picture) in enumerate(zip(found.reshape(FRAMES, *rows[0].shape), rows, strict=True)):
        expected = np.empty_like(picture)
        given, wanted = (yuv_of(array, height, binding.NV12, 3) for array in (picture, expected))  # BT.709, limited
        stream.process(given, None, image_of(behind, binding.RGBA), wanted, 1.0 + 0.04 * number)
        assert np.array_equal(result, expected)


def test_four_two_two_is_worked_on_as_four_two_zero(run, person):
    height, width = SIZE_HW
    planar, packed = [], {"YUY2": [], "UYVY": [], "I422": []}
    for frame in person:
        rows = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)
        planar.append(rows.tobytes())
        for name, wide in _widened(rows, height, width).items():
            packed[name].append(wide)
    expected, _ = run({}, "I420", b"".join(planar))
    for name, frames in packed.items():
        found, said = run({}, name, b"".join(frames))
        assert "problem" not in said
        wanted = [_widened(rows, height, width)[name] for rows in expected.reshape(FRAMES, height * 3 // 2, width)]
        assert found.tobytes() == b"".join(wanted), name


def _widened(rows: np.ndarray, height: int, width: int) -> dict[str, bytes]:
    """I420 as 4:2:2: each row of chroma twice."""
    y = rows[:height]
    u, v = (np.repeat(plane, 2, axis=0) for plane in rows[height:].reshape(2, height // 2, width // 2))
    y0, y1 = y[:, ::2], y[:, 1::2]
    return {
        "YUY2": np.stack([y0, u, y1, v], axis=2).tobytes(),
        "UYVY": np.stack([u, y0, v, y1], axis=2).tobytes(),
        "I422": y.tobytes() + u.tobytes() + v.tobytes(),
    }


@pytest.mark.parametrize(
    ("settings", "format", "with_runtime", "words"),
    [
        ({}, "I444", True, "this video format is not supported"),
        ({"model": "/nowhere.onnx"}, "BGRA", True, "/nowhere.onnx"),
        ({}, "BGRA", False, "ONNX Runtime cannot be loaded"),
        ({"strength": 3.0}, "BGRA", True, "EH_STRENGTH is 3"),
        ({"background": "/nowhere.png"}, "BGRA", True, "/nowhere.png cannot be read"),
    ],
)
def test_what_is_wrong_is_said_once_and_nothing_ends(run, person, settings, format, with_runtime, words):
    height, width = SIZE_HW
    frames = np.zeros((2, height, width, 3 if format == "I444" else 4), np.uint8).tobytes()
    found, said = run(settings, format, frames, with_runtime)
    assert said.count(words) == (1 if format == "I444" else 2), said  # in the log, and in the properties from the start
    assert found.size == len(frames)
    if format == "I444" or "model" in settings or not with_runtime:
        assert found.tobytes() == frames, "frames go through as they are"
