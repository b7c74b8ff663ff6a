"""A source whose colours are multiplied by its alpha, as renderers and fill-and-key signals have it, made straight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edge_harmony.capture.source import Source, TimedFrame, WrappedSource
from edge_harmony.errors import ConfigError
from edge_harmony.pixels.frame import check_alpha, straight_colour


class Straightened(WrappedSource):
    """Divides every frame's colours by its alpha.

    Args:
        source: with an alpha channel, or with masks beside it; closed with this one.

    Raises:
        ConfigError: it has neither.
    """

    def __init__(self, source: Source) -> None:
        if not source.has_alpha:
            raise ConfigError(
                f"{source.name} has no alpha that its colours could be multiplied by",
                "leave --premultiplied out, or name the mask with --alpha",
            )
        super().__init__(source)
        self.straight = True

    def __iter__(self) -> Iterator[TimedFrame]:
        for frame in self.source:
            if frame.alpha is None:
                yield frame
                continue
            alpha = check_alpha(frame.alpha, frame.image_bgr.shape[:2], "the source's alpha")
            yield replace(frame, image_bgr=straight_colour(frame.image_bgr, alpha), alpha=alpha)
