"""Which clips there are: in a folder, by a pattern, or in a list with options of their own."""

from __future__ import annotations

import csv
import glob
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge_harmony.capture.kind import is_picture, is_video, kind_of, literal_pattern
from edge_harmony.capture.picture import counting_order
from edge_harmony.errors import ConfigError, SinkError, SourceError

LIST_SUFFIXES: Final = (".csv", ".jsonl")
_FIELDS: Final = ("stem", "parent", "number")


@dataclass(frozen=True)
class Row:
    """A clip as the user names it.

    Attributes:
        clip: a file, or a folder of pictures.
        options: what its row says beside, by the names of the command line's options, without dashes.
        where: the list and line, for messages; "" where it is in none.
        folder: what relative names in ``options`` count from.
    """

    clip: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    folder: Path = field(default_factory=Path)


def list_rows(names: Sequence[str]) -> list[Row]:
    """Every clip that the names on the command line mean, in counting order within each.

    Args:
        names: of a video; a folder, which means the videos and the folders of pictures in it; a pattern; or a list
            (``LIST_SUFFIXES``).

    Raises:
        SourceError: there is no such thing, or no clip in it. ConfigError: a list that is none.
    """
    rows: list[Row] = []
    for name in names:
        path = Path(name)
        if path.suffix.lower() in LIST_SUFFIXES and not path.is_dir():
            rows += _read_list(path)
        else:
            rows += [Row(clip) for clip in clips_of(name)]
    return rows


def clips_of(name: str | Path) -> list[Path]:
    """The clips of a folder or pattern; a file is one itself.

    Raises:
        SourceError: there is none.
    """
    kind = kind_of(name)
    if kind == "folder":
        found = sorted((p for p in Path(name).iterdir() if is_clip(p)), key=counting_order)
        if not found and any(is_picture(p) for p in Path(name).iterdir() if p.is_file()):
            raise SourceError(f"{name} holds pictures, so it is one clip", "use 'edge-harmony process', or its parent")
    elif kind == "pattern":
        found = sorted((Path(p) for p in glob.glob(literal_pattern(str(name)), recursive=True)), key=_path_order)
    else:
        found = [Path(name)]
    if not found:
        hint = "check the pattern, and quote it against the shell" if kind == "pattern" else "check the path"
        raise SourceError(f"{name}: there is no clip", hint)
    return found


def is_clip(path: Path) -> bool:
    """Whether it is a video, or a folder with pictures in it; hidden ones are not."""
    if path.name.startswith("."):
        return False
    return is_video(path) or (path.is_dir() and any(p.is_file() and is_picture(p) for p in path.iterdir()))


def _path_order(path: Path) -> list[Any]:
    return [counting_order(Path(part)) for part in path.parts]


def _read_list(path: Path) -> Iterator[Row]:
    """The rows of a CSV (with a header) or of JSON lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", "check the path of the list") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8", "save the list as UTF-8") from error
    rows = list(_csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text))
    if not rows:
        raise ConfigError(f"{path} names no clip", "give it a row for each clip")
    for number, values in rows:
        where = f"{path}, line {number}"
        clip = values.pop("clip", None)
        if not isinstance(clip, str) or not clip.strip():
            raise ConfigError(f"{where}: it names no clip", "give it a 'clip'")
        yield Row(path.parent / clip, values, where, path.parent)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ConfigError(f"{path}, line {reader.line_num}: it has not as many fields as the first line",
                                  "put a field with a comma in it into quotes")  # fmt: skip
            yield reader.line_num, {name.strip(): value.strip() for name, value in row.items() if value.strip()}
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: {error}", "write it as comma-separated values") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: {error}", "write one JSON object a line") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{path}, line {number} is no object", 'write it as {"clip": "a.mp4", "bg": "b.jpg"}')
        yield number, row


def name_result(pattern: str, clip: Path, number: int) -> Path:
    """Where a clip's result goes.

    Args:
        pattern: with ``{stem}`` (the clip's name without its suffix), ``{parent}`` (the name of its folder) and
            ``{number}`` (its place in the list from 1, as in ``{number:04}``); or a folder, which gets ``STEM.mp4``.
        clip, number: what these are.

    Raises:
        ConfigError: another field.
    """
    if "{" not in pattern and (pattern.endswith("/") or Path(pattern).is_dir() or not Path(pattern).suffix):
        pattern = str(Path(pattern) / "{stem}.mp4")
    clip = clip.absolute()
    stem = clip.name if clip.is_dir() else clip.stem
    try:
        return Path(pattern.format(stem=stem, parent=clip.parent.name, number=number))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        known = ", ".join(f"{{{name}}}" for name in _FIELDS)
        raise ConfigError(f"{pattern}: {error} is no field of it", f"use {known}") from error


def refuse_meeting(results: Sequence[Path]) -> None:
    """Raise ``SinkError`` when two clips would become the same file."""
    seen: set[str] = set()
    for path in results:
        if str(path.absolute()) in seen:
            raise SinkError(f"two clips would both become {path}", "put {parent} or {number} into the pattern after -o")
        seen.add(str(path.absolute()))
