"""The matting literature's figures, on alphas whose errors are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.matte import metrics

DISC = cv2.circle(np.zeros((120, 160), np.uint8), (80, 60), 40, 255, -1)


def test_the_same_alpha_has_no_error() -> None:
    assert metrics.iou(DISC, DISC) == 1
    figures = (metrics.mean_error, metrics.gradient_error, metrics.connectivity_error)
    assert [figure(DISC, DISC) for figure in figures] == [0, 0, 0]
    assert metrics.dt_ssd(DISC, DISC, DISC, DISC) == 0


def test_nothing_and_nothing_agree() -> None:
    none = np.zeros_like(DISC)
    assert metrics.iou(none, none) == 1
    assert metrics.iou(none, DISC) == 0
    assert metrics.connectivity_error(none, none) == 0


def test_a_softer_edge_costs_gradient_and_no_connectivity_to_speak_of() -> None:
    soft = cv2.GaussianBlur(DISC, (0, 0), 4)
    assert metrics.gradient_error(soft, DISC) > 4 * metrics.gradient_error(cv2.GaussianBlur(DISC, (0, 0), 1), DISC)
    assert metrics.connectivity_error(soft, DISC) < 1.0


def test_a_piece_that_hangs_in_the_air_counts_by_its_area() -> None:
    torn = DISC.copy()
    torn[10:30, 5:25] = 255
    assert metrics.connectivity_error(torn, DISC) == pytest.approx(0.4, abs=0.01)  # 400 pixels
    assert metrics.mean_error(torn, DISC) == pytest.approx(400 / DISC.size)


def test_what_moves_as_the_truth_does_is_no_flicker() -> None:
    moved = np.roll(DISC, 5, 1)
    assert metrics.dt_ssd(moved, DISC, moved, DISC) == 0
    off = metrics.dt_ssd(moved, DISC, DISC, DISC)
    assert off == pytest.approx(100 * np.sqrt(np.mean(((moved.astype(float) - DISC) / 255) ** 2)), rel=1e-4)
