"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import hashlib
import logging
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from edge_harmony.errors import SinkError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_QUIET_S: Final = 600.0  # a file that was not written to for so long has no writer on another machine

_log = logging.getLogger(__name__)


class WholeFile:
    """A temporary file beside its final place: written to ``temporary``, renamed by ``commit``, or removed.

    The rename is atomic (same folder, so same file system). A process that is killed outright leaves at most a
    hidden ``.NAME.XXXXXXXX.part.EXT`` behind, never a half-written file under the real name. As long as it is at work
    it holds a lock on it, by which ``remove_left_over`` knows what is left over.

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
        number = _this_machine() + os.urandom(4).hex()[:5]
        self.temporary = folder / f".{self.path.stem}.{number}.part{self.path.suffix}"
        try:
            self._held: IO[bytes] | None = self.temporary.open("xb")
        except OSError as error:
            raise unwritable(self.path, error) from error
        if fcntl is None or not _lock(self._held):
            self._let_go()

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
        self._let_go()

    def _take_a_free_name(self) -> None:
        wanted, number = self.path, 1
        while True:
            try:
                rename_without_replacing(self.temporary, self.path)
                break
            except FileExistsError:
                number += 1
                self.path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        if self.path != wanted:
            _log.warning("%s appeared meanwhile and stays; this result is %s", wanted, self.path)

    def discard(self) -> None:
        """Remove the temporary file; may be called at any time, any number of times."""
        with contextlib.suppress(OSError):
            self.temporary.unlink()
        self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()


def remove_left_over(path: Path) -> None:
    """Remove temporary files of ``path`` that a process left which was killed; those in use stay."""
    for left in left_over(path):
        with contextlib.suppress(OSError):
            left.unlink()
            _log.info("%s, left by a run that was killed, is removed", left)


def left_over(path: Path) -> Iterator[Path]:
    """Temporary files of ``path`` that a process left which was killed, each held until the next one is asked for.

    One in use is locked. Some file systems know the locks of their own machine alone: what another machine has written
    to lately is none.
    """
    pattern = f".{glob.escape(path.stem)}.????????.part{glob.escape(path.suffix)}"
    ours = f".{path.stem}.{_this_machine()}"
    for left in sorted(path.parent.glob(pattern)) if fcntl is not None else ():
        with contextlib.ExitStack() as held:
            try:
                file = held.enter_context(left.open("rb"))
                is_quiet = left.name.startswith(ours) or time.time() - left.stat().st_mtime > _QUIET_S
            except OSError:
                continue
            if is_quiet and _lock(file):
                yield left


@functools.cache
def _this_machine() -> str:
    """Three letters that tell this machine, since it was started, from most others."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:3]


def _lock(file: IO[bytes]) -> bool:
    """Whether nobody else holds a file, which we do from now on until it is closed."""
    assert fcntl is not None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def rename_without_replacing(old: Path, new: Path) -> None:
    """Rename a file within its file system; raises FileExistsError where the new name is taken, else OSError."""
    try:
        os.link(old, new)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if new.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
        os.replace(old, new)
    else:
        with contextlib.suppress(OSError):
            old.unlink()


def unwritable(path: Path, error: OSError) -> SinkError:
    """The ``SinkError`` for a failed write, with the system's own words and a remedy for the usual reasons."""
    hints = {
        errno.ENOSPC: "the disk is full: free some space, or write to another disk",
        errno.EDQUOT: "the quota is used up: free some space, or write to another disk",
        errno.EFBIG: "a limit on the size of files was reached: see ulimit -f, or the file system's limit",
        errno.EROFS: "the file system is read-only: name another folder",
    }
    hint = hints.get(error.errno or 0, "check that the folder can be written to, or name another")
    return SinkError(f"cannot write {path}: {error.strerror or error}", hint)
