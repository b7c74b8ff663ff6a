"""Deep, HDR and interlaced video: read to the value, and said once."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edge_harmony.capture.depth import to_8_bits
from edge_harmony.capture.file import open_file
from edge_harmony.capture.hdr import hlg_light, pq_light, to_sdr
from edge_harmony.capture.video import VideoFile
from edge_harmony.errors import SourceError
from tests.capture.scenes import write_clip, write_yuv

# Codes of 10-bit limited range: luma between two codes of 8 bits, and the 8-bit value it stands for.
LEVELS = {64: 0.0, 502: 127.5, 503: 127.79, 700: 185.14, 940: 255.0}


def _deep_planes(luma: np.ndarray, chroma: int = 1) -> list[np.ndarray]:
    height, width = luma.shape
    return [luma.astype(np.uint16), *(np.full((height // chroma, width // 2), 512, np.uint16),) * 2]


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix", "options"),
    [
        ("libx265", "yuv420p10le", ".mp4", {"x265-params": "lossless=1:log-level=none", "preset": "ultrafast"}),
        ("ffv1", "yuv422p10le", ".mkv", {}),
        ("prores_ks", "yuv422p10le", ".mov", {"profile": "hq", "qscale": "1"}),
    ],
)
def test_ten_bits_are_dithered_to_the_right_mean(
    tmp_path: Path,
    codec: str,
    pixel_format: str,
    suffix: str,
    options: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    luma = np.repeat(np.repeat(np.array(list(LEVELS)), 64)[None], 96, 0)
    planes = _deep_planes(luma, 2 if "420" in pixel_format else 1)
    path = write_yuv(tmp_path / f"deep{suffix}", [planes] * 3, codec=codec, pixel_format=pixel_format, options=options)
    with caplog.at_level(25):
        frames = [frame.image_bgr for frame in VideoFile(path)]
    assert len(frames) == 3
    assert sum("rounded to 8 with dither" in record.message for record in caplog.records) == 1
    for place, expected in enumerate(LEVELS.values()):
        cell = frames[0][16:80, 64 * place + 16 : 64 * place + 48].astype(float)
        assert cell.mean() == pytest.approx(expected, abs=0.12 if codec != "prores_ks" else 0.6)
        assert cell.max() - cell.min() <= (1 if codec != "prores_ks" else 3)
    if codec != "prores_ks":
        assert (frames[0] == frames[2]).all()  # a still picture stays still


def test_eight_bits_in_sixteen_come_back_exactly_and_masks_are_rounded() -> None:
    codes = np.arange(256, dtype=np.uint16).reshape(16, 16)
    assert (to_8_bits(codes * 257, dither=True) == codes).all()
    assert (to_8_bits(codes * 257, dither=False) == codes).all()
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.abs(to_8_bits(deep, dither=False) - deep / 257).max() <= 0.51
    flat = np.full((64, 64), round(100.25 * 257), np.uint16)
    assert to_8_bits(flat, dither=True).mean() == pytest.approx(100.25, abs=0.02)


def test_a_deep_mask_is_read(tmp_path: Path) -> None:
    luma = np.repeat(np.repeat(np.array([64, 502, 940]), 64)[None], 96, 0)
    path = write_yuv(tmp_path / "m.mkv", [_deep_planes(luma, 2)], codec="ffv1", pixel_format="yuv420p10le", options={})
    alpha = next(VideoFile(path).masks()).alpha
    assert alpha is not None
    assert [int(alpha[48, x]) for x in (32, 96, 160)] in ([0, 127, 255], [0, 128, 255])


def test_the_curve_meets_its_recommendations() -> None:
    grey = np.ones((1, 3))
    assert hlg_light(grey * 0.75)[0, 0] * 1000 == pytest.approx(203, abs=1)  # BT.2408: HDR reference white
    assert pq_light(grey * 0.58)[0, 0] * 1000 == pytest.approx(203, abs=2)
    assert to_sdr(grey, "HLG")[0] == pytest.approx([1, 1, 1], abs=2e-3)
    assert to_sdr(grey * 0, "HLG")[0] == pytest.approx([0, 0, 0], abs=1e-6)
    assert to_sdr(grey * 0.75, "HLG")[0] == pytest.approx(to_sdr(grey * 0.5806, "PQ")[0], abs=4e-3)
    steps = to_sdr(np.linspace(0, 1, 200)[:, None] * grey, "PQ")[:, 1]
    assert (np.diff(steps) >= -1e-9).all()
    red_709 = np.array([[0.627404, 0.069097, 0.016391]]) ** (1 / 2.4)  # BT.709's red in BT.2020
    assert to_sdr(red_709, "BT.2020")[0] == pytest.approx([1, 0, 0], abs=0.02)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_tone_mapped_by_the_curve_or_refused(
    tmp_path: Path, transfer: int, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    signal = np.array([0.1, 0.3, 0.5, 0.7])
    luma = np.repeat(np.repeat(np.round(64 + 876 * signal).astype(int), 64)[None], 96, 0)
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 256, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, transfer, 1
        frame = av.VideoFrame(256, 96, "yuv420p10le")
        for plane, values in zip(frame.planes, _deep_planes(luma, 2), strict=True):
            padded = np.zeros((values.shape[0], plane.line_size // 2), np.uint16)
            padded[:, : values.shape[1]] = values
            plane.update(padded.tobytes())
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with caplog.at_level(25):
        image = next(iter(open_file(path))).image_bgr
    assert f"HDR ({name}, 10 bits): tone-mapped" in caplog.text
    expected = 255 * to_sdr(signal[:, None] * np.ones(3), name)[:, 0]
    found = [image[40:56, 64 * place + 24 : 64 * place + 40].mean() for place in range(4)]
    assert found == pytest.approx(expected, abs=1.0)
    with pytest.raises(SourceError, match=name) as caught:
        open_file(path, hdr="refuse")
    assert "--hdr refuse" in caught.value.message


@pytest.mark.parametrize(
    ("metadata", "peak"),
    [
        ("", None),
        ("max-cll=4000,400", 4000),
        ("master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(20000000,50)", 2000),
        ("max-cll=600,200:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)", 600),
        ("max-cll=90,20", 203),
    ],
)
def test_pq_is_mapped_from_the_light_that_it_names(
    tmp_path: Path, metadata: str, peak: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Highlights above 1000 cd/m2 keep their shape where the file says that it has such."""
    signal = np.array([0.3, 0.58, 0.76, 0.85])  # 10, 203, 1000 and about 2200 cd/m2
    luma = np.repeat(np.repeat(np.round(64 + 876 * signal).astype(int), 64)[None], 96, 0)
    tags = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    options = {"x265-params": f"lossless=1:log-level=none:{tags}:{metadata}".rstrip(":"), "preset": "ultrafast"}
    planes = [_deep_planes(luma, 2)] * 30
    path = write_yuv(tmp_path / "pq.mp4", planes, codec="libx265", pixel_format="yuv420p10le", options=options)
    with caplog.at_level(25):
        frames = [frame.image_bgr for frame in VideoFile(path)]
    assert (f"tone-mapped from {peak:g} cd/m2" if peak else "tone-mapped to 8-bit") in caplog.text
    expected = 255 * to_sdr(signal[:, None] * np.ones(3), "PQ", peak or 1000)[:, 0]
    assert (expected[3] - expected[2] > 10) == ((peak or 0) > 1000)
    for image in (frames[0], frames[-1]):
        found = [image[40:56, 64 * place + 24 : 64 * place + 40].mean() for place in range(4)]
        assert found == pytest.approx(expected, abs=1.0)


