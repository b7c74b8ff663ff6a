"""Which mask belongs to which picture, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_harmony.capture.picture import list_pictures, pictures_of_pattern
from edge_harmony.errors import SourceError

SUFFIXES: Final = ("_mask", "_alpha", "_matte", "-mask", "-alpha", "-matte")


def pair_by_name(pictures: Sequence[Path], folder: Path, kind: str) -> dict[Path, Path | None]:
    """Find each picture's partner in a folder.

    ``photo.jpg`` goes with ``photo.png`` (any picture suffix), else with ``photo_mask.png`` (any of ``SUFFIXES``),
    else, as iHarmony4 names them, with ``photo`` less its last ``_number``.

    Raises:
        SourceError: a picture has no partner, or two; the message names it.
    """
    partners: dict[str, list[Path]] = {}
    for path in list_pictures(folder) if folder.is_dir() else pictures_of_pattern(str(folder)):
        partners.setdefault(path.stem, []).append(path)
    paired: dict[Path, Path | None] = {}
    for picture in pictures:
        stem, _, number = picture.stem.rpartition("_")
        names = [picture.stem, *(picture.stem + s for s in SUFFIXES), *([stem] if number.isdigit() else [])]
        found = next((partners[name] for name in names if name in partners), [])
        if len(found) != 1:
            why = f"{found[0].name} and {found[1].name} both fit" if found else "there is none"
            raise SourceError(
                f"{picture.name} needs one {kind} in {folder}: {why}",
                f"name it {picture.stem}.png or {picture.stem}_{kind}.png",
            )
        paired[picture] = found[0]
    return paired
