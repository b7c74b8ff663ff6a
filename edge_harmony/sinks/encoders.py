"""The encoders that a video can be written with, and which of them are here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from edge_harmony.capture.container import import_av
from edge_harmony.errors import BackendUnavailableError, ConfigError


@dataclass(frozen=True)
class Encoder:
    """FFmpeg's name of an encoder, the option that carries ``crf``, and fixed options.

    Attributes:
        name: FFmpeg's.
        quality: its option for a constant quality; "" for one that has a bit rate only.
        options: more for it.
        takes_speed: whether it knows x264's presets.
    """

    name: str
    quality: str
    options: tuple[tuple[str, str], ...] = ()
    takes_speed: bool = False


# x264 is under the GPL, the others are not: see docs/sinks.md.
ENCODERS: Final = {
    "h264": Encoder("libx264", "crf", takes_speed=True),
    "h264_nvenc": Encoder("h264_nvenc", "cq", (("rc", "vbr"), ("b:v", "0"))),
    "h264_qsv": Encoder("h264_qsv", "global_quality"),
    "libopenh264": Encoder("libopenh264", ""),
    "av1": Encoder("libsvtav1", "crf", (("preset", "8"), ("svtav1-params", "log-level=-2"))),
}
_BITS_A_PIXEL: Final = 0.15  # where an encoder has no constant quality


def encoder_of(codec: str) -> Encoder:
    """The encoder that a codec's name means.

    Raises:
        ConfigError: an unknown name. BackendUnavailableError: this PyAV's FFmpeg was built without it.
    """
    if codec not in ENCODERS:
        raise ConfigError(f"the codec {codec!r} is unknown", f"use one of: {', '.join(ENCODERS)}")
    here = available_encoders()
    if codec not in here:
        raise BackendUnavailableError(
            f"this FFmpeg has no encoder {ENCODERS[codec].name}", f"here are: {', '.join(here) or 'none'}"
        )
    return ENCODERS[codec]


def available_encoders() -> list[str]:
    """The names of ``ENCODERS`` that FFmpeg was built with; whether the hardware is there shows when it is opened."""
    av: Any = import_av("writing video")
    found = []
    for codec, encoder in ENCODERS.items():
        try:
            av.codec.Codec(encoder.name, "w")
        except (ValueError, av.error.FFmpegError):
            continue
        found.append(codec)
    return found


def bit_rate(size_hw: tuple[int, int], rate: float) -> int:
    """Bits a second for an encoder without a constant quality."""
    return round(_BITS_A_PIXEL * size_hw[0] * size_hw[1] * rate)
