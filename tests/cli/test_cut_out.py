"""``--cut-out``: the harmonized subject alone, with its alpha, composited elsewhere as it would have been here."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge_harmony.capture.file import open_file
from edge_harmony.pixels.over import over
from tests.capture.scenes import write_clip
from tests.cli.runner import names, run

SIZE_HW = (96, 128)
BACK = (120, 80, 60)  # BGR; as #rrggbb below


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder with a video with sound and a soft mask."""
    folder = tmp_path / "clip"
    folder.mkdir()
    write_clip(folder / "video.mkv", 6, SIZE_HW, audio_s=0.2)
    mask = cv2.circle(np.zeros(SIZE_HW, np.uint8), (64, 48), 30, 255, -1)
    cv2.imwrite(str(folder / "mask.png"), cv2.GaussianBlur(mask, (0, 0), 3))
    return folder


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels", "off"),
    [
        (".mov", "prores", "yuva444p", 4),
        (".webm", "vp9", "yuva420p", 12),
    ],
)
def test_over_the_background_it_is_the_composite(
    clip: Path, model: Path, suffix: str, codec: str, pixels: str, off: int
) -> None:
    common = (
        "process",
        clip / "video.mkv",
        "--alpha",
        clip / "mask.png",
        "--bg",
        "#3c5078",
        "--model",
        model,
        "--smoothing",
        0,
    )
    out = clip / f"out{suffix}"
    assert run(*common, "-o", out, "--cut-out", "--crf", 8).code == 0
    assert run(*common, "-o", clip / "whole.mkv", "--crf", 0).code == 0
    with av.open(str(out)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name.startswith(codec)
        assert [s.type for s in file.streams] == (["video", "audio"] if suffix == ".mov" else ["video"])
        if suffix == ".mov":
            assert stream.codec_context.pix_fmt.startswith(pixels)
        else:
            assert stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1"
    made, whole = list(open_file(out)), list(open_file(clip / "whole.mkv"))
    assert [f.time_s for f in made] == [f.time_s for f in whole]
    background = np.full((*SIZE_HW, 3), BACK, np.uint8)
    mask = cv2.imread(str(clip / "mask.png"), 0)
    for cut, expected in zip(made, whole, strict=True):
        assert cut.alpha is not None
        assert np.abs(cut.alpha.astype(int) - mask).max() <= off
        shown = over(cut.image_bgr, cut.alpha, background)
        assert np.abs(shown.astype(int) - expected.image_bgr).mean() < 2
    assert names(clip) == {"video.mkv", "mask.png", "whole.mkv", out.name}


def test_a_picture_exactly(clip: Path, model: Path) -> None:
    frame = next(iter(open_file(clip / "video.mkv"))).image_bgr
    cv2.imwrite(str(clip / "one.png"), frame)
    common = ("image", clip / "one.png", "--alpha", clip / "mask.png", "--bg", "#3c5078", "--model", model)
    assert run(*common, "-o", clip / "cut.png", "--cut-out").code == 0
    assert run(*common, "-o", clip / "whole.png").code == 0
    cut, whole = (cv2.imread(str(clip / n), cv2.IMREAD_UNCHANGED) for n in ("cut.png", "whole.png"))
    mask = cv2.imread(str(clip / "mask.png"), 0)
    assert np.array_equal(cut[..., 3], mask)
    assert not cut[mask == 0].any()
    background = np.full((*SIZE_HW, 3), BACK, np.uint8)
    shown = over(np.ascontiguousarray(cut[..., :3]), mask, background)
    assert np.abs(shown.astype(int) - whole).max() <= 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("process", "video.mkv", "-o", "out.mp4"), ".webm"),
        (("process", "video.mkv", "-o", "out.mov", "--compare"), "--compare"),
        (("image", "one.png", "-o", "out.jpg"), ".png"),
        (("image", "one.png", "-o", "out.png", "--compare"), "--compare"),
    ],
)
def test_what_holds_no_alpha_is_refused(clip: Path, words: tuple[str, ...], says: str) -> None:
    cv2.imwrite(str(clip / "one.png"), np.full((*SIZE_HW, 3), 90, np.uint8))
    command, source, dash_o, out, *more = words
    before = names(clip)
    done = run(
        command, clip / source, "--alpha", clip / "mask.png", "--bg", "#3c5078", dash_o, clip / out, "--cut-out", *more
    )
    assert done.code == 2 or done.code == 1
    assert says in done.err
    assert names(clip) == before
