"""The person matte in the browser finds what Python's finds, over a clip with its state."""

from __future__ import annotations

import numpy as np
import pytest

from edge_harmony.matte.person import PersonMatte
from tests.web_sdk.page import SdkPage, from_page, to_page
from tests.web_sdk.scenes import person_clip

_ALPHA = """async (picture) => {
    globalThis.frame ??= h.graphics.texture();
    const { cover, subject } = await h.matte.update(frame.upload(t.image(picture)));
    const read = (texture) => {
        const { width, height } = texture;
        return t.pixels({ data: h.graphics.read(texture, new Uint8Array(4 * width * height)), width, height });
    };
    return [read(cover), read(subject)];
}"""


@pytest.mark.parametrize("size", [(640, 360), (213, 320)], ids=["wide", "upright"])
def test_alpha_is_pythons(page: SdkPage, size: tuple[int, int]) -> None:
    page.create(model="nano", matte="person")
    matte = PersonMatte(threads=1, follow=False)
    for frame in person_clip(*size, frames=4):
        expected = matte(frame)
        cover, subject = (from_page(picture) for picture in page.run(_ALPHA, to_page(frame)))
        alpha = cover[..., 2]  # a texture of one channel is read as red
        difference = np.abs(alpha.astype(int) - expected)
        assert 0.1 < expected.mean() / 255 < 0.7
        assert difference.mean() < 0.1
        assert (difference > 8).mean() < 0.001
        # The subject's own colour, with what was behind taken out.
        colour = matte.foreground(frame, expected)
        mixed = (alpha > 0) & (alpha < 255) & (difference <= 1)
        assert np.abs(colour[mixed].astype(int) - frame[mixed]).mean() > 3, "there is something to take out"
        assert np.abs(subject[mixed].astype(int) - colour[mixed]).mean() < 0.5
        assert np.array_equal(subject[alpha == 255], frame[alpha == 255])


def test_a_small_still_frame(page: SdkPage) -> None:
    """No larger than what the network sees, and twice the same: steadied to the bit."""
    page.create(model="nano", matte="person")
    frame = person_clip(288, 160, frames=1)[0]
    matte = PersonMatte(threads=1, follow=False)
    for _ in range(2):
        got = from_page(page.run(_ALPHA, to_page(frame))[0])[..., 2]
        assert np.abs(got.astype(int) - matte(frame)).mean() < 0.1
