"""What the manifest says of a result: done is skipped, changed is done again, and what is not ours stays."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from edge_harmony.batch.done_before import DoneBefore, Recipe


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    (tmp_path / "shots").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "shots" / name).write_bytes(name.encode())
    return tmp_path


def _at(there: Path, *more: Path, strength: float = 1.0) -> DoneBefore:
    sources = {"clip": there / "clip.mp4", "background": "#3c5078", "alpha": str(there / "shots" / "*.png"), "x": None}
    return DoneBefore([there / "out.mp4", *more], Recipe({"strength": strength}, sources))


def _make(there: Path, *more: Path) -> None:
    done = _at(there, *more)
    done.begin()
    for path in (there / "out.mp4", *more):
        path.write_bytes(b"result")
    done.finish({"frames": 3})


def test_done_and_current(there: Path) -> None:
    assert _at(there).look() == "absent"
    _make(there)
    assert _at(there).look() == "current"
    assert _at(there).entry["figures"] == {"frames": 3}
    assert _at(there, strength=0.5).look() == "ours"
    (there / "out.mp4").unlink()
    assert _at(there).look() == "absent"


def test_what_counts_of_a_source_is_its_content(there: Path) -> None:
    _make(there)
    os.utime(there / "clip.mp4", (1, 1))  # as after a copy
    assert _at(there).look() == "current"
    (there / "shots" / "2.png").write_bytes(b"other")
    assert _at(there).look() == "ours"
    (there / "shots" / "2.png").write_bytes(b"2.png")
    assert _at(there).look() == "current"
    (there / "shots" / "3.png").write_bytes(b"one more")
    assert _at(there).look() == "ours"


def test_a_source_that_looks_as_before_is_not_read_again(there: Path) -> None:
    _make(there)
    status = (there / "clip.mp4").stat()
    (there / "clip.mp4").write_bytes(b"CLIP")
    os.utime(there / "clip.mp4", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _at(there).look() == "current"


def test_a_folder_that_moved_with_its_manifest_is_current(there: Path) -> None:
    _make(there)
    moved = shutil.copytree(there, there.parent / f"{there.name}-moved", copy_function=shutil.copyfile)
    assert _at(Path(moved)).look() == "current"


def test_what_somebody_else_made_or_changed_is_not_ours(there: Path) -> None:
    (there / "out.mp4").write_bytes(b"theirs")
    assert _at(there).look() == "theirs"
    (there / "out.mp4").unlink()
    _make(there)
    (there / "out.mp4").write_bytes(b"edited!")
    assert _at(there).look() == "theirs"
    for entry in ("{", "[]", '{"sources": []}', '{"results": 3}', '{"state": "done", "results": [1]}'):
        (there / ".edge-harmony" / "out.mp4.json").write_text(entry)
        assert _at(there).look() == "theirs"


def test_a_process_that_died_at_any_point(there: Path) -> None:
    masks = there / "mask.mp4"
    _at(there, masks).begin()
    assert _at(there, masks).look() == "absent"  # before it made anything
    masks.write_bytes(b"result")
    assert _at(there, masks).look() == "ours"  # between its two files
    (there / "out.mp4").write_bytes(b"result")
    after = _at(there, masks)  # before the manifest knew
    assert after.look() == "current"
    after.finish_for_the_dead()
    entry = json.loads(after.entry_path.read_text())
    assert entry["state"] == "done"
    assert [one["name"] for one in entry["results"]] == ["out.mp4", "mask.mp4"]
    assert _at(there, masks).look() == "current"


def test_a_process_that_died_while_it_made_a_changed_clip_again(there: Path) -> None:
    _make(there)
    (there / "clip.mp4").write_bytes(b"changed")
    again = _at(there)
    assert again.look() == "ours"
    again.begin()
    assert _at(there).look() == "ours"  # the result is still the old one, which may be replaced
    (there / "out.mp4").write_bytes(b"new result")
    assert _at(there).look() == "current"


def test_a_process_that_died_beside_a_file_that_is_not_ours(there: Path) -> None:
    (there / "out.mp4").write_bytes(b"theirs")
    _at(there).begin()  # as with --overwrite
    assert _at(there).look() == "theirs"


def test_secrets_stay_out_of_it(there: Path) -> None:
    done = DoneBefore(
        [there / "out.mp4"], Recipe({"bg": "rtsp://me:hidden@host/x"}, {"clip": "rtsp://me:hidden@host/"})
    )
    done.begin()
    assert "hidden" not in done.entry_path.read_text()
