"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from edge_harmony.errors import SinkError

_log = logging.getLogger(__name__)


class WholeFile:
    """A temporary file beside its final place: written to ``temporary``, renamed by ``commit``, or removed.

    The rename is atomic (same folder, so same file system). A process that is killed outright leaves at most a
    hidden ``.NAME.XXXXXXXX.part.EXT`` behind, never a half-written file under the real name.

    Attributes:
        path: the final name.
        temporary: where to write; its suffix is that of ``path``.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        """Check the place and create the temporary file, empty.

        Raises:
            SinkError: the folder is missing or cannot be written, ``path`` is a folder, or it exists and
                ``overwrite`` is not set.
        """
        self.path = Path(path)
        self._overwrite = overwrite
        folder = self.path.parent
        if self.path.is_dir():
            raise SinkError(f"{self.path} is a folder, a file name is needed", "add a name, such as out.mp4")
        if not folder.is_dir():
            kind = "is not a folder" if folder.exists() else "does not exist"
            raise SinkError(f"cannot write {self.path}: {folder} {kind}", "create the folder, or name another")
        if not overwrite and self.path.exists():
            raise SinkError(f"{self.path} exists already", "pass --overwrite, or name another file")
        self.temporary = folder / f".{self.path.stem}.{os.urandom(4).hex()}.part{self.path.suffix}"
        try:
            self.temporary.open("xb").close()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def commit(self) -> None:
        """Give the file its name; raises ``SinkError`` and removes it when that fails.

        Without ``overwrite``, a file that took the name meanwhile stays: ours is then called ``NAME-2.EXT``, which is
        logged, and ``path`` says so.
        """
        try:
            if self._overwrite:
                os.replace(self.temporary, self.path)
            else:
                self._take_a_free_name()
        except OSError as error:
            self.discard()
            raise unwritable(self.path, error) from error

    def _take_a_free_name(self) -> None:
        wanted, number = self.path, 1
        while True:
            try:
                os.link(self.temporary, self.path)  # unlike a rename, it replaces nothing
            except FileExistsError:
                number += 1
                self.path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
                continue
            except OSError:  # a file system without hard links
                if self.path.exists():
                    number += 1
                    self.path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
                    continue
                os.replace(self.temporary, self.path)
            break
        self.discard()
        if self.path != wanted:
            _log.warning("%s appeared meanwhile and stays; this result is %s", wanted, self.path)

    def discard(self) -> None:
        """Remove the temporary file; may be called at any time, any number of times."""
        with contextlib.suppress(OSError):
            self.temporary.unlink()


def unwritable(path: Path, error: OSError) -> SinkError:
    """The ``SinkError`` for a failed write, with the system's own words and a remedy for the usual reasons."""
    import errno

    hints = {
        errno.ENOSPC: "the disk is full: free some space, or write to another disk",
        errno.EDQUOT: "the quota is used up: free some space, or write to another disk",
        errno.EFBIG: "a limit on the size of files was reached: see ulimit -f, or the file system's limit",
        errno.EROFS: "the file system is read-only: name another folder",
    }
    hint = hints.get(error.errno or 0, "check that the folder can be written to, or name another")
    return SinkError(f"cannot write {path}: {error.strerror or error}", hint)
