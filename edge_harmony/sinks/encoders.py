"""The encoders that a video can be written with, and which of them work here."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from edge_harmony.capture.container import import_av, native_words
from edge_harmony.errors import BackendUnavailableError, ConfigError


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg, and what it is told.

    Attributes:
        name: FFmpeg's.
        quality: its option for a constant quality, ``crf``; "" for one that has a bit rate only.
        options: more for a file.
        live: options for a stream with little delay; None: it is not for servers, which want H.264.
        takes_speed: whether it knows x264's presets.
        needs: what it wants besides FFmpeg, for who lacks it.
        pixel_format: what it takes; frames are given in yuv420p.
    """

    name: str
    quality: str
    options: tuple[tuple[str, str], ...] = ()
    live: tuple[tuple[str, str], ...] | None = None
    takes_speed: bool = False
    needs: str = ""
    pixel_format: str = "yuv420p"


# x264 is under the GPL, the others are not: see docs/sinks.md.
ENCODERS: Final = {
    "h264": Encoder("libx264", "crf", live=(("tune", "zerolatency"), ("forced-idr", "1")), takes_speed=True),
    "h264_nvenc": Encoder(
        "h264_nvenc", "cq", (("rc", "vbr"), ("b:v", "0")),
        (("rc", "cbr"), ("tune", "ull"), ("zerolatency", "1"), ("forced-idr", "1")),
        needs="an NVIDIA GPU and its driver",
    ),
    "h264_qsv": Encoder(
        "h264_qsv", "global_quality", live=(("async_depth", "1"), ("forced_idr", "1")),
        needs="an Intel GPU, its driver and its media runtime (libvpl)", pixel_format="nv12",
    ),
    "libopenh264": Encoder("libopenh264", "", live=(("allow_skip_frames", "1"),), needs="an FFmpeg built with it"),
    "av1": Encoder("libsvtav1", "crf", (("preset", "8"), ("svtav1-params", "log-level=-2"))),
}  # fmt: skip
# For a subject with its alpha, by the file's suffix.
WITH_ALPHA: Final = {
    ".mov": Encoder(
        "prores_ks", "", (("profile", "4444"), ("alpha_bits", "8"), ("vendor", "apl0")), pixel_format="yuva444p10le"
    ),
    ".webm": Encoder(
        "libvpx-vp9", "crf", (("b:v", "0"), ("deadline", "good"), ("cpu-used", "5"), ("row-mt", "1")),
        pixel_format="yuva420p",
    ),
}  # fmt: skip
_BITS_A_PIXEL: Final = 0.15  # where an encoder has no constant quality


def encoder_of(codec: str) -> Encoder:
    """The encoder that a codec's name means.

    Raises:
        ConfigError: an unknown name. BackendUnavailableError: it does not work here.
    """
    if codec not in ENCODERS:
        raise ConfigError(f"the codec {codec!r} is unknown", f"use one of: {', '.join(ENCODERS)}")
    reason = why_not(codec)
    if reason:
        works = " or ".join(name for name in ENCODERS if not why_not(name))
        needs = f"it needs {ENCODERS[codec].needs}; " if ENCODERS[codec].needs else ""
        raise BackendUnavailableError(
            f"the encoder {ENCODERS[codec].name} cannot be opened: {reason}",
            f"{needs}use --codec {works}" if works else "install a PyAV with an H.264 encoder: pip install av",
        )
    return ENCODERS[codec]


def alpha_encoder_of(suffix: str) -> Encoder:
    """The encoder for a file with alpha, by its suffix, one of ``WITH_ALPHA``.

    Raises:
        BackendUnavailableError: it does not work here.
    """
    reason = _why_not(WITH_ALPHA[suffix])
    if reason:
        works = " or ".join(other for other, encoder in WITH_ALPHA.items() if not _why_not(encoder))
        raise BackendUnavailableError(
            f"the encoder {WITH_ALPHA[suffix].name} cannot be opened: {reason}",
            f"write {works}" if works else "write pictures, or install a PyAV with ProRes or VP9: pip install av",
        )
    return WITH_ALPHA[suffix]


def why_not(codec: str) -> str:
    """Why an encoder of ``ENCODERS`` does not work here, in FFmpeg's words; "" where it was opened and does."""
    return _why_not(ENCODERS[codec])


@functools.cache
def _why_not(encoder: Encoder) -> str:
    av: Any = import_av("writing video")
    os.environ.setdefault("SVT_LOG", "1")  # or SVT-AV1 tells the terminal its life
    with av.logging.Capture() as lines:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            context = av.CodecContext.create(encoder.name, "w")
            context.width = context.height = 256
            context.pix_fmt, context.time_base, context.framerate = encoder.pixel_format, Fraction(1, 25), 25
            context.open()
        except ValueError:  # PyAV's for a name that FFmpeg does not know
            return "this FFmpeg was built without it"
        except (OSError, av.error.FFmpegError) as error:
            said = " ".join(line[2] for line in lines).split()
            return " ".join(said).rstrip(".") or native_words(error)
        finally:
            av.logging.set_level(level)
    return ""


def bit_rate(size_hw: tuple[int, int], rate: float) -> int:
    """Bits a second for an encoder without a constant quality."""
    return round(_BITS_A_PIXEL * size_hw[0] * size_hw[1] * rate)
