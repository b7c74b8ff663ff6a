"""Which frames of a stream are torn: part of them, or of what they lean on, was lost on the way.

FFmpeg conceals what is missing, so that a frame with a hole looks decoded, and the frames after it, which are made from
it, carry the hole on up to the next key frame. What it does tell is that something was lost: its receiver of RTP logs
gaps in the sequence numbers, that of MPEG-TS marks the packet.
"""

from __future__ import annotations

import time
from typing import Any, Final

_LOST: Final = "RTP: missed"
_BEHIND: Final = 2  # packets that may be given after a loss was noticed, up to the one that has the hole
_LONGEST_S: Final = 5.0  # a stream without key frames (intra refresh) heals by and by: it is shown again after this


class TornFrames:
    """Follows the packets and frames of one connection."""

    def __init__(self) -> None:
        self._lost_s: float | None = None  # when something was lost that no key frame has made good yet
        self._packets = 0  # since then
        self._whole_from: int | None = None  # time of the key frame that makes it good

    def follow(self, packet: Any, logged: list[tuple[int, str, str]]) -> None:
        """Look at a packet before it is decoded, and at what FFmpeg logged while it was read, which is taken out."""
        lost = packet.is_corrupt or any(_LOST in words for _, _, words in logged)
        logged.clear()
        if lost:
            self._lose()
            return
        if self._lost_s is None or not packet.size:
            return
        self._packets += 1
        late = time.monotonic() - self._lost_s > _LONGEST_S
        if late or (packet.is_keyframe and self._packets >= _BEHIND):
            self._lost_s, self._whole_from = None, None if late else packet.pts

    def is_torn(self, frame: Any) -> bool:
        """Whether a decoded frame is not to be shown."""
        if frame.is_corrupt:
            self._lose()
        if self._lost_s is not None:
            return True
        early = self._whole_from is not None and frame.pts is not None and frame.pts < self._whole_from
        if not early:
            self._whole_from = None
        return early

    def _lose(self) -> None:
        self._lost_s, self._packets, self._whole_from = time.monotonic(), 0, None
