"""Which results are done and current, so that a second run does only what is left.

Beside each result lies its entry of the manifest, ``.edge-harmony/NAME.json``: the digests of what it was made from and
the settings, before the work begins, and the result's own digest, after. Each entry is a file, because runs on other
machines may write to the same folder. A result appears in one piece (``run/whole_file.py``), so one that appeared after
its entry was begun is whole, even if the process died before it could say so.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from edge_harmony import __version__
from edge_harmony.run.redact import redact_values
from edge_harmony.run.whole_file import WholeFile, remove_left_over

FOLDER: Final = ".edge-harmony"
_CHUNK: Final = 1 << 20

State = Literal["absent", "current", "ours", "theirs"]


@dataclass(frozen=True)
class Recipe:
    """What a result is made from, and how.

    Attributes:
        settings: whatever it depends on beside files, as JSON holds it.
        sources: what each source is called, and where it is: a file, a folder or a pattern. Anything else (a colour, a
            test pattern, None) counts by its text.
    """

    settings: Mapping[str, Any]
    sources: Mapping[str, str | Path | None] = field(default_factory=dict)


class DoneBefore:
    """One result, which may be several files, and what is known of it.

    Args:
        files: what is made; the entry is called after the first.
        recipe: what it would be made from now.
    """

    def __init__(self, files: Sequence[Path], recipe: Recipe) -> None:
        self._files = list(files)
        self.entry_path = files[0].parent / FOLDER / f"{files[0].name}.json"
        self.entry = _read(self.entry_path)
        known = self.entry.get("sources", {})
        sources = {n: _digest(where, known.get(n)) for n, where in recipe.sources.items() if where is not None}
        settings = json.loads(json.dumps(recipe.settings, sort_keys=True, default=str))
        self._made_from = redact_values({"version": __version__, "settings": settings, "sources": sources})

    def look(self) -> State:
        """How things stand: ``absent``; ``current``: made from this, as it is now, in this very way; ``ours``: made by
        an earlier run from something else, or only in part, and not touched since; ``theirs``: none of the manifest's.
        """
        found = {self._look_at(path, one) for path, one in zip(self._files, self._results(), strict=True)}
        if "theirs" in found:
            return "theirs"
        if found != {"made"}:
            return "absent" if found == {"absent"} else "ours"
        same = all(_meaning(self.entry.get(part)) == _meaning(made) for part, made in self._made_from.items())
        return "current" if same else "ours"

    def begin(self) -> None:
        """Note what is about to be made; what a killed run of the same left is removed.

        Raises:
            SinkError: the entry cannot be written.
        """
        self.tidy()
        ours = self.look() == "ours"
        results = [{"name": path.name, "look": _look(path), "ours": ours} for path in self._files]
        self._write({"state": "begun", "results": results})

    def finish(self, figures: Mapping[str, Any]) -> None:
        """Note that it is made.

        Args:
            figures: what else is worth knowing of it, as JSON holds it.

        Raises:
            SinkError: the entry cannot be written. OSError: a result cannot be read.
        """
        results = [{"name": path.name, "look": _look(path), "sha256": _sha256(path)} for path in self._files]
        self._write({"state": "done", "results": results, "figures": dict(figures)})

    def finish_for_the_dead(self) -> None:
        """Finish what a process made that died before it could."""
        if self.entry.get("state") == "begun":
            self.finish({})

    def tidy(self) -> None:
        """Remove unfinished files of these results, if they are known here and nobody is at work on them."""
        for path in (*self._files, self.entry_path) if self.entry else ():
            remove_left_over(path)

    def _results(self) -> list[dict[str, Any]]:
        """What the entry says of each file."""
        results = self.entry.get("results")
        if isinstance(results, list) and [type(one) for one in results] == [dict] * len(self._files):
            return results
        return [{}] * len(self._files)

    def _look_at(self, path: Path, noted: dict[str, Any]) -> Literal["absent", "made", "ours", "theirs"]:
        """One file: made as the entry says, ours from an earlier time, or somebody else's."""
        now = _look(path)
        if now is None:
            return "absent"
        if self.entry.get("state") == "begun" and "look" in noted:  # by one that was killed, or is still at it
            return "made" if now != noted["look"] else "ours" if noted.get("ours") else "theirs"
        with contextlib.suppress(OSError):
            if noted and (now == noted.get("look") or _sha256(path) == noted.get("sha256")):  # copied: another time
                return "made"
        return "theirs"

    def _write(self, more: dict[str, Any]) -> None:
        entry = {**self._made_from, **more}
        with contextlib.suppress(OSError):
            self.entry_path.parent.mkdir(exist_ok=True)
        file = WholeFile(self.entry_path, overwrite=True)
        try:
            with file.temporary.open("w", encoding="utf-8") as out:
                json.dump(entry, out, indent=1)
                out.flush()
                os.fsync(out.fileno())
        except BaseException:
            file.discard()
            raise
        file.commit()
        self.entry = entry


def _read(path: Path) -> dict[str, Any]:
    """An entry; empty where there is none, or one that nobody can read."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    kinds = {"sources": dict, "settings": dict, "results": list, "figures": dict}
    fine = isinstance(entry, dict) and all(isinstance(entry.get(name, kind()), kind) for name, kind in kinds.items())
    return entry if fine else {}


def _meaning(part: Any) -> Any:
    """A part of an entry without what may differ between machines and copies: paths and times."""
    if isinstance(part, dict) and all(isinstance(one, dict) and "sha256" in one for one in part.values()):
        return {name: one["sha256"] for name, one in part.items()}
    return part


def _digest(where: str | Path, known: Any) -> dict[str, Any]:
    """What there is of a source; a file that looks as it did is not read again."""
    files = _files_of(where)
    if not files:
        return {"text": str(where), "sha256": hashlib.sha256(_bytes(str(where))).hexdigest()}
    try:
        look = hashlib.sha256(repr([(p.name, _look(p)) for p in files]).encode()).hexdigest()
        if isinstance(known, dict) and known.get("look") == look and "sha256" in known:
            sha256 = known["sha256"]
        elif len(files) == 1 and files[0] == Path(where):
            sha256 = _sha256(files[0])
        else:
            sha256 = hashlib.sha256(repr([(p.name, _sha256(p)) for p in files]).encode()).hexdigest()
    except OSError:  # what reads it will say so
        look = sha256 = ""
    return {"path": os.path.abspath(where), "files": len(files), "look": look, "sha256": sha256}


def _files_of(where: str | Path) -> list[Path]:
    path = Path(where)
    try:
        if path.is_dir():
            return sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
        if path.is_file():
            return [path]
        if glob.has_magic(str(where)) and "://" not in str(where):
            from edge_harmony.capture.kind import literal_pattern

            return sorted(p for p in map(Path, glob.glob(literal_pattern(str(where)))) if p.is_file())
    except (OSError, ValueError):
        pass
    return []


def _look(path: Path) -> list[int] | None:
    """Size and time of a file, by which a change shows without reading it; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
