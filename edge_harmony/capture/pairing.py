"""Which mask belongs to which picture, by their names: the one rule, for commands, calibration and export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_harmony.capture.picture import list_pictures, pictures_of_pattern
from edge_harmony.errors import SourceError

_SUFFIXES: Final = ("_mask", "_alpha", "_matte", "-mask", "-alpha", "-matte")


def pair_by_name(
    pictures: Sequence[Path], folder: Path, kind: str, any_part: bool = False, among: Sequence[Path] | None = None
) -> dict[Path, Path]:
    """Find each picture's partner in a folder, or among the files of a pattern.

    ``photo.jpg`` goes with ``photo.png`` (any picture suffix), else with ``photo_mask.png`` (or ``_alpha``, ``_matte``,
    ``-mask`` and so on), else, as iHarmony4 names them, with ``photo`` less its last ``_number``.

    Args:
        pictures: what needs partners.
        folder: where they are.
        kind: what to call one in an error.
        any_part: whether the last part of a name need be no number.
        among: the candidates, where they are others than the pictures in ``folder``: for clips.

    Raises:
        SourceError: a picture has no partner, or two; the message names it.
    """
    partners: dict[str, list[Path]] = {}
    if among is None:
        among = list_pictures(folder) if folder.is_dir() else pictures_of_pattern(str(folder))
    for path in among:
        partners.setdefault(path.stem, []).append(path)
    paired: dict[Path, Path] = {}
    for picture in pictures:
        stem, _, part = picture.stem.rpartition("_")
        names = [picture.stem, *(picture.stem + s for s in _SUFFIXES), *([stem] if part.isdigit() or any_part else [])]
        found = next((partners[name] for name in names if name in partners), [])
        if len(found) != 1:
            why = f"{found[0].name} and {found[1].name} both fit" if found else "there is none"
            raise SourceError(
                f"{picture.name} needs one {kind} in {folder}: {why}",
                f"name it {picture.stem}.png or {picture.stem}_{kind}.png",
            )
        paired[picture] = found[0]
    return paired


def list_composites(folder: Path, masks: Path | None = None) -> dict[Path, Path]:
    """Finished composites and the masks of their subjects.

    Args:
        folder: of composites; or one that holds ``composite_images/`` and ``masks/``, as iHarmony4's do.
        masks: folder of masks, paired by name; None for ``masks/`` beside ``composite_images/``, or for masks in the
            same folder, called ``photo_mask.png``.

    Raises:
        SourceError: a folder or a mask is missing.
    """
    if (folder / "composite_images").is_dir():
        masks = masks or folder / "masks"
        folder = folder / "composite_images"
    pictures = list_pictures(folder)
    if masks is not None:
        return pair_by_name(pictures, masks, "mask", any_part=True)
    by_stem = {picture.stem: picture for picture in pictures}
    beside = {p: by_stem[f"{stem}_mask"] for stem, p in by_stem.items() if f"{stem}_mask" in by_stem}
    if not beside:
        raise SourceError(
            f"{folder} holds no composites with masks",
            "name the folder of the masks, or one with composite_images/ and masks/, or with NAME.jpg and "
            "NAME_mask.png pairs",
        )
    return beside
