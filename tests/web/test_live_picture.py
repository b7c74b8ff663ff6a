"""The newest picture: encoded once for all, only when asked for, and nobody waits for the slow."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from edge_harmony.web.live_picture import LivePicture
from tests.web.visitor import eventually


def grey(value: int, size_hw: tuple[int, int] = (90, 160)) -> np.ndarray:
    return np.full((*size_hw, 3), value, np.uint8)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Sizes of the pictures that were encoded."""
    sizes: list[tuple[int, ...]] = []
    real = cv2.imencode

    def counting(suffix: str, image: np.ndarray, *rest: object) -> object:
        sizes.append(image.shape)
        return real(suffix, image, *rest)

    monkeypatch.setattr(cv2, "imencode", counting)
    return sizes


def test_one_encoding_for_all_viewers_and_none_for_nobody(encoded: list) -> None:
    picture = LivePicture(1280, 80)
    for value in range(50):
        picture.put(grey(value), value)
    assert not encoded
    assert not picture.watched
    with ThreadPoolExecutor(8) as pool:
        jpegs = list(pool.map(lambda _: picture.jpeg(picture.wait(0, 1.0)), range(24)))
    assert len(set(jpegs)) == 1
    assert len(encoded) == 1
    assert picture.watched


def test_wide_pictures_are_reduced_to_the_width(encoded: list) -> None:
    picture = LivePicture(640, 80)
    for size_hw in ((1080, 1920), (360, 640), (720, 960)):
        picture.put(grey(9, size_hw), 0.0)
        assert picture.jpeg(picture.wait(0, 1.0))
    assert encoded == [(360, 640, 3), (360, 640, 3), (480, 640, 3)]


def test_a_viewer_sees_the_newest_and_never_an_old_one() -> None:
    picture = LivePicture(1280, 80)
    picture.put(grey(1), 0.0)
    first = picture.wait(0, 1.0)
    for value in range(2, 30):
        picture.put(grey(value), 0.0)
    newest = picture.wait(first.sequence, 1.0)
    assert newest.image_bgr[0, 0, 0] == 29
    assert picture.wait(newest.sequence, 0.05) is None


def test_who_waits_is_woken_and_sent_away_at_the_end() -> None:
    picture = LivePicture(1280, 80)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(picture.wait, 0, 20.0)
        eventually(lambda: picture.watched)
        picture.put(grey(1), 0.0)
        assert waiting.result(20.0).sequence == 1
        waiting = pool.submit(picture.wait, 1, 60.0)
        picture.close()
        assert waiting.result(20.0) is None


def test_plain_is_wanted_only_while_somebody_compares() -> None:
    picture = LivePicture(1280, 95)
    picture.put(grey(200), 0.0)
    assert picture.jpeg(picture.wait(0, 1.0), plain=True) == b""
    assert not picture.wants_plain
    picture.wait(0, 1.0, plain=True)
    assert picture.wants_plain
    picture.put(grey(200), 0.0, grey(50))
    shot = picture.wait(1, 1.0, plain=True)
    values = [cv2.imdecode(np.frombuffer(picture.jpeg(shot, plain), np.uint8), 1).mean() for plain in (False, True)]
    assert values == pytest.approx([200, 50], abs=2)


def test_a_frozen_picture_is_not_sent_again_until_plain_comes_with_it() -> None:
    picture, frozen = LivePicture(1280, 80), grey(5)
    for _ in range(10):
        picture.put(frozen, 0.0)
    assert picture.sequence == 1
    picture.put(frozen, 0.0, grey(6))
    picture.put(frozen, 0.0, grey(6))
    assert picture.sequence == 2


def test_putting_never_waits_for_a_viewer_that_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, inside, release = LivePicture(1280, 80), threading.Event(), threading.Event()
    real = cv2.imencode

    def stuck(*arguments: object) -> object:
        inside.set()
        assert release.wait(20.0)
        return real(*arguments)

    monkeypatch.setattr(cv2, "imencode", stuck)
    picture.put(grey(1), 0.0)
    with ThreadPoolExecutor(1) as pool:
        viewer = pool.submit(lambda: picture.jpeg(picture.wait(0, 1.0)))
        assert inside.wait(20.0)
        for value in range(100):
            picture.put(grey(value), 0.0)
        assert picture.sequence == 101
        release.set()
        assert viewer.result(20.0)
