"""Streams that lose packets on the way: no picture with a hole is ever shown, and each that is left out is counted."""

from __future__ import annotations

import random
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge_harmony.capture import CaptureOptions
from edge_harmony.capture.network import NetworkStream
from edge_harmony.capture.torn import TornFrames
from tests.attack.how_long import many
from tests.capture.rtsp_server import RtspServer, _packets, encode_h264

SIZE_HW = (240, 320)
GOP = 10


def moving_pictures(count: int) -> list[np.ndarray]:
    """A textured picture under a moving window, so that a hole shows and moves on with what leans on it."""
    rng = np.random.default_rng(5)
    height, width = SIZE_HW
    large = cv2.resize(rng.integers(0, 256, (30, 40, 3), np.uint8), (width + 3 * count, height + 2 * count))
    grain = rng.integers(-20, 20, (*SIZE_HW, 1))
    windows = [large[2 * i : 2 * i + height, 3 * i : 3 * i + width] for i in range(count)]
    return [np.clip(window + grain, 0, 255).astype(np.uint8) for window in windows]


def worst_block(shown: np.ndarray, truth: np.ndarray) -> float:
    difference = np.abs(shown.astype(np.int16) - truth).mean(2)
    return float(difference.reshape(SIZE_HW[0] // 16, 16, SIZE_HW[1] // 16, 16).mean((1, 3)).max())


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("share", [0.0, 0.01])
def test_no_torn_picture_is_shown(transport: str, share: float) -> None:
    pictures = moving_pictures(60)
    frames = encode_h264(pictures, {"g": str(GOP), "qp": "24"})
    count = sum(len(list(_packets(frame))) for frame in frames)
    chance, shown, wanted = random.Random(1), [], many(100, 3000)
    with RtspServer(frames, rate=50.0) as server:
        server.lost = {i for i in range(count, 100 * count) if chance.random() < share}
        source = NetworkStream(server.url, CaptureOptions(transport=transport, open_timeout_s=20, read_timeout_s=20))
        for frame in source:
            shown.append(frame.image_bgr)
            if len(shown) >= wanted:
                break
        source.close()
    small = [picture[::8, ::8].astype(np.int16) for picture in pictures]
    worst = [worst_block(one, pictures[int(np.argmin([np.abs(one[::8, ::8] - s).mean() for s in small]))])
             for one in shown]  # fmt: skip
    assert max(worst) < 25, [round(value) for value in worst]
    assert (source.undecodable > 0) is (share > 0)


def test_a_loss_in_mpeg_ts_tears_what_follows(tmp_path: Path) -> None:
    """The same without a clock: 188 bytes of a transport stream are lost, which its counters tell."""
    path, pictures = tmp_path / "a.ts", moving_pictures(40)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"g": str(GOP), "qp": "24", "tune": "zerolatency"})
        stream.height, stream.width = SIZE_HW
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        file.mux(stream.encode())
    data = path.read_bytes()
    place = len(data) // 188 // 3
    path.write_bytes(data[: place * 188] + data[(place + 1) * 188 :])
    torn, good = TornFrames(), []
    with av.open(str(path)) as file:
        for packet in file.demux(video=0):
            torn.follow(packet, [])
            good += [(not torn.is_torn(frame), frame.to_ndarray(format="bgr24")) for frame in packet.decode()]
    assert len(good) == 40
    wrong = [worst_block(image, picture) >= 25 for (_, image), picture in zip(good, pictures, strict=True)]
    assert any(wrong)
    assert not any(bad and kept for bad, (kept, _) in zip(wrong, good, strict=True))
    assert sum(kept for kept, _ in good) >= 40 - 2 * GOP
