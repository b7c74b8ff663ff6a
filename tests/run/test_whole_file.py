"""A file gets its name when it is whole, and replaces none that it was not to replace."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_harmony.run.whole_file import WholeFile, remove_left_over


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appeared_meanwhile_stays(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:  # as on FAT

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    ours = [WholeFile(tmp_path / "a.mp4") for _ in range(3)]
    (tmp_path / "a.mp4").write_text("theirs")
    for number, one in enumerate(ours):
        one.temporary.write_text(f"ours {number}")
        one.commit()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.mp4": "theirs", "a-2.mp4": "ours 0", "a-3.mp4": "ours 1", "a-4.mp4": "ours 2",
    }  # fmt: skip
    assert ours[2].path == tmp_path / "a-4.mp4"


def test_overwriting_is_asked_for(tmp_path: Path) -> None:
    one = WholeFile(tmp_path / "a.mp4", overwrite=True)
    (tmp_path / "a.mp4").write_text("theirs")
    one.temporary.write_text("ours")
    one.commit()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.mp4", "ours")]


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from edge_harmony.run.whole_file import WholeFile; "
        "WholeFile(sys.argv[1]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a[1].mp4")], check=False)
    in_use = WholeFile(tmp_path / "a[1].mp4")
    lately, long_ago = tmp_path / ".a[1].zzz12345.part.mp4", tmp_path / ".a[1].zzz54321.part.mp4"
    other = tmp_path / ".a[1].zzz54321.part.mkv"
    for part in (lately, long_ago, other):
        part.write_text("of another machine")
        os.utime(part, (time.time() - 3600 * (part != lately),) * 2)
    assert len(list(tmp_path.iterdir())) == 5
    remove_left_over(tmp_path / "a[1].mp4")
    assert {path.name for path in tmp_path.iterdir()} == {in_use.temporary.name, lately.name, other.name}
    in_use.discard()
    assert not in_use.temporary.exists()
