"""Probes of the machine itself: Python, the processor, cameras, virtual cameras, display. Standard library alone."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from edge_harmony.capture.v4l2_devices import list_video_devices
from edge_harmony.doctor.report import ABSENT, FAILED, OK, WARNING, Finding

OLDEST_PYTHON = (3, 10)
_LOOPBACK_REMEDY = "sudo apt install v4l2loopback-dkms && sudo modprobe v4l2loopback exclusive_caps=1"


def probe_python() -> Finding:
    """The interpreter."""
    version = platform.python_version()
    details = {"executable": sys.executable, "implementation": platform.python_implementation()}
    if sys.version_info[:2] < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return Finding("Python", FAILED, version, f"older than {oldest}", f"install Python {oldest} or later", details)
    return Finding("Python", OK, version, details=details)


def probe_machine(root: Path = Path("/")) -> Finding:
    """Operating system, processor, memory, and which Jetson it is."""
    details: dict[str, object] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processors": os.cpu_count(),
        "memory_mb": _memory_mb(),
        "jetson": jetson_model(root),
        "l4t": _l4t_release(root),
    }
    words = [f"{details['system']} {details['architecture']}", f"{details['processors']} processors"]
    if details["memory_mb"]:
        words.append(f"{details['memory_mb']} MB")
    if details["jetson"]:
        words.append(f"{details['jetson']}{', L4T ' + str(details['l4t']) if details['l4t'] else ''}")
    return Finding("machine", OK, ", ".join(words), details=details)


def jetson_model(root: Path = Path("/")) -> str:
    """The name of the Jetson that this is; empty on any other machine."""
    if not (root / "etc/nv_tegra_release").exists():
        return ""
    try:
        return (root / "proc/device-tree/model").read_text(errors="replace").strip("\0 \n") or "Jetson"
    except OSError:
        return "Jetson"


def probe_cameras(root: Path = Path("/")) -> Finding:
    """Cameras, listed but not opened."""
    if sys.platform != "linux":
        return Finding("cameras", ABSENT, reason="cameras can be listed on Linux only, without opening them")
    cameras = [device for device in list_video_devices(root) if not device.virtual and device.stream == 0]
    details = {"devices": [vars(device) for device in cameras]}
    if not cameras:
        return Finding("cameras", ABSENT, reason="no /dev/video*: no camera is connected", details=details)
    found = ", ".join(f"{device.path} {device.name}".strip() for device in cameras)
    closed = [device.path for device in cameras if not device.allowed]
    if closed:
        remedy = "sudo usermod -aG video $USER, then log in again (in a container: --device and --group-add video)"
        return Finding("cameras", WARNING, found, f"no permission for {', '.join(closed)}", remedy, details)
    return Finding("cameras", OK, found, details=details)


def probe_virtual_cameras(root: Path = Path("/")) -> Finding:
    """Devices of v4l2loopback, through which other programs see our pictures as a camera."""
    if sys.platform != "linux":
        return Finding("virtual cameras", ABSENT, reason="only looked for on Linux")
    loops = [device for device in list_video_devices(root) if device.virtual]
    loaded = (root / "sys/module/v4l2loopback").exists()
    details = {"devices": [vars(device) for device in loops], "v4l2loopback_loaded": loaded}
    if not loops:
        reason = "v4l2loopback is loaded, but has no device" if loaded else "v4l2loopback is not loaded"
        return Finding("virtual cameras", ABSENT, reason=reason, remedy=_LOOPBACK_REMEDY, details=details)
    found = ", ".join(f"{device.path} {device.name}".strip() for device in loops)
    return Finding("virtual cameras", OK, found, details=details)


def probe_display(environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> Finding:
    """Whether a window could be opened; no connection is made."""
    if sys.platform in ("win32", "darwin"):
        return Finding("display", OK, "the desktop's own")
    variables = os.environ if environment is None else environment
    wayland, x11 = variables.get("WAYLAND_DISPLAY", ""), variables.get("DISPLAY", "")
    details = {"WAYLAND_DISPLAY": wayland, "DISPLAY": x11}
    remedy = "results go to files all the same; for windows log in at the screen, or over ssh -X"
    if wayland:
        socket = root / variables.get("XDG_RUNTIME_DIR", "").strip("/") / wayland
        if not socket.exists() and not x11:
            return Finding("display", ABSENT, reason=f"WAYLAND_DISPLAY is {wayland}, but nothing listens there",
                           remedy=remedy, details=details)  # fmt: skip
        return Finding("display", OK, f"Wayland {wayland}" if socket.exists() else f"X11 {x11}", details=details)
    if not x11:
        return Finding("display", ABSENT, reason="neither DISPLAY nor WAYLAND_DISPLAY is set",
                       remedy=remedy, details=details)  # fmt: skip
    number = x11.removeprefix(":").partition(".")[0]
    if x11.startswith(":") and number.isdigit() and not (root / "tmp/.X11-unix" / f"X{number}").exists():
        return Finding("display", ABSENT, reason=f"DISPLAY is {x11}, but nothing listens there",
                       remedy=remedy, details=details)  # fmt: skip
    return Finding("display", OK, f"X11 {x11}", details=details)


def _l4t_release(root: Path) -> str:
    """``36.4.3`` from ``# R36 (release), REVISION: 4.3, ...``; empty where it does not say."""
    text = _read(root / "etc/nv_tegra_release")
    major, _, rest = text.removeprefix("# R").partition(" ")
    revision = rest.partition("REVISION: ")[2].partition(",")[0]
    return f"{major}.{revision}" if major.isdigit() and revision else ""


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (AttributeError, ValueError, OSError):
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""
