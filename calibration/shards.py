"""The calibration set on disk: working views and masks in small shards, under a manifest that says what they are.

::

    DIR/manifest.json               format, contract version, count, digest, sources, shards
    DIR/shard-0000-1f2e3d4c.npz     view uint8 (n, 256, 256, 3) BGR and mask uint8 (n, 256, 256), n <= 32 (8 MB)

The manifest is replaced at one stroke and names its shards, so that a set is whole at any time: what an interrupted
run leaves is not named, hence not read. The *digest* is the SHA-256 of all bytes of all samples in order; it does
not depend on how they are packed, on names or on dates. It goes into the metadata of the graphs made from the set.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.contract import CONTRACT_VERSION, WORKING_SIZE
from edge_harmony.errors import SinkError, SourceError
from edge_harmony.run.whole_file import unwritable

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
SHARD_SIZE: Final = 32  # samples, 8.4 MB

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # a working view (256, 256, 3) BGR and its mask (256, 256)

_AGAIN: Final = "collect the set again with --force"
_VIEW_SHAPE: Final = (WORKING_SIZE, WORKING_SIZE, 3)
_MASK_SHAPE: Final = (WORKING_SIZE, WORKING_SIZE)


@dataclass(frozen=True)
class CalibrationSet:
    """A set that exists. Iterating reads one shard at a time; nothing is kept."""

    folder: Path
    count: int
    digest: str
    sources: tuple[dict[str, Any], ...]  # what each run of ``calibration.collect`` contributed
    shards: tuple[tuple[str, int], ...]  # file name and number of samples

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Sample]:
        return self.select(range(self.count))

    def select(self, indices: Sequence[int]) -> Iterator[Sample]:
        """The samples of these indices, which must rise; shards without any of them are not read.

        Raises:
            SourceError: a shard is missing or damaged.
        """
        wanted, start = list(indices), 0
        for name, count in self.shards:
            here = [i - start for i in wanted if start <= i < start + count]
            if here:
                views, masks = _read_shard(self.folder / name, count)
                for i in here:
                    yield views[i], masks[i]
            start += count

    def spread(self, limit: int) -> list[int]:
        """At most ``limit`` indices, evenly over the set."""
        if limit >= self.count:
            return list(range(self.count))
        return [(2 * i + 1) * self.count // (2 * limit) for i in range(limit)]

    def verify(self) -> None:
        """Read everything and hold it against the digest; raises ``SourceError`` when it does not agree."""
        if digest_of(self) != self.digest:
            raise SourceError(f"{self.folder} is not what its manifest says", "collect it again with --force")


def open_set(folder: str | Path) -> CalibrationSet:
    """Open a calibration set; its samples are read when they are asked for.

    Raises:
        SourceError: there is none, or it is of another contract or format.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise SourceError(
            f"{folder} holds no calibration set",
            f"collect one: python -m calibration.collect --source VIDEO --alpha MASK --bg BACKGROUND -o {folder}",
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, kind = manifest["contract_version"], manifest["format"]
        shards = tuple((_plain_name(shard["file"]), int(shard["count"])) for shard in manifest["shards"])
        found = CalibrationSet(
            folder, int(manifest["count"]), str(manifest["sha256"]), tuple(manifest["sources"]), shards
        )
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise SourceError(f"{path} cannot be read: {type(error).__name__}: {error}", _AGAIN) from None
    if (version, kind) != (CONTRACT_VERSION, FORMAT):
        raise SourceError(
            f"{folder} is of contract {version}, format {kind}; this version reads {CONTRACT_VERSION} and {FORMAT}",
            _AGAIN,
        )
    if min(count for _, count in shards or (("", 0),)) < 1 or found.count != sum(count for _, count in shards):
        raise SourceError(f"{path} counts {found.count} samples but names others", _AGAIN)
    return found


def digest_of(samples: Iterable[Sample]) -> str:
    """SHA-256 over contract version and samples, in order."""
    sha = hashlib.sha256(f"edge_harmony calibration, contract {CONTRACT_VERSION}\n".encode())
    for view, mask in samples:
        sha.update(np.ascontiguousarray(view).data)
        sha.update(np.ascontiguousarray(mask).data)
    return sha.hexdigest()


def write_set(
    folder: str | Path,
    samples: Iterable[Sample],
    source: dict[str, Any],
    extend: CalibrationSet | None = None,
) -> CalibrationSet:
    """Write a set, or more samples behind those of a set; it replaces what the folder held when it is whole.

    Args:
        folder: made if it does not exist. Shards of a set that stood there are removed, except those extended.
        samples: read once, one shard held in memory.
        source: what the manifest is to say of these samples; ``kept`` is added.
        extend: the set in ``folder`` to go on from.

    Raises:
        SinkError: the folder cannot be written, or the disk is full; what was there before stands then.
        SourceError: there is no sample.
    """
    folder = Path(folder)
    made_folder = not folder.exists()
    before = extend.shards if extend else ()
    old = _named_shards(folder)
    new: list[tuple[str, int]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for batch in _batches(samples):
            new.append((_write_shard(folder, len(before) + len(new), batch), len(batch)))
        kept = sum(count for _, count in new)
        if not kept:
            raise SourceError("there is no sample to write", "give a source with a subject in it")
        shards = (*before, *new)
        sources = (*(extend.sources if extend else ()), source | {"kept": kept})
        made = CalibrationSet(folder, sum(count for _, count in shards), "", sources, shards)
        made = CalibrationSet(folder, made.count, digest_of(made), sources, shards)
        _write_manifest(made)
    except BaseException as error:
        for name, _ in new:
            _remove(folder / name)
        if made_folder:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise unwritable(folder, error) from error
        raise
    for name in set(old) - {name for name, _ in made.shards}:
        _remove(folder / name)
    return made


def check_target(folder: str | Path, force: bool, append: bool) -> CalibrationSet | None:
    """See before any work whether a set may be written here; returns the set to append to, verified, if any.

    Raises:
        SinkError: the folder holds a set and neither is asked for, or holds something else.
        SourceError: the set to append to is damaged.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise SinkError(f"{folder} is a file", "name a folder for the set")
    if not folder.exists() or not any(folder.iterdir()):
        return None
    if not (folder / MANIFEST).exists():
        raise SinkError(f"{folder} is not empty and no calibration set", "name a new folder")
    if append:
        found = open_set(folder)
        found.verify()
        return found
    if not force:
        raise SinkError(f"{folder} holds a calibration set already", "add to it with --append, or replace it: --force")
    return None


def _batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    for view, mask in samples:
        if view.shape != _VIEW_SHAPE or mask.shape != _MASK_SHAPE or {view.dtype, mask.dtype} != {np.dtype(np.uint8)}:
            raise ValueError(f"a sample is uint8 {_VIEW_SHAPE} and {_MASK_SHAPE}, not {view.shape} and {mask.shape}")
        batch.append((view, mask))
        if len(batch) == SHARD_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_shard(folder: Path, number: int, batch: list[Sample]) -> str:
    name = f"shard-{number:04}-{digest_of(batch)[:8]}.npz"
    part = folder / f".{name}.{secrets.token_hex(4)}.part"
    try:
        with part.open("xb") as file:
            np.savez(file, view=np.stack([view for view, _ in batch]), mask=np.stack([mask for _, mask in batch]))
        os.replace(part, folder / name)
    finally:
        _remove(part)
    return name


def _read_shard(path: Path, count: int) -> Sample:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            views, masks = np.asarray(arrays["view"]), np.asarray(arrays["mask"])
    except Exception as error:  # whatever zipfile, zlib and NumPy's header make of damaged bytes
        raise SourceError(f"{path} cannot be read: {error or type(error).__name__}", _AGAIN) from None
    expected = {(count, *_VIEW_SHAPE), (count, *_MASK_SHAPE)}
    if {views.shape, masks.shape} != expected or {views.dtype, masks.dtype} != {np.dtype(np.uint8)}:
        raise SourceError(f"{path} is not what its manifest says", _AGAIN)
    return views, masks


def _write_manifest(made: CalibrationSet) -> None:
    manifest = {
        "format": FORMAT,
        "contract_version": CONTRACT_VERSION,
        "count": made.count,
        "sha256": made.digest,
        "sources": list(made.sources),
        "shards": [{"file": name, "count": count} for name, count in made.shards],
    }
    part = made.folder / f".{MANIFEST}.{secrets.token_hex(4)}.part"
    try:
        part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        os.replace(part, made.folder / MANIFEST)
    finally:
        _remove(part)


def _named_shards(folder: Path) -> list[str]:
    """The shards in the folder, whatever its manifest is worth."""
    return [path.name for path in folder.glob("shard-*.npz")] if folder.is_dir() else []


def _plain_name(name: str) -> str:
    if Path(name).name != name:
        raise ValueError(f"{name!r} is no file name")
    return name


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
