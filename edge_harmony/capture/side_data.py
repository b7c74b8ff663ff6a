"""What a decoder gives beside a frame: its turn, the light that it was mastered for."""

from __future__ import annotations

from typing import Any


class UnknownKindError(Exception):
    """This PyAV does not know a kind of side data that the frame has, and then gives none at all."""


def side_data_of(frame: Any, kind: str) -> bytes | None:
    """The bytes of one kind (FFmpeg's name without its prefix) beside a decoded frame; None where there is none.

    Costs milliseconds: not for each frame.

    Raises:
        UnknownKindError: see there; a second view (MV-HEVC) is such a kind.
    """
    # In PyAV a frame and its side data hold each other, so that the picture's memory, and its decoder's, would stay
    # until Python looks for cycles, which can be thousands of frames later. A thumbnail has the same side data.
    thumbnail = frame.reformat(width=16, height=16, interpolation="POINT")
    try:
        # By its name: iterating gives the side data itself before PyAV 19, and from then on their names.
        found = thumbnail.side_data.get(kind)
    except ValueError as error:
        raise UnknownKindError(str(error)) from error
    return None if found is None else bytes(found)
