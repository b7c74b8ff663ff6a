"""The backgrounds that the page offers: those at hand, those sent to it, colours and blur; never a path by request."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from pathlib import Path
from typing import Any, Final, Protocol

import cv2

from edge_harmony.backgrounds.fit import fit
from edge_harmony.errors import ConfigError, EdgeHarmonyError
from edge_harmony.pixels.frame import Frame
from edge_harmony.web.decoding import MOST_PIXELS
from edge_harmony.web.picture_header import read_header
from edge_harmony.web.uploads import Uploads

_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_BLURS: Final = {"blur:15": "Soft blur", "blur:45": "Strong blur"}
_THUMBNAIL_HW: Final = (180, 320)
_MOST_THUMBNAILS: Final = 256


class Settings(Protocol):
    """What is needed of the controls; see ``edge_harmony.live.controls.Controls``."""

    def describe(self) -> list[dict[str, Any]]: ...
    def set(self, name: str, value: Any) -> None: ...
    def offer(self, name: str, choice: str) -> None: ...
    def withdraw(self, name: str, choice: str) -> None: ...


class Backgrounds:
    """The shelf of backgrounds. Every method may be called from any thread.

    A browser knows a background by a random-looking name only, never by its path; so it can choose what is on the
    shelf and nothing else, and learns nothing about this machine's folders.
    """

    def __init__(self, controls: Settings, uploads: Uploads) -> None:
        self._controls = controls
        self._uploads = uploads
        self._salt = secrets.token_bytes(16)
        self._thumbnails: dict[tuple[str, float], bytes | None] = {}
        self._lock = threading.Lock()
        self._seen: list[str] = []  # backgrounds that were current once: they stay on the shelf

    def entries(self) -> list[dict[str, Any]]:
        """Everything on the shelf, ready for JSON: ``id, name, kind, colour, selected``.

        ``kind`` is ``colour``, ``blur``, ``picture``, ``video`` or ``other``; ``colour`` is "#rrggbb" or "".
        """
        current, specs = self._specs()
        return [
            {
                "id": self._id(spec),
                "name": _name_of(spec),
                "kind": _kind_of(spec),
                "colour": spec.lower() if _COLOUR.fullmatch(spec) else "",
                "selected": spec == current,
            }
            for spec in specs
        ]

    def choose(self, identity: str) -> None:
        """Show what is known as ``identity``; ``ConfigError`` when nothing is."""
        self._controls.set("background", self._find(identity))

    def choose_colour(self, colour: str) -> None:
        """Show a plain colour, "#rrggbb"; ``ConfigError`` for anything else."""
        if not _COLOUR.fullmatch(colour):
            raise ConfigError("this is no colour", "write it as #rrggbb")
        self._controls.set("background", colour.lower())

    def upload(self, data: bytes, name: str) -> Path:
        """Keep a picture that was sent and show it; raises as ``Uploads.add``."""
        current, _ = self._specs()
        path = self._uploads.add(data, name, in_use=current)
        for spec in self._described()["choices"]:
            if self._is_gone(spec):
                self._controls.withdraw("background", spec)
        self._controls.offer("background", str(path))
        self._controls.set("background", str(path))
        return path

    def thumbnail(self, identity: str) -> bytes | None:
        """A small JPEG of a picture or a video's first frame; None where there is none to be had."""
        spec = self._find(identity)
        if _kind_of(spec) not in ("picture", "video"):
            return None
        path = Path(spec).expanduser()
        try:
            key = (spec, path.stat().st_mtime)
        except OSError:
            return None
        with self._lock:  # one at a time: a shelf full of them is not to slow the live picture down
            if key not in self._thumbnails:
                if len(self._thumbnails) >= _MOST_THUMBNAILS:
                    self._thumbnails.clear()
                self._thumbnails[key] = _make_thumbnail(path)
            return self._thumbnails[key]

    def _described(self) -> dict[str, Any]:
        return next(entry for entry in self._controls.describe() if entry["name"] == "background")

    def _specs(self) -> tuple[str, list[str]]:
        """The current background, and all that are offered, in order, each once."""
        described = self._described()
        current = str(described["value"])
        uploads = [str(path) for path in self._uploads.paths]
        offered = [spec for spec in described["choices"] if not self._is_gone(spec)]
        with self._lock:
            if current and current not in self._seen and not _COLOUR.fullmatch(current):
                self._seen.append(current)
            seen = [spec for spec in self._seen if not self._is_gone(spec)]
        colours = [current] if _COLOUR.fullmatch(current) else []
        return current, list(dict.fromkeys([*offered, *seen, *uploads, *_BLURS, *colours]))

    def _is_gone(self, spec: str) -> bool:
        """Whether it was sent and has made room since."""
        return Path(spec).parent == self._uploads.folder and not Path(spec).exists()

    def _id(self, spec: str) -> str:
        return hashlib.sha256(self._salt + spec.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def _find(self, identity: str) -> str:
        for spec in self._specs()[1]:
            if self._id(spec) == identity:
                return spec
        raise ConfigError("this background is not there any more", "choose another one")


def _kind_of(spec: str) -> str:
    from edge_harmony.backgrounds.still import is_colour
    from edge_harmony.capture.kind import kind_of

    if is_colour(spec):
        return "colour"
    if spec.partition(":")[0] == "blur":
        return "blur"
    found = kind_of(Path(spec).expanduser())
    if found == "video":
        return "video" if Path(spec).suffix else "other"
    return {"picture": "picture", "animation": "video"}.get(found, "other")


def _name_of(spec: str) -> str:
    if spec in _BLURS:
        return _BLURS[spec]
    if _kind_of(spec) == "colour":
        return spec.lower()
    return "Blur" if _kind_of(spec) == "blur" else Path(spec).stem or spec


def _make_thumbnail(path: Path) -> bytes | None:
    image = _read_small(path)
    if image is None:
        return None
    done, data = cv2.imencode(".jpg", fit(image, _THUMBNAIL_HW), (cv2.IMWRITE_JPEG_QUALITY, 80))
    return data.tobytes() if done else None


def _read_small(path: Path) -> Frame | None:
    """A picture, read down while it is decoded where its format allows that; or a video's first frame."""
    from edge_harmony.capture.file import open_file
    from edge_harmony.capture.kind import kind_of, picture_format
    from edge_harmony.capture.picture import read_colour

    try:
        if kind_of(path) != "picture":
            return next(iter(open_file(path))).image_bgr
        with path.open("rb") as file:
            head = file.read(2**20)
        if picture_format(head) not in ("jpeg", "png", "webp"):
            return read_colour(path)
        header = read_header(head)
        if header.width * header.height > MOST_PIXELS:
            return None
        mode = cv2.IMREAD_REDUCED_COLOR_4 if header.width > 4 * _THUMBNAIL_HW[1] else cv2.IMREAD_COLOR
        return cv2.imread(str(path), mode)
    except (EdgeHarmonyError, OSError, StopIteration, cv2.error):
        return None
