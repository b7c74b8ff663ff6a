"""One of several people: chosen by a rule, kept while others pass, found again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_harmony.errors import ConfigError
from edge_harmony.matte.choice import SubjectChoice, SubjectFollower

SIZE = (240, 400)
RED, BLUE = (40, 40, 200), (200, 60, 40)  # BGR


def scene(*people: tuple[int, int, tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """A frame, everybody's alpha, and each one's own: (x, height, colour), the later before the earlier ones."""
    frame, alpha, own = np.full((*SIZE, 3), 120, np.uint8), np.zeros(SIZE, np.uint8), []
    for x, height, colour in people:
        body = np.zeros(SIZE, np.uint8)
        cv2.ellipse(body, (x, SIZE[0] - height // 2), (height // 5, height // 2), 0, 0, 360, 255, -1)
        body = cv2.GaussianBlur(body, (0, 0), 1.5)
        frame[body > 127] = colour
        alpha = np.maximum(alpha, body)
        own.append(body)
    return frame, alpha, own


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a > 127) & (b > 127)).sum() / max(1, ((a > 127) | (b > 127)).sum()))


@pytest.mark.parametrize(
    ("text", "whom"),
    [
        ("largest", 1),
        ("centre", 2),
        ("center", 2),
        ("0.1,0.9", 0),
        ("0.93, 0.5", 1),
    ],
)
def test_one_is_chosen_by_the_rule(text: str, whom: int) -> None:
    frame, alpha, own = scene((50, 120, RED), (350, 200, BLUE), (190, 100, RED))
    kept = SubjectFollower(SubjectChoice.parse(text))(alpha, frame)
    assert overlap(kept, own[whom]) > 0.99
    assert np.abs(kept.astype(int) - own[whom]).max() <= 1  # soft edges too, and nothing of the others


def test_all_is_the_very_array() -> None:
    frame, alpha, _ = scene((50, 120, RED), (300, 200, BLUE))
    assert SubjectFollower()(alpha, frame) is alpha


def test_somebody_alone_is_left_as_the_matte_found_them() -> None:
    frame, alpha, _ = scene((200, 150, RED))
    assert SubjectFollower(SubjectChoice("largest"))(alpha, frame) is alpha


@pytest.mark.parametrize("before", [True, False])
def test_kept_while_a_larger_one_walks_past(before: bool) -> None:
    follower = SubjectFollower(SubjectChoice.parse("0.5,0.6"))
    together = 0
    for x in range(-20, 430, 10):
        people = [(200, 140, RED), (x, 190, BLUE)]
        frame, alpha, own = scene(*(people if before else people[::-1]))
        kept, red = follower(alpha, frame), own[0 if before else 1]
        if abs(x - 200) > 80:  # apart in the frame
            assert overlap(kept, red) > 0.98, x
        else:
            together += 1
            assert (kept[red > 200] > 127).mean() > 0.95  # never without the chosen one
    assert together


def test_waited_for_and_found_again_by_colour() -> None:
    follower = SubjectFollower(SubjectChoice("largest"))
    frame, alpha, own = scene((100, 200, RED), (300, 120, BLUE))
    assert overlap(follower(alpha, frame), own[0]) > 0.98
    frame, alpha, _ = scene((300, 120, BLUE))
    for _ in range(20):  # red has left: blue is not taken for red
        assert not follower(alpha, frame).any()
    frame, alpha, own = scene((380, 180, RED), (250, 120, BLUE))
    assert overlap(follower(alpha, frame), own[0]) > 0.98


def test_after_a_while_the_rule_chooses_anew() -> None:
    follower = SubjectFollower(SubjectChoice("largest"))
    follower(*scene((100, 200, RED))[1::-1])
    frame, alpha, own = scene((300, 120, BLUE))
    kept = [follower(alpha, frame).any() for _ in range(60)]
    assert not kept[0]
    assert kept[-1]
    assert overlap(follower(alpha, frame), own[0]) > 0.98


def test_frames_of_another_size_start_anew() -> None:
    follower = SubjectFollower(SubjectChoice("largest"))
    frame, alpha, _ = scene((100, 200, RED), (300, 120, BLUE))
    follower(alpha, frame)
    kept = follower(alpha[:, :360].copy(), frame[:, :360].copy())
    assert kept.shape == (240, 360)
    assert kept.any()


def test_nobody_is_nobody() -> None:
    frame, alpha = np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)
    assert not SubjectFollower(SubjectChoice("centre"))(alpha, frame).any()


@pytest.mark.parametrize("text", ["biggest", "1.2,0.5", "0.5", "a,b", "", "nan,0.5"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="subject") as error:
        SubjectChoice.parse(text)
    assert "largest" in error.value.hint
