"""Options that say where frames come from and what to ask of a camera."""

from __future__ import annotations

import argparse
from fractions import Fraction
from typing import Any

from edge_harmony.capture.options import HDR_MODES, LOCK, TRANSPORTS, CaptureOptions
from edge_harmony.run.arguments import size


def add_capture_options(parser: argparse.ArgumentParser) -> None:
    """``--size``, ``--fps``, ``--fourcc``, ``--exposure``, ``--white-balance``, ``--transport``, ``--hdr``."""
    group = parser.add_argument_group("camera and network", "What was obtained is printed.")
    group.add_argument("--size", type=size(), metavar="WxH", help="size asked of a camera, as 1280x720")
    group.add_argument("--fps", type=rate, metavar="N", help="frames a second of a camera or of pictures")
    group.add_argument("--fourcc", metavar="CODE", help="pixel format asked of a camera: MJPG, YUYV, ...")
    group.add_argument(
        "--exposure", type=_lockable, metavar="N|lock", help="set it, or 'lock' what the camera found by itself"
    )
    group.add_argument("--white-balance", type=_lockable, metavar="K|lock", help="the same for the white balance")
    group.add_argument(
        "--transport", choices=TRANSPORTS, help="how RTSP brings its packets (default tcp, which loses none)"
    )
    add_hdr_option(group)


def add_hdr_option(parser: Any) -> None:
    """``--hdr``."""
    parser.add_argument(
        "--hdr", choices=HDR_MODES, default="tonemap",
        help="HDR video (HLG, PQ) as the source: tone-map it to BT.709 by ITU-R BT.2446 (default), or refuse it",
    )  # fmt: skip


def capture_options(args: argparse.Namespace) -> CaptureOptions:
    """What was given; what was not is left to the source. ``ConfigError`` for what no source could take."""
    return CaptureOptions(
        size_hw=args.size,
        rate=args.fps,
        fourcc=args.fourcc,
        exposure=args.exposure,
        white_balance=args.white_balance,
        transport=args.transport or "tcp",
        hdr=args.hdr,
    )


def rate(text: str) -> Fraction:
    """Frames a second, exact."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate such as 25 or 30000/1001") from None
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} frames a second are not possible")
    return value


def _lockable(text: str) -> float | str:
    if text == LOCK:
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor '{LOCK}'") from None
