"""Pictures that people send: checked before they are decoded, made anew, and bounded in number and size."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import threading
import unicodedata
from pathlib import Path
from typing import Final

from edge_harmony.errors import SinkError, SourceError
from edge_harmony.run.whole_file import unwritable
from edge_harmony.web.decoding import convert

MOST_BYTES: Final = 32 * 2**20  # of one upload
_MOST_UPLOADS: Final = 24
_MOST_STORED: Final = 256 * 2**20
_LONGEST_NAME: Final = 60


class Uploads:
    """A folder of pictures that were sent. Every method may be called from any thread.

    What is kept is our own JPEG of the picture, not the bytes that came: they are neither read by anything else, nor
    do they keep where a photograph was taken. When there are too many, the oldest that is not in use makes room.

    Args:
        folder: where they are kept, created if need be; None makes a temporary folder with the first upload, which
            ``close`` removes.
        most_uploads: how many are kept.
        most_stored: bytes of all of them together.

    Raises:
        SinkError: the folder cannot be created.
    """

    def __init__(
        self, folder: Path | None = None, most_uploads: int = _MOST_UPLOADS, most_stored: int = _MOST_STORED
    ) -> None:
        self._temporary = folder is None
        self._folder = folder.resolve() if folder is not None else None
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(self._folder, error) from error
        self._most_uploads, self._most_stored = most_uploads, most_stored
        self._paths: list[Path] = []
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path | None:
        """Where they are; None before the first upload into a temporary folder."""
        return self._folder

    @property
    def paths(self) -> list[Path]:
        """What was sent and is still there, oldest first."""
        with self._lock:
            return list(self._paths)

    def add(self, data: bytes, name: str, in_use: str = "") -> Path:
        """Check and keep a picture.

        Args:
            data: a JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF.
            name: what its owner calls it; nothing but letters, digits, spaces, dots and dashes are taken from it.
            in_use: path of an upload that must stay.

        Returns:
            Path of the JPEG, in ``folder``.

        Raises:
            SourceError: not a picture, too large, or it cannot be decoded.
            SinkError: it cannot be written.
        """
        encoded = convert(data)
        with self._lock:
            self._make_room(len(encoded), in_use)
            path = self._free_name(self._require_folder(), clean_name(name))
            part = path.with_name(f".{secrets.token_hex(4)}.part")
            try:
                part.write_bytes(encoded)
                os.replace(part, path)
            except OSError as error:
                part.unlink(missing_ok=True)
                raise unwritable(path, error) from error
            self._paths.append(path)
            return path

    def close(self) -> None:
        """Remove the temporary folder; a folder that was given stays, with what is in it."""
        with self._lock:
            if self._temporary and self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
                self._paths.clear()

    def _require_folder(self) -> Path:
        if self._folder is None:
            try:
                self._folder = Path(tempfile.mkdtemp(prefix="edge-harmony-"))
            except OSError as error:
                raise unwritable(Path(tempfile.gettempdir()), error) from error
        return self._folder

    def _make_room(self, size: int, in_use: str) -> None:
        """Remove the oldest until one more of ``size`` bytes fits."""
        if size > self._most_stored:
            raise SourceError("the picture is too large to be kept", "send a smaller one")
        for path in list(self._paths):
            kept = sum(p.stat().st_size for p in self._paths if p.exists())
            if len(self._paths) < self._most_uploads and kept + size <= self._most_stored:
                return
            if str(path) != in_use:
                path.unlink(missing_ok=True)
                self._paths.remove(path)
        kept = sum(p.stat().st_size for p in self._paths if p.exists())
        if len(self._paths) >= self._most_uploads or kept + size > self._most_stored:
            raise SinkError("there is no room for another upload", "send a smaller picture")

    def _free_name(self, folder: Path, stem: str) -> Path:
        path, number = folder / f"{stem}.jpg", 2
        while path.exists():
            path, number = folder / f"{stem} {number}.jpg", number + 1
        return path


def clean_name(name: str) -> str:
    """A file's name without folders, suffix and anything that a file system or a shell could trip over."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    stem = last.rsplit(".", 1)[0]
    kept = "".join(c if c.isalnum() or c in " ._-" else " " for c in stem)
    tidy = re.sub(r"\s+", " ", kept).strip(" ._-")[:_LONGEST_NAME].rstrip(" ._-")
    # Names of devices on Windows, which no file can have.
    reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", tidy)
    return "upload" if not tidy or reserved else tidy
