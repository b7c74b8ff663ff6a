"""The reader of iHarmony4's layout, on small folders of every naming that occurs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_harmony.errors import SourceError
from training.ihdata import Composites

# sub-set, list line, real image, mask, composite
NAMES = [
    ("HCOCO", "c85541_478415_1.jpg", "c85541.jpg", "c85541_478415.png"),
    ("HAdobe5k", "a0007_1_4.jpg", "a0007.jpg", "a0007_1.png"),
    ("HFlickr", "f1005_1_2.jpg", "f1005.jpg", "f1005_1.png"),
    ("Hday2night", "d90000006-15_1_12.jpg", "d90000006-15.jpg", "d90000006-15_1.png"),
]


def lay_out(root: Path, composite: str, real: str, mask: str) -> None:
    """Empty files under the three folders: the reader looks at names alone."""
    for folder, name in (("composite_images", composite), ("real_images", real), ("masks", mask)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).touch()


@pytest.mark.parametrize(("subset", "composite", "real", "mask"), NAMES)
@pytest.mark.parametrize("line", ["{0}", "composite_images/{0}"])
def test_one_subset(tmp_path: Path, subset: str, composite: str, real: str, mask: str, line: str) -> None:
    lay_out(tmp_path, composite, real, mask)
    (tmp_path / "test.txt").write_text(line.format(composite) + "\n")
    (item,) = Composites(tmp_path, "test.txt")
    assert item.composite == tmp_path / "composite_images" / composite
    assert item.real == tmp_path / "real_images" / real
    assert item.mask == tmp_path / "masks" / mask
    assert item.group == subset
    assert all(p.is_file() for p in (item.composite, item.real, item.mask))


def test_all_four_subsets_under_one_root(tmp_path: Path) -> None:
    for subset, composite, real, mask in NAMES:
        lay_out(tmp_path / subset, composite, real, mask)
    lines = [f"{subset}/composite_images/{composite}" for subset, composite, _, _ in NAMES]
    (tmp_path / "all.txt").write_text("\r\n".join(reversed(lines)) + "\r\n\r\n")
    items = Composites(tmp_path, tmp_path / "all.txt")
    assert [i.group for i in items] == [subset for subset, *_ in reversed(NAMES)]
    assert len(items) == 4
    assert items[0].real == tmp_path / "Hday2night" / "real_images" / "d90000006-15.jpg"


def test_subset_is_read_from_the_folder_that_is_given(tmp_path: Path) -> None:
    lay_out(tmp_path / "HFlickr", "x1_1_1.jpg", "x1.jpg", "x1_1.png")
    (tmp_path / "HFlickr" / "l.txt").write_text("x1_1_1.jpg")
    assert Composites(tmp_path / "HFlickr", "l.txt")[0].group == "HFlickr"


def test_tags_and_mixed_formats(tmp_path: Path) -> None:
    lay_out(tmp_path, "my_photo_1_reinhard.webp", "my_photo.PNG", "my_photo_1.png")
    (tmp_path / "val.txt").write_text("my_photo_1_reinhard.webp\n")
    (item,) = Composites(tmp_path, "val.txt")
    assert item.group == "reinhard"
    assert item.real.name == "my_photo.PNG"


def test_format_of_the_list_wins_where_a_picture_exists_in_two(tmp_path: Path) -> None:
    lay_out(tmp_path, "p_1_a.png", "p.jpg", "p_1.png")
    lay_out(tmp_path, "p_1_a.jpg", "p.png", "p_1.jpg")
    (tmp_path / "val.txt").write_text("p_1_a.png\n")
    (item,) = Composites(tmp_path, "val.txt")
    assert [p.name for p in (item.composite, item.mask, item.real)] == ["p_1_a.png", "p_1.png", "p.png"]


def test_composite_stored_in_another_format_than_listed(tmp_path: Path) -> None:
    lay_out(tmp_path, "c1_2_3.webp", "c1.webp", "c1_2.png")
    (tmp_path / "val.txt").write_text("c1_2_3.jpg\n")
    assert Composites(tmp_path, "val.txt")[0].composite.name == "c1_2_3.webp"


def test_list_is_looked_for_in_the_bench_and_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, here = tmp_path / "bench", tmp_path / "here"
    lay_out(bench, "c1_2_3.jpg", "c1.jpg", "c1_2.png")
    here.mkdir()
    (here / "mine.txt").write_text("c1_2_3.jpg\n")
    monkeypatch.chdir(here)
    assert len(Composites(bench, "mine.txt")) == 1


@pytest.mark.parametrize("gone", ["composite_images/c1_2_3.jpg", "masks/c1_2.png", "real_images/c1.jpg"])
def test_missing_file_is_named(tmp_path: Path, gone: str) -> None:
    lay_out(tmp_path, "c1_2_3.jpg", "c1.jpg", "c1_2.png")
    (tmp_path / "val.txt").write_text("c1_2_3.jpg\n")
    (tmp_path / gone).unlink()
    with pytest.raises(SourceError, match=Path(gone).name) as error:
        Composites(tmp_path, "val.txt")
    assert error.value.hint


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "is no folder"),
        (lambda root: root.mkdir(), "no list file"),
        (lambda root: (root.mkdir(), (root / "val.txt").write_text("\n")), "names no composite"),
        (lambda root: (root.mkdir(), (root / "val.txt").write_bytes(b"\xff\xfe\x00\xd8")), "no text file"),
        (lambda root: (root.mkdir(), (root / "val.txt").write_text("picture.jpg")), "no composite's name"),
        (lambda root: (root.mkdir(), (root / "val.txt").write_text("a_b_c.jpg")), "composite_images"),
    ],
    ids=["no folder", "no list", "empty", "binary", "name", "layout"],
)
def test_bad_benches_are_refused_in_words(tmp_path: Path, make, words: str) -> None:
    root = tmp_path / "bench"
    make(root)
    with pytest.raises(SourceError, match=words) as error:
        Composites(root, "val.txt")
    assert error.value.hint


def test_the_real_benchmark(shared_dir: Path) -> None:
    items = Composites(shared_dir / "photos" / "val", "val.txt")
    assert len(items) == 162
    assert {i.group for i in items} == {"reinhard", "mkl", "hist", "idt"}
