"""A result must not replace what it is made from: the guard of every command that writes files."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_harmony.errors import SinkError

Identity = tuple[int, int]  # device and number of a file: the same through every link to it


def refuse_own_sources(targets: Iterable[Any], made_from: Iterable[Any]) -> None:
    """Raise ``SinkError`` when a result is one of the files that it is made from, also by another name or a link.

    Args:
        targets: files to be written, or ``FOLDER/`` and ``FOLDER/%05d.png`` for numbered pictures; None is passed over.
        made_from: what the result is made from, as the user wrote it: files, folders, patterns, ``KIND:FILE``; colours,
            cameras, addresses and None are passed over.
    """
    sources: dict[Identity, Path] = {}
    for spec in made_from:
        for path in _files_of(spec):
            identity = _identity(path)
            if identity is not None:
                sources.setdefault(identity, path)
    for target in targets:
        for path in _written_by(target):
            source = sources.get(_identity(path) or (-1, -1))
            if source is not None:
                same = "" if path == source else f" ({source})"
                raise SinkError(f"{path} is a source of this very result{same}", "name another file after -o")


def _files_of(spec: Any) -> Iterable[Path]:
    if spec is None or not str(spec):
        return []
    text = str(spec)
    path = Path(text).expanduser()
    _, colon, rest = text.partition(":")
    try:
        if path.is_dir():
            return [entry for entry in path.iterdir() if entry.is_file()]
        if path.exists():
            return [path]
        if glob.has_magic(text) and "://" not in text:
            return [Path(name) for name in glob.glob(text)]
        return [Path(rest)] if colon and rest and Path(rest).exists() else []
    except (OSError, ValueError):  # no name of a file at all
        return []


def _written_by(target: Any) -> Iterable[Path]:
    """The files that exist and would be written anew."""
    if target is None:
        return []
    text = str(target)
    try:
        if Path(text).is_dir() or text.endswith(("/", "\\")):
            text = f"{text.rstrip('/')}/%06d.png"
        if "%" not in Path(text).name:
            return [Path(text)]
        from edge_harmony.sinks.picture_folder import PictureFolder

        return PictureFolder(text).present()
    except (OSError, ValueError, SinkError):  # said by the sink itself
        return []


def _identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
