"""Reader for composites in the layout of iHarmony4 (Cong et al. 2020), and for any set laid out like it.

::

    BENCH/composite_images/NAME_M_K.jpg     composite K of photo NAME with its mask M (K may be a word: a tag)
    BENCH/masks/NAME_M.png                  the composite's name without its last part
    BENCH/real_images/NAME.jpg              ... without its last two parts

All four sub-sets (HCOCO ``c123_456_1``, HAdobe5k ``a0001_1_2``, HFlickr ``f12_1_1``, Hday2night ``d12-3_1_4``) follow
it. The three folders may hold different picture formats. A list file names one composite a line, as
``NAME_M_K.jpg``, ``composite_images/NAME_M_K.jpg`` or, for the whole of iHarmony4,
``HCOCO/composite_images/NAME_M_K.jpg``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_harmony.errors import SourceError

SUBSETS = {"c": "HCOCO", "a": "HAdobe5k", "f": "HFlickr", "d": "Hday2night"}
SUFFIXES = (".jpg", ".png", ".webp", ".jpeg", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Item:
    """One composite: its three files, all of which exist, and the group that its figures are averaged in."""

    composite: Path
    mask: Path
    real: Path
    group: str  # the tag, or iHarmony4's sub-set, or "other"


class Composites:
    """The composites that a list file names, in its order; ``len()`` and iteration.

    Args:
        bench: folder that holds ``composite_images/``, ``masks/`` and ``real_images/``, or iHarmony4's root.
        listing: the list file; a relative path is looked for in ``bench`` first, then in the current folder.

    Raises:
        SourceError: the folder, the list or a file that it leads to is missing, or the list is empty.
    """

    def __init__(self, bench: Path | str, listing: Path | str) -> None:
        self.bench = Path(bench)
        if not self.bench.is_dir():
            raise SourceError(f"{self.bench} is no folder", "give the folder that holds composite_images")
        self.listing = self._find_list(Path(listing))
        self._folders: dict[Path, dict[str, list[str]]] = {}
        try:
            lines = self.listing.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise SourceError(f"{self.listing} is no text file", "a list names one composite a line") from None
        except OSError as e:
            raise SourceError(f"{self.listing} cannot be read: {e.strerror}", "check its permissions") from None
        names = [line.strip().replace("\\", "/") for line in lines]
        self.items = [self._item(name) for name in names if name and not name.startswith("#")]
        if not self.items:
            raise SourceError(f"{self.listing} names no composite", "a list names one composite a line")

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Item:
        return self.items[index]

    def _find_list(self, listing: Path) -> Path:
        for path in (self.bench / listing, listing):
            if path.is_file():
                return path
        raise SourceError(f"no list file {listing}, neither in {self.bench} nor here", "give --list the path of one")

    def _item(self, line: str) -> Item:
        path = Path(line)
        folder = path.parent
        if folder.name == "composite_images":
            folder = folder.parent
        root = self.bench / folder  # the sub-set's folder; the bench itself for bare names
        parts = path.stem.split("_")
        if len(parts) < 3:
            raise SourceError(
                f"{self.listing.name}: {line} is no composite's name",
                "composites are named PHOTO_MASK_NUMBER, so that their mask and photo can be found",
            )
        return Item(
            composite=self._find(root / "composite_images", path.stem, path.suffix, line),
            mask=self._find(root / "masks", "_".join(parts[:-1]), ".png", line),
            real=self._find(root / "real_images", "_".join(parts[:-2]), path.suffix, line),
            group=group_of(root, path.stem),
        )

    def _find(self, folder: Path, stem: str, suffix: str, line: str) -> Path:
        """The picture ``stem`` of a folder: with ``suffix`` where it exists, else in any other format."""
        if folder not in self._folders:
            held: dict[str, list[str]] = {}
            try:
                for entry in os.scandir(folder):
                    held.setdefault(os.path.splitext(entry.name)[0], []).append(os.path.splitext(entry.name)[1])
            except OSError as e:
                raise SourceError(
                    f"{folder} cannot be read: {e.strerror}",
                    "a bench holds the folders composite_images, masks and real_images",
                ) from None
            self._folders[folder] = held
        found = [s for s in self._folders[folder].get(stem, ()) if s.lower() in SUFFIXES]
        if not found:
            raise SourceError(
                f"{folder / (stem + suffix)} is missing, which {self.listing.name} needs for {line}",
                "complete the data set, or take the line out of the list",
            )
        best = min(found, key=lambda s: (s.lower() != suffix.lower(), SUFFIXES.index(s.lower())))
        return folder / (stem + best)


def group_of(root: Path, stem: str) -> str:
    """The group of a composite: a sub-set's name in its path, else its tag, else the sub-set its first letter means."""
    for part in reversed(root.parts):
        if part in SUBSETS.values():
            return part
    tag = stem.rsplit("_", 1)[-1]
    if not tag.isdigit():
        return tag
    return SUBSETS[stem[0]] if re.match(r"[cafd]\d", stem) else "other"
