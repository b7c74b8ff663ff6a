"""Whether a file of video is all there, by what its own header says of its size: known before any work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, Final

from edge_harmony.errors import SourceError

HINT: Final = "copy or download it again; to use what is there: ffmpeg -i IN -c copy OUT"
_SEGMENT: Final = b"\x18\x53\x80\x67"  # of Matroska
_ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_OPEN_SIZES: Final = (0, 0xFFFFFFFF)  # of a RIFF that was never finished
_HEAD: Final = 4096
_OGG: Final = b"OggS"
_OGG_LAST: Final = 4  # the flag of a stream's last page
_OGG_LONGEST: Final = 65_307  # bytes of a page
_MXF_PARTITION: Final = bytes.fromhex("060e2b34020501010d0102010102")
_MXF_FOOTER_AT: Final = 24  # in a partition pack


def refuse_cut_short(path: Path, name: str, stream: Any) -> None:
    """Raise ``SourceError`` when a file is shorter than its header or index says.

    Args:
        path: the file.
        name: for the message.
        stream: PyAV's video stream of it; MP4 and MOV say where every frame lies.
    """
    size = path.stat().st_size
    entries = getattr(stream, "index_entries", None) if "mov" in stream.container.format.name else None
    needed = max((entry.pos + entry.size for entry in entries), default=0) if entries else 0
    with path.open("rb") as file:
        needed = needed or _size_by_header(file, size)
    if needed > size:
        raise SourceError(f"{name} is cut short: it has {size} bytes and its header says {needed}", HINT)


def _size_by_header(file: BinaryIO, size: int) -> int:
    """How long the file should be; 0 where its header does not say."""
    head = file.read(_HEAD)
    if head[:4] == b"RIFF":
        return _size_of_riff(file, size)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _size_of_matroska(head)
    if head[:16] == _ASF:
        return _size_of_asf(head)
    if head[:4] == _OGG:
        return sum(_last_page(file, size)[:2])
    if head[:14] == _MXF_PARTITION:
        return _size_of_mxf(head)
    return 0


def ends_unmarked(path: Path) -> bool:
    """Whether a file's end lacks the mark that its format has for it; so far Ogg's is known.

    False of a file that can no longer be opened: it was read to its end while it was open, and has been removed since.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != _OGG:
                return False
            return not _last_page(file, path.stat().st_size)[2] & _OGG_LAST
    except OSError:
        return False


def _last_page(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Where an Ogg file's last page begins, how long it should be, and its flags."""
    start = max(0, size - 2 * _OGG_LONGEST)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_OGG)
    header = tail[at : at + 27]
    if at < 0 or len(header) < 27:
        return start + max(at, 0), 27 if at >= 0 else 0, 0
    sizes = tail[at + 27 : at + 27 + header[26]]
    missing = header[26] - len(sizes)
    return start + at, 27 + len(sizes) + sum(sizes) + missing, header[5]


def _size_of_mxf(head: bytes) -> int:
    """Up to the key of the footer, where the header knows it: it does once the file was finished."""
    at = 16
    at += 1 if head[at] < 0x80 else 1 + (head[at] & 0x7F)  # the length, in BER
    footer = int.from_bytes(head[at + _MXF_FOOTER_AT : at + _MXF_FOOTER_AT + 8], "big")
    return footer + 16 if footer else 0


def _size_of_riff(file: BinaryIO, size: int) -> int:
    """AVI: one RIFF, and for large files more of them one after the other."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        length = int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF" or length in _OPEN_SIZES:
            break
        position += 8 + length
    return position


def _size_of_matroska(head: bytes) -> int:
    at = head.find(_SEGMENT)
    if at < 0 or at + 12 > len(head):
        return 0
    first = head[at + 4]
    width = next((n for n in range(1, 9) if first & (0x80 >> (n - 1))), 0)
    if not width:
        return 0
    value = int.from_bytes(head[at + 4 : at + 4 + width], "big") & ((1 << 7 * width) - 1)
    unknown = value == (1 << 7 * width) - 1  # it was written to something that cannot go back
    return 0 if unknown or not value else at + 4 + width + value


def _size_of_asf(head: bytes) -> int:
    at = head.find(_ASF_FILE)
    if at < 0 or at + 92 > len(head):
        return 0
    live = int.from_bytes(head[at + 88 : at + 92], "little") & 1
    return 0 if live else int.from_bytes(head[at + 40 : at + 48], "little")
