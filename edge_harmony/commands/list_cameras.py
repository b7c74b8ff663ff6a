"""``edge-harmony list-cameras``: which cameras there are, and what they can give.

``--json`` prints one object, whose fields stay as they are (``format`` changes otherwise; fields may be added)::

    {"format": "edge_harmony.cameras.1",
     "cameras": [{"source": "0", "path": "/dev/video0", "by_id": "/dev/v4l/by-id/...", "name": "...", "virtual": false,
                  "problem": "",
                  "formats": [{"fourcc": "MJPG", "description": "...", "size": "1920x1080", "smallest": null,
                               "rates": [30.0]}]}],
     "note": "why there is none"}

Exit code: 0, also when there is no camera.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from edge_harmony.run.arguments import Subparsers

FORMAT: Final = "edge_harmony.cameras.1"
_MOST_PROBED: Final = 6  # numbers that are tried where the system has no list

_DESCRIPTION = """\
List the cameras of this machine: the number or path to give to 'edge-harmony stream --camera', and the formats, sizes
and rates that each can deliver. On Linux nothing is switched on for that. On other systems the first six numbers are
tried, which lights the cameras up for a moment.
"""

_EPILOG = """\
examples:
  edge-harmony list-cameras
  edge-harmony stream --camera 0 --bg beach.jpg
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "list-cameras",
        help="which cameras there are, and what they can give",
        usage="edge-harmony list-cameras [--json]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do it."""
    cameras = _linux_cameras() if sys.platform == "linux" else _probed_cameras()
    note = "" if cameras else _why_none()
    if args.json:
        print(json.dumps({"format": FORMAT, "cameras": cameras, "note": note}, indent=2))
        return 0
    for camera in cameras:
        _print_camera(camera)
    if note:
        print(note)
    return 0


def _linux_cameras(root: Path = Path("/")) -> list[dict[str, Any]]:
    from edge_harmony.capture.v4l2_devices import ask_device, list_video_devices

    cameras = []
    for device in list_video_devices(root):
        camera: dict[str, Any] = {
            "source": str(device.number), "path": device.path, "by_id": "", "name": device.name,
            "virtual": device.virtual, "problem": "", "formats": [],
        }  # fmt: skip
        try:
            able = ask_device(device.path, root=root)
        except PermissionError:
            camera["problem"] = "no permission: sudo usermod -aG video $USER, then log in again"
        except OSError as error:
            camera["problem"] = f"cannot be asked: {error.strerror or error}"
        else:
            if not able.captures:  # metadata of a camera, an encoder, or a loopback that nobody writes to
                continue
            camera |= {"by_id": able.by_id, "name": able.card or device.name}
            camera["formats"] = [
                {
                    "fourcc": entry.fourcc,
                    "description": entry.description,
                    "size": _size(entry.size_hw),
                    "smallest": _size(entry.smallest_hw) if entry.smallest_hw else None,
                    "rates": [round(float(rate), 3) for rate in entry.rates],
                }
                for entry in able.formats
            ]
        cameras.append(camera)
    return cameras


def _probed_cameras() -> list[dict[str, Any]]:
    import cv2

    from edge_harmony.capture.native import stderr_lines

    cameras = []
    for number in range(_MOST_PROBED):
        with stderr_lines():
            capture = cv2.VideoCapture(number, cv2.CAP_ANY)
        if capture.isOpened():
            size = (round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
            rate = round(capture.get(cv2.CAP_PROP_FPS), 3)
            entry = {"fourcc": "", "description": "as it opens", "size": _size(size), "smallest": None,
                     "rates": [rate] if rate > 0 else []}  # fmt: skip
            cameras.append({"source": str(number), "path": "", "by_id": "", "name": f"camera {number}",
                            "virtual": False, "problem": "", "formats": [entry]})  # fmt: skip
        capture.release()
    return cameras


def _why_none() -> str:
    if sys.platform != "linux":
        return "No camera answers. Is one connected, and may this terminal use it (privacy settings)?"
    words = ["No camera: there is no /dev/video* that gives pictures."]
    if Path("/.dockerenv").exists():
        words.append("In a container, pass it in: docker run --device /dev/video0 --group-add video ...")
    elif "microsoft" in Path("/proc/version").read_text(errors="replace").lower():
        words.append("WSL sees no cameras by itself: attach it with usbipd, or run edge-harmony on Windows.")
    else:
        words.append("Plug one in, and look with 'lsusb' whether it is seen; a Jetson's CSI camera is csi://0.")
    words.append("Without one, try: edge-harmony stream --source test: --bg BACKGROUND")
    return "\n".join(words)


def _print_camera(camera: dict[str, Any]) -> None:
    print(f"{camera['source']}  {camera['name']}{'  (virtual)' if camera['virtual'] else ''}")
    for line in (camera["by_id"] or camera["path"], camera["problem"]):
        if line:
            print(f"   {line}")
    kinds: dict[tuple[str, str], list[str]] = {}
    for entry in camera["formats"]:
        rates = ", ".join(f"{rate:.4g}" for rate in entry["rates"])
        size = f"{entry['smallest']} to {entry['size']}" if entry["smallest"] else entry["size"]
        kinds.setdefault((entry["fourcc"], entry["description"]), []).append(f"{size}{f' at {rates}' if rates else ''}")
    for (fourcc, description), sizes in kinds.items():
        print(f"   {f'{fourcc}  ({description})' if fourcc else description}")
        for size in sizes:
            print(f"      {size}")


def _size(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]}x{size_hw[0]}"
