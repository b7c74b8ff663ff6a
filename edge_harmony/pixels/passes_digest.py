"""What tells one state of the C sources from another: part of the compiled library's name.

setup.py runs this file by itself, before anything is installed: the standard library only.
"""

from __future__ import annotations

import zlib
from pathlib import Path


def sources_digest(folder: Path) -> str:
    """A checksum of the C sources and headers in a folder, eight hexadecimal digits."""
    digest = 0
    for path in sorted(folder.glob("*.[ch]")):
        digest = zlib.crc32(path.read_bytes(), digest)
    return f"{digest:08x}"
