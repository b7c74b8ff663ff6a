"""The element in real pipelines of gst-launch: its pixels are the Compositor's, its errors are said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony import Compositor, load_harmonizer
from edge_harmony.gstreamer.install import main as install
from edge_harmony.matte import open_matte
from edge_harmony.pixels.synthetic import SyntheticClip

Launch = Callable[..., subprocess.CompletedProcess]
FRAMES = 3
LOOK = {"strength": 0.8, "smoothing": 0.5, "light_wrap": 0.3, "grain": 0.4}
LOOKS = " ".join(f"{name.replace('_', '-')}={value}" for name, value in LOOK.items())
QUICK = "model=nano threads=1 backend=onnxruntime"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where GStreamer finds the element, which runs on these very packages."""
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("GStreamer is not installed: apt install gstreamer1.0-tools gstreamer1.0-plugins-base")
    folder = tmp_path_factory.mktemp("gst")
    assert install([str(folder)]) == 0
    environment = {
        **{
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        },
        "PATH": "/usr/bin:/bin",  # GStreamer's Python takes its home from the first python3 that it finds there
        "GST_PLUGIN_PATH": str(folder),
        "GST_REGISTRY": str(folder / "registry.bin"),
        "OMP_NUM_THREADS": "1",
    }
    if _run(["gst-inspect-1.0", "python"], environment).returncode:
        pytest.skip(
            "GStreamer's Python loader is missing: apt install gstreamer1.0-python3-plugin-loader python3-gst-1.0"
        )
    found = _run(["gst-inspect-1.0", "edgeharmony"], environment)
    if "was installed by Python" in found.stderr:
        pytest.skip(found.stderr.split("ImportError: ")[-1].strip())
    assert found.returncode == 0, found.stdout + found.stderr
    return environment


@pytest.fixture
def launch(environment: dict[str, str], tmp_path: Path) -> Launch:
    def run(pipeline: str) -> subprocess.CompletedProcess:
        return _run(["gst-launch-1.0", "-q", *pipeline.split()], environment, tmp_path)

    return run


@pytest.fixture
def backdrop(tmp_path: Path) -> np.ndarray:
    """A picture of another shape than the frames, and ``backdrop.png``."""
    rng = np.random.default_rng(5)
    picture = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (512, 300), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "backdrop.png"), picture)
    return picture


def _run(
    command: list[str], environment: dict[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)


def _clip(size_hw: tuple[int, int], frames: int = FRAMES) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(frame, alpha) for frame, alpha, _ in SyntheticClip(size_hw, 0.3, frames, moves=True).frames(frames)]


def _composited(
    parts: list[tuple[np.ndarray, np.ndarray]], backdrop: np.ndarray, light_wrap: bool = True
) -> Iterator[np.ndarray]:
    """What the Compositor makes of the same frames at 25 a second."""
    look = LOOK if light_wrap else {**LOOK, "light_wrap": 0.0, "grain": 0.0}
    compositor = Compositor(load_harmonizer("nano", "onnxruntime", 1), **look)
    for number, (frame, alpha) in enumerate(parts):
        yield compositor.process(frame, alpha, backdrop, pts_s=number / 25)


