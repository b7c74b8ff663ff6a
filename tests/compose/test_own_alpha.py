"""What programs hand over: masks of 0 and 1, premultiplied colours, edges as filmed; and pixels that are not square."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_harmony import Compositor, load_harmonizer
from edge_harmony.backgrounds.fit import fit
from edge_harmony.errors import ConfigError
from tests.scenes import flat, soft_disc

SIZE = (96, 128)


def test_a_mask_of_zeros_and_ones_is_stretched_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    ones = (soft_disc(SIZE, 30, 12.0) > 127).astype(np.uint8)
    shown = Compositor(None).process(flat(SIZE, (10, 200, 30)), ones, flat(SIZE, (90, 90, 90)))
    assert (shown[48, 64] == (10, 200, 30)).all()
    assert (shown[0, 0] == 90).all()
    assert "only 0 and 1" in caplog.text
    composite = flat(SIZE, (60, 90, 200))
    with load_harmonizer() as harmonizer:
        assert (harmonizer(composite, ones) == harmonizer(composite, ones * np.uint8(255))).all()


def test_a_fade_passes_through_one_without_a_flash() -> None:
    compositor = Compositor(None)
    compositor.process(flat(SIZE, (0, 0, 255)), soft_disc(SIZE, 30, 12.0), flat(SIZE, (90, 90, 90)))
    faint = compositor.process(
        flat(SIZE, (0, 0, 255)), (soft_disc(SIZE, 30, 12.0) > 127).astype(np.uint8), flat(SIZE, (90, 90, 90))
    )
    assert np.abs(faint.astype(int) - 90).max() <= 1


def test_premultiplied_colours_give_the_same_composite_as_straight_ones() -> None:
    alpha, colour, behind = soft_disc(SIZE, 30, 12.0), flat(SIZE, (20, 120, 240)), flat(SIZE, (200, 60, 10))
    premultiplied = ((colour.astype(int) * alpha[:, :, None] + 127) // 255).astype(np.uint8)
    compositor = Compositor(None)
    straight = compositor.process(colour, alpha, behind).astype(int)
    assert np.abs(compositor.process(premultiplied, alpha, behind, premultiplied=True) - straight).max() <= 1
    assert np.abs(compositor.composite(premultiplied, alpha, behind, premultiplied=True) - straight).max() <= 1
    with pytest.raises(ConfigError):
        compositor.process(colour, alpha, behind, premultiplied=True, estimate=True)


def test_an_edge_as_filmed_is_freed_of_what_was_behind() -> None:
    alpha, behind = soft_disc(SIZE, 30, 24.0), flat(SIZE, (10, 10, 10))
    share = alpha[:, :, None] / 255
    filmed = (flat(SIZE, (40, 40, 220)) * share + flat(SIZE, (40, 230, 40)) * (1 - share) + 0.5).astype(np.uint8)
    wanted = (flat(SIZE, (40, 40, 220)) * share + behind * (1 - share) + 0.5).astype(int)
    edge = (alpha > 40) & (alpha < 215)
    compositor = Compositor(None)
    as_filmed = np.abs(compositor.process(filmed, alpha, behind) - wanted)[edge].mean()
    estimated = np.abs(compositor.process(filmed, alpha, behind, estimate=True) - wanted)[edge].mean()
    assert estimated < as_filmed * 0.55


@pytest.mark.parametrize(("pixel_shape", "width"), [(1.0, 60), (4 / 3, 80), (3 / 4, 45)])
def test_pixels_that_are_not_square_keep_a_circle_round(pixel_shape: float, width: int) -> None:
    """A circle of the scene: in the background's pixels it is narrower than high by the shape of its pixels."""
    background = np.zeros((180, 240, 3), np.uint8)
    cv2.ellipse(background, (120, 90), (30, 30), 0, 0, 360, (255, 255, 255), -1)
    for mode in ("cover", "contain"):
        shown = fit(background, (180, 240), mode, pixel_shape)
        rows, columns = np.nonzero(shown[:, :, 0] > 127)
        across, down = columns.max() - columns.min() + 1, rows.max() - rows.min() + 1
        assert across / down == pytest.approx(width / 60, rel=0.05)
