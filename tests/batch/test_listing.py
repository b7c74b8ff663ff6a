"""Folders, patterns and lists of clips, and the names of their results."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.batch.listing import list_rows, name_result, refuse_meeting
from edge_harmony.errors import ConfigError, SinkError, SourceError


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Two videos, a folder of pictures, and what is no clip."""
    for name in ("take10.mp4", "take2.MOV", ".hidden.mp4", "notes.txt", "still.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "shot").mkdir()
    (tmp_path / "empty").mkdir()
    cv2.imwrite(str(tmp_path / "shot" / "1.png"), np.zeros((4, 4, 3), np.uint8))
    return tmp_path


def _names(*names: object) -> list[str]:
    return [row.clip.name for row in list_rows([str(name) for name in names])]


def test_a_folder_means_the_clips_in_it(library: Path) -> None:
    assert _names(library) == ["shot", "take2.MOV", "take10.mp4"]
    with pytest.raises(SourceError, match="one clip"):
        list_rows([str(library / "shot")])
    with pytest.raises(SourceError, match="no clip"):
        list_rows([str(library / "empty")])


def test_patterns_and_files(library: Path) -> None:
    assert _names(library / "take*") == ["take2.MOV", "take10.mp4"]
    assert _names(library / "take10.mp4", library / "sh*") == ["take10.mp4", "shot"]
    with pytest.raises(SourceError, match="no clip"):
        list_rows([str(library / "*.webm")])


def test_lists(library: Path) -> None:
    (library / "a.csv").write_text(
        'clip,background,light_wrap\ntake2.MOV,"a, b.jpg",0.3\nshot,,\n', encoding="utf-8-sig"
    )
    (library / "b.jsonl").write_text('{"clip": "take10.mp4", "strength": 0.5, "compare": true}\n\n')
    rows = list_rows([str(library / "a.csv"), str(library / "b.jsonl")])
    assert [row.clip for row in rows] == [library / "take2.MOV", library / "shot", library / "take10.mp4"]
    assert [row.options for row in rows] == [
        {"background": "a, b.jpg", "light_wrap": "0.3"}, {}, {"strength": 0.5, "compare": True},
    ]  # fmt: skip
    assert [row.where for row in rows] == [f"{library / 'a.csv'}, line 2", f"{library / 'a.csv'}, line 3",
                                           f"{library / 'b.jsonl'}, line 1"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "", "names no clip"),
        ("l.csv", "name\na.mp4\n", "line 2: it names no clip"),
        ("l.csv", "clip,bg\na.mp4\n", "line 2: it has not as many fields"),
        ("l.csv", "clip\na.mp4,b.jpg\n", "line 2: it has not as many fields"),
        ("l.csv", 'clip\n"a.mp4\n', "line"),
        ("l.csv", b"clip\n\xff\xfe\n", "UTF-8"),
        ("l.jsonl", '{"clip": "a.mp4"', "line 1"),
        ("l.jsonl", "[1]", "no object"),
        ("l.jsonl", '{"clip": 3}', "names no clip"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message):
        list_rows([str(tmp_path / name)])


def test_names_of_results(library: Path) -> None:
    clip = library / "take2.MOV"
    assert name_result("out/", clip, 3) == Path("out/take2.mp4")
    assert name_result("out", library / "shot", 3) == Path("out/shot.mp4")
    assert name_result("o/{parent}/{number:03}_{stem}.mkv", clip, 3) == Path(f"o/{library.name}/003_take2.mkv")
    for bad in ("{name}.mp4", "{}.mp4", "{stem.mp4", "{stem:d}.mp4"):
        with pytest.raises(ConfigError):
            name_result(bad, clip, 1)
    refuse_meeting([Path("a.mp4"), Path("b.mp4")])
    with pytest.raises(SinkError, match="both become"):
        refuse_meeting([Path("a.mp4"), Path("./a.mp4")])