def test_interlaced_video_is_deinterlaced_frame_for_frame(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A bar that moves 16 pixels from field to field: combed as it is, whole afterwards."""
    frames = []
    for index in range(8):
        luma = np.full((96, 256), 40, np.uint8)
        for field in (0, 1):
            left = 20 + 16 * (2 * index + field) // 2
            luma[field::2, left : left + 60] = 200
        frames.append([luma, *(np.full((48, 128), 128, np.uint8),) * 2])
    path = tmp_path / "inter.mp4"
    options = {"qp": "4", "preset": "ultrafast", "x264-params": "tff=1:interlaced=1"}
    write_yuv(path, frames, options=options)
    with av.open(str(path)) as file:
        assert all(frame.interlaced_frame for frame in file.decode(video=0))
    with caplog.at_level(25, logger="edge_harmony"):
        shown = list(VideoFile(path))
    assert sum("deinterlaced" in record.message for record in caplog.records) == 1
    assert [frame.time_s for frame in shown] == [Fraction(i, 25) for i in range(8)]
    for index, frame in enumerate(shown[1:-1], 1):
        rows = frame.image_bgr[20:76, :, 1].astype(int)
        edges = np.array([np.flatnonzero(row > 120)[0] for row in rows])
        assert edges.max() - edges.min() <= 3  # combed it would be 8
        assert min(abs(edges[0] - (20 + 16 * index + half)) for half in (0, 8)) <= 3  # one field's place


def test_progressive_video_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="edge_harmony"):
        list(VideoFile(write_clip(tmp_path / "a.mp4", 3)))
    assert not caplog.records
