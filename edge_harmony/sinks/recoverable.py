"""Video files that play whatever happens while they are written.

An ordinary MP4 is worthless without the index at its end. While it grows, ours is a fragmented MP4, complete up to
about the last second; when it is finished, FFmpeg turns it into an ordinary one in place (``hybrid_fragmented``), which
is what older players and editors want. Matroska needs no such thing.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final, cast

from edge_harmony.run.whole_file import rename_without_replacing

FRAGMENT_S: Final = 1.0  # how much may be lost at most, beside what the encoder holds

MP4_OPTIONS: Final = {
    "movflags": "+hybrid_fragmented+delay_moov",  # delayed: sound may start later than the picture
    "frag_duration": str(round(FRAGMENT_S * 1e6)),
    "flush_packets": "1",
}
MATROSKA_OPTIONS: Final = {"cluster_time_limit": str(round(FRAGMENT_S * 1e3)), "flush_packets": "1"}


class RecoverableFile:
    """A file for PyAV to write to, which takes no more once a write has failed.

    Closing a container always rewrites its beginning. After a full disk that would spoil what was recorded so far, so
    from then on writes are swallowed.

    Attributes:
        frozen: set it to swallow all further writes.
        error: the first error of the file system, or None.
    """

    def __init__(self, path: Path) -> None:
        """Open for writing, from the start; raises OSError."""
        self._file = cast("BinaryIO", path.open("wb", buffering=0))
        self.frozen = False
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of it, or raise OSError and freeze."""
        rest = memoryview(data)
        try:
            while rest and not self.frozen:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.frozen, self.error = True, error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def close(self) -> None:
        """Close; may be called twice."""
        self._file.close()


def name_left_over(part: Path, name: Path) -> Path | None:
    """Give a recording that its process left behind a name beside ``name``: NAME-recovered.EXT, or -2, -3 and so on.

    Returns:
        The file, which plays; None where there is no picture in it, and it was removed.

    Raises:
        OSError: it cannot be read or renamed.
    """
    if not keep_whole_fragments(part):
        part.unlink()
        return None
    number, target = 1, name.with_stem(f"{name.stem}-recovered")
    while True:
        try:
            rename_without_replacing(part, target)
            return target
        except FileExistsError:
            number += 1
            target = name.with_stem(f"{name.stem}-recovered-{number}")


def keep_whole_fragments(path: Path) -> bool:
    """Cut a fragmented MP4 that broke off behind its last complete fragment.

    Returns:
        Whether there is any fragment, so whether the file plays. A file that is no MP4 is left as it is.
    """
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        position, end, moving = 0, 0, False
        while position + 8 <= size:
            file.seek(position)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if position == 0 and kind != b"ftyp":
                return size > 0
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length < 8 or position + length > size:
                break
            position += length
            if kind == b"moof":
                moving = True
            elif kind == b"mdat" and moving:
                end, moving = position, False
        file.truncate(end)
        return end > 0