def _still(backdrop: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    from edge_harmony.backgrounds.still import StillBackground

    return StillBackground(backdrop).at(0, size_hw)


@pytest.mark.parametrize(
    ("format", "to_bgr"),
    [("rgba", cv2.COLOR_RGBA2BGR), ("bgra", cv2.COLOR_BGRA2BGR)],
)
def test_frames_with_their_own_alpha(launch, backdrop, tmp_path, format, to_bgr):
    size_hw = (144, 202)
    parts = _clip(size_hw)
    coded = [np.dstack([frame if format == "bgra" else frame[..., ::-1], alpha]) for frame, alpha in parts]
    (tmp_path / "in.raw").write_bytes(b"".join(picture.tobytes() for picture in coded))
    done = launch(
        f"filesrc location=in.raw ! rawvideoparse format={format} width=202 height=144 framerate=25/1 ! "
        f"edgeharmony background=backdrop.png matte=alpha {LOOKS} {QUICK} ! filesink location=out.raw"
    )
    assert done.returncode == 0, done.stderr
    shown = np.fromfile(tmp_path / "out.raw", np.uint8).reshape(FRAMES, *size_hw, 4)
    for found, expected in zip(shown, _composited(parts, _still(backdrop, size_hw)), strict=True):
        assert np.array_equal(cv2.cvtColor(found, to_bgr), expected)
        assert (found[..., 3] == 255).all()


@pytest.mark.parametrize(
    ("format", "size_hw", "pad"), [("bgr", (361, 641), 0), ("rgb", (90, 122), 6), ("bgr", (1080, 1920), 128)]
)
def test_padded_rows_and_a_mask_file(launch, backdrop, tmp_path, format, size_hw, pad):
    """Rows that are padded on the way in (with rubbish) and, where a width asks for it, on the way out."""
    height, width = size_hw
    frames = 2
    parts = _clip(size_hw, frames)
    mask = parts[0][1]
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    rows = np.full((frames, height, width * 3 + pad), 177, np.uint8)
    for number, (frame, _) in enumerate(parts):
        rows[number, :, : width * 3] = (frame if format == "bgr" else frame[..., ::-1]).reshape(height, -1)
    (tmp_path / "in.raw").write_bytes(rows.tobytes())
    stride = width * 3 + pad
    done = launch(
        f"filesrc location=in.raw ! rawvideoparse format={format} width={width} height={height} framerate=25/1 "
        f"plane-strides=<{stride}> plane-offsets=<0> frame-size={stride * height} ! "
        f"edgeharmony background=backdrop.png matte=mask.png {LOOKS} {QUICK} ! filesink location=out.raw"
    )
    assert done.returncode == 0, done.stderr
    out_stride = (width * 3 + 3) // 4 * 4  # as GStreamer has it by default
    shown = np.fromfile(tmp_path / "out.raw", np.uint8).reshape(frames, height, out_stride)[..., : width * 3]
    matte = open_matte(tmp_path / "mask.png")
    cut = []
    for frame, _ in parts:
        alpha = matte(frame).copy()
        cut.append((matte.foreground(frame, alpha), alpha))
    for found, expected in zip(shown, _composited(cut, _still(backdrop, size_hw)), strict=True):
        picture = found.reshape(height, width, 3)
        assert np.array_equal(picture if format == "bgr" else picture[..., ::-1], expected)


def test_another_size_in_the_middle(launch, backdrop, tmp_path):
    sizes = ((96, 128), (120, 80))
    clips = [_clip(size_hw, 2) for size_hw in sizes]
    for name, clip in zip("ab", clips, strict=True):
        (tmp_path / name).write_bytes(b"".join(np.dstack(parts).tobytes() for parts in clip))
    sources = " ".join(
        f"filesrc location={name} ! rawvideoparse format=bgra width={w} height={h} framerate=25/1 ! c."
        for name, (h, w) in zip("ab", sizes, strict=True)
    )
    done = launch(
        f"concat name=c ! edgeharmony background=backdrop.png matte=alpha strength=0.8 smoothing=0.5 {QUICK} ! "
        f"filesink location=out.raw {sources}"
    )
    assert done.returncode == 0, done.stderr
    rest = np.fromfile(tmp_path / "out.raw", np.uint8)
    for size_hw, clip in zip(sizes, clips, strict=True):
        for expected in _composited(clip, _still(backdrop, size_hw), light_wrap=False):
            found, rest = np.split(rest, [expected[..., 0].size * 4])
            assert np.array_equal(found.reshape(*size_hw, 4)[..., :3], expected)
    assert rest.size == 0


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("", "has no background (hint: set background=FILE"),
        ("background=none.png", "none.png"),
        ("background=#123456 strength=7", "strength is 7"),
        ("background=#123456 smoothing=-1", "smoothing is -1"),
        ("background=#123456 matte=persn", "did you mean person"),
        ("background=#123456 fit=stretched", "use one of: stretch"),
        ("background=#123456 model=nanno", "nano"),
        ("background=#123456 backend=onnx", "unknown backend 'onnx'"),
        ("background=blur:900", "no amount of blur"),
        ("background=#123456 threads=-3", "threads"),
    ],
)
def test_a_bad_property_is_an_error_of_the_element(launch, properties, words):
    done = launch(f"videotestsrc num-buffers=2 ! edgeharmony {properties} ! fakesink")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "ERROR" in said
    assert "EdgeHarmony:edgeharmony0: " in said
    assert words in said
    assert "Traceback" not in said


def test_frames_that_are_too_small_are_not_negotiated(launch):
    done = launch(
        "videotestsrc num-buffers=2 ! video/x-raw,width=32,height=32 ! edgeharmony background=blur ! fakesink"
    )
    assert done.returncode != 0
    assert "edgeharmony0" in done.stderr


def test_latency_is_reported_and_settings_change_while_frames_flow(environment, tmp_path):
    program = Path(__file__).with_name("live_pipeline.py")
    done = _run(["/usr/bin/python3", str(program)], environment, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_pythons_file_says_so(environment, tmp_path):
    assert install([str(tmp_path)]) == 0
    file = tmp_path / "python" / "edgeharmony.py"
    file.write_text(file.read_text().replace(f"!= {sys.version_info[:2]}", "!= (2, 7)"))
    asked = {**environment, "GST_PLUGIN_PATH": str(tmp_path), "GST_REGISTRY": str(tmp_path / "registry.bin")}
    done = _run(["gst-inspect-1.0", "edgeharmony"], asked)
    assert done.returncode != 0
    assert "edgeharmony was installed by Python" in done.stderr
