"""The file in which TensorRT's measurements are kept from build to build: several builds may share it at once."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from edge_harmony.errors import ConfigError

_ANOTHER = "name another --timing-cache, in a folder that can be written to"


def read(path: Path) -> bytes:
    """What is in it; nothing where it does not exist. Raises ConfigError."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", _ANOTHER) from None


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Nobody else adds to the file meanwhile: a lock on ``FILE.lock`` beside it, which the system lets go of.

    Raises:
        ConfigError: the lock cannot be had.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ConfigError(f"{path}.lock cannot be written: {error.strerror}", _ANOTHER) from None
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
