"""Pictures made in the browser are those that Python makes, to a code value: stills, and clips with their state."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import numpy as np
import pytest

from edge_harmony import Compositor, load_harmonizer
from edge_harmony.harmonize.base import Harmonizer
from tests.web_sdk.page import SdkPage, from_page, to_page
from tests.web_sdk.scenes import Picture, Scene, drawn


@pytest.fixture(scope="module")
def base() -> Iterator[Harmonizer]:
    with load_harmonizer("base", threads=1) as harmonizer:
        yield harmonizer


def far(first: Picture, second: Picture) -> int:
    """By how many code values two pictures differ at most."""
    return int(np.abs(first.astype(np.int16) - second.astype(np.int16)).max())


def test_three_pictures(page: SdkPage, base: Harmonizer) -> None:
    """Odd sizes, upright and wide, one smaller than the view that the network sees."""
    assert page.create().startswith("base.onnx on wasm, 1 thread")
    for scene in (drawn(200, 300, 1), drawn(331, 517, 2), drawn(640, 270, 3)):
        page.run("() => h.reset()")
        expected = Compositor(base).process(*scene)
        assert far(expected, Compositor(None).composite(*scene)) > 5, "the picture is one that is changed"
        got = page.process(*scene)
        assert far(got, expected) <= 1
        outside = scene.alpha == 0
        assert np.array_equal(got[outside], scene.background[outside])


def test_nano_and_half_strength(page: SdkPage) -> None:
    page.create(model="nano", strength=0.5)
    scene = drawn(180, 260, 4)
    with load_harmonizer("nano", threads=1) as nano:
        assert far(page.process(*scene), Compositor(nano, strength=0.5).process(*scene)) <= 1


@pytest.mark.parametrize("size", [(150, 240), (331, 517), (420, 840), (96, 1700)], ids=str)
def test_light_wrap(page: SdkPage, size: tuple[int, int]) -> None:
    """At sizes for which the light is read down by 1, 1, 2 and 4."""
    page.create(model="nano", strength=0, lightWrap=0.8)
    scene = drawn(*size, 13)
    lit = Compositor(None, light_wrap=0.8).process(*scene)
    assert far(lit, Compositor(None).composite(*scene)) > 20
    assert far(page.process(*scene), lit) <= 1
    page.run("() => { h.lightWrap = 0; }")
    assert far(page.process(*scene), Compositor(None).composite(*scene)) <= 1


def test_a_composite_that_exists_already(page: SdkPage, base: Harmonizer) -> None:
    page.create()
    scene = drawn(160, 240, 5)
    composite = Compositor(None).composite(*scene)
    assert far(page.process(composite, scene.alpha, None), base(composite, scene.alpha)) <= 1


def clip() -> list[tuple[Scene, float]]:
    """Frames with the time in seconds: motion, light that changes, standing still, a cut, and a pause."""
    frames = [drawn(96, 160, 6, shift=3 * k, tint=1 + 0.02 * k) for k in range(8)]
    frames += [frames[-1]] * 4  # still
    frames += [drawn(96, 160, 7, shift=-2 * k) for k in range(5)]  # another place
    times = np.cumsum([1 / 30] * 13 + [0.4] + [1 / 25] * (len(frames) - 14))
    return list(zip(frames, times.tolist(), strict=True))


def test_a_clip_with_its_state(page: SdkPage, base: Harmonizer) -> None:
    page.create()
    compositor = Compositor(base)
    for number, (scene, time_s) in enumerate(clip()):
        expected = compositor.process(*scene, pts_s=time_s)
        got = page.process(*scene, timeMs=1000 * time_s)
        assert far(got, expected) <= 1, f"frame {number}"
        assert page.run("() => h.reused") == compositor.reused, f"frame {number}"
    assert compositor.reused == 4


def test_a_still_scene_keeps_its_transform_to_the_bit(page: SdkPage) -> None:
    page.create(model="nano")
    scene = drawn(96, 160, 8)
    seen = []
    for _ in range(3):
        page.process(*scene)
        seen.append(page.run("() => [...h.transform]"))
    assert seen[0] == seen[1] == seen[2]
    assert page.run("() => h.reused") == 2


def test_empty_and_full_alpha(page: SdkPage) -> None:
    page.create(model="nano")
    scene = drawn(96, 160, 9)
    assert np.array_equal(page.process(scene.frame, np.zeros_like(scene.alpha), scene.background), scene.background)
    everything = np.full_like(scene.alpha, 255)
    assert np.array_equal(page.process(scene.frame, everything, scene.background), scene.frame)


def test_half_the_picture_before(page: SdkPage, base: Harmonizer) -> None:
    page.create()
    scene = drawn(120, 200, 10)
    page.run("() => { h.compare = 0.5; }")
    got = page.process(*scene)
    assert far(got[:, :100], Compositor(None).composite(*scene)[:, :100]) <= 1
    assert far(got[:, 100:], Compositor(base).process(*scene)[:, 100:]) <= 1


def test_alpha_as_a_picture_and_as_the_frames_own(page: SdkPage) -> None:
    page.create(model="nano")
    scene = drawn(96, 160, 11)
    expected = page.process(*scene)
    own = page.run(
        """async ({ rgba, alpha, width, height, background }) => {
            const frame = t.image({ rgba, width, height });
            const cover = t.bytes(alpha);
            const mask = new ImageData(new Uint8ClampedArray(4 * width * height), width, height);
            for (let i = 0; i < cover.length; i += 1) { mask.data[4 * i] = cover[i]; mask.data[4 * i + 3] = 255; }
            const found = [];
            h.reset();
            await h.process(frame, { alpha: mask, background: t.image(background) });
            found.push(t.pixels(h.readPixels()));
            for (let i = 0; i < cover.length; i += 1) frame.data[4 * i + 3] = cover[i];
            h.reset();
            await h.process(frame, { alpha: 'own', background: t.image(background) });
            found.push(t.pixels(h.readPixels()));
            return found;
        }""",
        {
            **to_page(scene.frame),
            "alpha": b64encode(scene.alpha.tobytes()).decode(),
            "background": to_page(scene.background),
        },
    )
    assert [far(from_page(picture), expected) for picture in own] == [0, 0]


def test_a_canvas_shows_what_is_read(page: SdkPage) -> None:
    """The result is on the canvas, upright, and stays there after the task that made it."""
    page.create(model="nano")
    scene = drawn(96, 160, 12)
    got = page.process(*scene)
    shown = page.run(
        """async () => {
            await new Promise((done) => setTimeout(done, 50));
            const copy = new OffscreenCanvas(h.canvas.width, h.canvas.height);
            const pen = copy.getContext('2d');
            pen.drawImage(h.canvas, 0, 0);
            return t.pixels(pen.getImageData(0, 0, copy.width, copy.height));
        }"""
    )
    assert np.array_equal(from_page(shown), got)
