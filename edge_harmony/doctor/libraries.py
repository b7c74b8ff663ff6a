"""Probes of the Python packages that do the work; each runs in a process of its own (``run.child_process``)."""

from __future__ import annotations

import importlib
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from edge_harmony.doctor.machine import jetson_model
from edge_harmony.doctor.report import FAILED, OK, WARNING, Finding

_OPENCV_PACKAGES = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless",
)  # fmt: skip


def probe_opencv() -> Finding:
    """OpenCV, and whether it can open windows and GStreamer pipelines."""
    try:
        cv2: Any = importlib.import_module("cv2")
        about = cv2.getBuildInformation()
    except Exception as error:
        return _broken_opencv(error)
    gui, gstreamer = _line(about, "GUI") or "NONE", _line(about, "GStreamer") or "NO"
    has_gstreamer = gstreamer.startswith("YES")
    installed = _opencv_packages()
    details = {
        "file": getattr(cv2, "__file__", ""),
        "gui": gui,
        "gstreamer": gstreamer,
        "ffmpeg": _line(about, "FFMPEG"),
        "packages": installed,
    }
    found = f"{cv2.__version__}, windows: {gui}, GStreamer: {'yes' if has_gstreamer else 'no'}"
    if len(installed) > 1:
        keep, *rest = installed
        remedy = f"pip uninstall -y {' '.join(rest)} && pip install --force-reinstall --no-deps {keep}"
        reason = f"{' and '.join(installed)} write over each other's files"
        return Finding("OpenCV", WARNING, found, reason, remedy, details)
    if jetson_model() and not has_gstreamer:
        remedy = f"{f'pip uninstall -y {installed[0]}; ' if installed else ''}sudo apt install python3-opencv"
        reason = "this OpenCV has no GStreamer, which CSI cameras need; the system's has"
        return Finding("OpenCV", WARNING, found, reason, remedy, details)
    return Finding("OpenCV", OK, found, details=details)


def probe_numpy() -> Finding:
    """NumPy."""
    numpy: Any = importlib.import_module("numpy")
    return Finding("NumPy", OK, numpy.__version__, details={"numpy": numpy.__version__})


def probe_passes() -> Finding:
    """The compiled full-resolution passes, and which of their builds this processor runs."""
    from edge_harmony.errors import BackendUnavailableError
    from edge_harmony.pixels import passes

    try:
        path = Path(passes.load()._name)
    except BackendUnavailableError as error:
        return Finding("compiled passes", FAILED, reason=str(error), remedy=error.hint)
    kind = {"v4": "for x86-64 with AVX-512", "v3": "for x86-64 with AVX2"}.get(path.stem.split("_")[2], "plain")
    return Finding("compiled passes", OK, kind, details={"file": str(path)})


def probe_pyav() -> Finding:
    """PyAV, which reads and writes videos; pictures do without."""
    try:
        av: Any = importlib.import_module("av")
        h264 = "w" in av.codec.Codec("h264", "w").mode
    except ModuleNotFoundError:
        return Finding("PyAV", WARNING, reason="not installed: no videos, pictures only", remedy="pip install 'av>=17'")
    except Exception as error:
        return Finding("PyAV", WARNING, reason=_words(error), remedy="pip install --force-reinstall 'av>=17'")
    from edge_harmony.sinks.encoders import ENCODERS, why_not

    reasons = {name: why_not(name) for name in ENCODERS} if int(av.__version__.split(".")[0]) >= 17 else {}
    encoders = [name for name, reason in reasons.items() if not reason]
    refused = {name: reason for name, reason in reasons.items() if reason}
    libraries = {name: list(version) for name, version in av.library_versions.items()}
    details = {"encoders": encoders, "encoders_refused": refused, "libraries": libraries, "h264": h264}
    version = tuple(int(part) for part in re.findall(r"\d+", av.__version__)[:1])
    if version < (17,):
        return Finding("PyAV", WARNING, av.__version__, "older than 17: HDR goes unnoticed",
                       "pip install --upgrade 'av>=17'", details)  # fmt: skip
    words = "".join(f"; no {name}: {reason}" for name, reason in refused.items())
    found = f"{av.__version__}, encoders that open: {', '.join(encoders) or 'none'}{words}"
    return Finding("PyAV", OK, found, details=details)


def probe_onnxruntime() -> Finding:
    """ONNX Runtime and its providers; we use the CPU's."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
        providers = list(runtime.get_available_providers())
    except ModuleNotFoundError:
        return Finding("ONNX Runtime", FAILED, reason="not installed", remedy="pip install onnxruntime")
    except Exception as error:  # also a folder of that name without the package in it
        remedy = "pip install --force-reinstall onnxruntime"
        return Finding("ONNX Runtime", FAILED, reason=_words(error), remedy=remedy)
    words = ", ".join(name.removesuffix("ExecutionProvider") for name in providers)
    details = {"version": runtime.__version__, "providers": providers}
    return Finding("ONNX Runtime", OK, f"{runtime.__version__}, providers: {words}", details=details)


def _broken_opencv(error: Exception) -> Finding:
    text = str(error)
    if isinstance(error, ModuleNotFoundError):
        remedy = "sudo apt install python3-opencv" if jetson_model() else "pip install opencv-python"
        return Finding("OpenCV", FAILED, reason="not installed", remedy=remedy)
    if "numpy.core.multiarray" in text or "_ARRAY_API" in text or "compiled using NumPy 1" in text:
        return Finding("OpenCV", FAILED, reason="it was built for NumPy 1, and NumPy 2 is installed",
                       remedy="pip install 'numpy<2'")  # fmt: skip
    library = re.search(r"(lib[\w.+-]+\.so[\d.]*): cannot open", text)
    if library and library[1].startswith(("libGL", "libgthread", "libglib")):
        return Finding("OpenCV", FAILED, reason=f"the system has no {library[1]}",
                       remedy="sudo apt install libgl1 libglib2.0-0, or pip install opencv-python-headless "
                       "in opencv-python's place")  # fmt: skip
    return Finding("OpenCV", FAILED, reason=_words(error), remedy="pip install --force-reinstall opencv-python")


def _opencv_packages() -> list[str]:
    """The packages of pip that bring a ``cv2``; they exclude each other."""
    found = []
    for name in _OPENCV_PACKAGES:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found.append(name)
    return found


def _line(about: str, key: str) -> str:
    match = re.search(rf"^\s*{re.escape(key)}:\s*(.*?)\s*$", about, re.MULTILINE)
    return match[1] if match else ""


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
