"""HDR and BT.2020 video as 8-bit BT.709: the curve of ITU-R BT.2446-1, method A.

HLG is decoded to light on a display of 1000 cd/m2 with the system gamma of BT.2100. PQ is decoded to light up to the
peak of the display that it was mastered on, or up to the brightest that its content names (MaxCLL), whichever is less,
and up to 1000 cd/m2 where it says neither; what is brighter is clipped. Method A compresses that to 100 cd/m2; then it
is brought from the primaries of BT.2020 to those of BT.709, and encoded for a display of BT.1886. BT.2020 of standard
range changes its primaries only.
"""

from __future__ import annotations

import functools
import os
import struct
import tempfile
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.side_data import UnknownKindError, side_data_of

Array = NDArray[np.float64]

PEAK_NITS: Final = 1000.0
_LEAST_PEAK_NITS: Final = 203.0  # HDR's reference white (BT.2408): nobody masters below it
_MOST_PEAK_NITS: Final = 10_000.0  # PQ's own
SDR_NITS: Final = 100.0
CURVE: Final = "ITU-R BT.2446 method A"
_SIZE: Final = 65  # steps of the table on each axis
_LUMA: Final = np.array([0.2627, 0.6780, 0.0593])
# From linear BT.2020 to linear BT.709 (ITU-R BT.2407).
_TO_709: Final = np.array([
    [1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730],
])  # fmt: skip


def peak_of(frame: Any) -> float | None:
    """The brightest that a decoded PQ frame holds, in cd/m2, by its metadata (SMPTE ST 2086, CTA-861.3); None where it
    has none. They come with key frames; asking costs milliseconds.
    """
    try:
        display, content = (side_data_of(frame, kind) for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"))
    except UnknownKindError:
        return None
    found: list[float] = []
    if display is not None and len(display) >= 88:
        *_, numerator, denominator, _primaries, luminance = struct.unpack("=22i", display[:88])
        found += [numerator / denominator] if luminance and denominator else []
    if content is not None and len(content) >= 4:
        found += struct.unpack("=I", content[:4])
    known = [nits for nits in found if nits > 0]
    return bounded_peak(min(known)) if known else None


def bounded_peak(nits: float) -> float:
    """A peak that a file names, within what makes sense, in cd/m2."""
    return min(max(nits, _LEAST_PEAK_NITS), _MOST_PEAK_NITS)


def hlg_light(signal: Array) -> Array:
    """Light of a 1000 cd/m2 display, 0..1 of its peak, for an HLG signal (..., 3) R'G'B' in 0..1 (BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = (scene @ _LUMA)[..., None]
    return np.clip(scene * np.maximum(luminance, 1e-12) ** 0.2, 0, 1)


def pq_light(signal: Array, peak_nits: float = PEAK_NITS) -> Array:
    """Light, 0..1 of ``peak_nits``, for a PQ signal (..., 3) R'G'B' in 0..1 (BT.2100); brighter is clipped."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = np.clip(signal, 0, 1) ** (1 / m2)
    nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return np.clip(nits / peak_nits, 0, 1)


def tone_map(light: Array, peak_nits: float = PEAK_NITS) -> Array:
    """BT.2446-1 method A: linear BT.2020 light (..., 3), 0..1 of ``peak_nits``, to R'G'B' of BT.709 in 0..1."""
    coded = light ** (1 / 2.4)
    luma = coded @ _LUMA
    rho = 1 + 32 * (peak_nits / 10_000) ** (1 / 2.4)
    perceived = np.log(1 + (rho - 1) * luma) / np.log(rho)
    knee = np.select(
        [perceived <= 0.7399, perceived < 0.9909],
        [1.0770 * perceived, -1.1510 * perceived**2 + 2.7811 * perceived - 0.6302],
        0.5000 * perceived + 0.5000,
    )
    rho_sdr = 1 + 32 * (SDR_NITS / 10_000) ** (1 / 2.4)
    mapped = (rho_sdr**knee - 1) / (rho_sdr - 1)
    gain = mapped / np.maximum(1.1 * luma, 1e-9)
    blue = gain * (coded[..., 2] - luma) / 1.8814
    red = gain * (coded[..., 0] - luma) / 1.4746
    mapped = mapped - np.maximum(0.1 * red, 0)
    r, b = mapped + 1.4746 * red, mapped + 1.8814 * blue
    g = (mapped - _LUMA[0] * r - _LUMA[2] * b) / _LUMA[1]
    return to_709(np.clip(np.stack([r, g, b], -1), 0, 1))


def to_709(coded: Array) -> Array:
    """R'G'B' of standard range (..., 3) in BT.2020 primaries to those of BT.709; what BT.709 cannot show is clipped."""
    return np.clip(np.clip(coded, 0, 1) ** 2.4 @ _TO_709.T, 0, 1) ** (1 / 2.4)


def to_sdr(signal: Array, kind: str, peak_nits: float = PEAK_NITS) -> Array:
    """A signal (..., 3) R'G'B' in 0..1, of ``HLG``, ``PQ`` or ``BT.2020``, as R'G'B' of BT.709."""
    if kind == "HLG":
        return tone_map(hlg_light(signal))
    if kind == "PQ":
        return tone_map(pq_light(signal, peak_nits), peak_nits)
    return to_709(signal)


class ToneMapper:
    """Takes frames in 16-bit BGR through a table of ``to_sdr``, by FFmpeg's ``lut3d`` (tetrahedral).

    Args:
        kind: ``HLG``, ``PQ`` or ``BT.2020``.
        peak_nits: of PQ: where it is clipped.
    """

    def __init__(self, kind: str, peak_nits: float = PEAK_NITS) -> None:
        self._kind, self._peak = kind, peak_nits
        self._graph: Any = None
        self._size: tuple[int, int] | None = None

    def __call__(self, frame: Any) -> Any:
        """A PyAV frame in bgr48le, R'G'B' of the source, as one of BT.709."""
        if self._size != (frame.width, frame.height):
            self._build(frame)
        frame.pts = None
        self._graph.push(frame)
        return self._graph.pull()

    def _build(self, frame: Any) -> None:
        import av.filter

        graph = av.filter.Graph()
        source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1))
        handle, path = tempfile.mkstemp(prefix="edge-harmony-", suffix=".cube")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_table(self._kind, self._peak))
            table = graph.add("lut3d", file=path, interp="tetrahedral")
            sink = graph.add("buffersink")
            source.link_to(table)
            table.link_to(sink)
            graph.configure()
        finally:
            os.unlink(path)
        self._graph, self._size = graph, (frame.width, frame.height)


@functools.lru_cache(2)
def _table(kind: str, peak_nits: float) -> bytes:
    """The table in Adobe's .cube format: red changes fastest."""
    axis = np.linspace(0, 1, _SIZE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    mapped = to_sdr(np.stack([red, green, blue], -1), kind, peak_nits).reshape(-1, 3)
    lines = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in mapped.tolist())
    return f"LUT_3D_SIZE {_SIZE}\n{lines}\n".encode()
