"""Collecting from footage: the samples are what the harmonizer is shown, and every refusal says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.collect import main
from calibration.shards import MANIFEST, open_set
from edge_harmony.capture import open_source
from edge_harmony.compose.compositor import Compositor
from edge_harmony.contract import IDENTITY, pack_view, pack_working_view
from edge_harmony.matte import open_matte
from tests.calibration.conftest import disc, picture, write_footage


def footage(folder: Path) -> list[str]:
    return [
        "--source", str(folder / "subject"), "--alpha", str(folder / "mask"), "--bg", str(folder / "background.png"),
    ]  # fmt: skip


class Watched:
    """A harmonizer that notes what it is shown."""

    threads = 1

    def __init__(self) -> None:
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def transform(self, view: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        self.seen.append(pack_view(view, alpha))
        return IDENTITY.copy()


def test_samples_are_what_the_harmonizer_is_shown(tmp_path: Path) -> None:
    write_footage(tmp_path, 6)
    assert main([*footage(tmp_path), "-o", str(tmp_path / "set")]) == 0
    watched = Watched()
    compositor = Compositor(watched)  # pyright: ignore[reportArgumentType]
    matte = open_matte(f"file:{tmp_path / 'mask'}")
    background = cv2.imread(str(tmp_path / "background.png"))
    for frame in open_source(tmp_path / "subject"):
        alpha = matte(frame.image_bgr)
        compositor.process(matte.foreground(frame.image_bgr, alpha), alpha, background)
    data = open_set(tmp_path / "set")
    assert len(data) == len(watched.seen) == 6
    for sample, (composite, mask) in zip(data, watched.seen, strict=True):
        stored_composite, stored_mask = pack_working_view(*sample)
        assert np.array_equal(stored_composite, composite)
        assert np.array_equal(stored_mask, mask)


def test_the_same_footage_gives_the_same_digest_and_the_manifest_says_whence(tmp_path: Path, capsys) -> None:
    write_footage(tmp_path, 9)
    for name in ("one", "two"):
        assert main([*footage(tmp_path), "--count", "4", "-o", str(tmp_path / name)]) == 0
    one, two = open_set(tmp_path / "one"), open_set(tmp_path / "two")
    assert one.digest == two.digest
    assert one.digest[:16] in capsys.readouterr().out
    assert len(one) == 4
    assert one.sources[0]["source"] == str(tmp_path / "subject")
    assert one.sources[0]["passed"] == 9


def test_a_still_scene_gives_one_sample(tmp_path: Path, capsys) -> None:
    write_footage(tmp_path, 8, still=True)
    assert main([*footage(tmp_path), "-o", str(tmp_path / "set")]) == 0
    assert len(open_set(tmp_path / "set")) == 1
    printed = capsys.readouterr()
    assert "7 nearly like another" in printed.out
    assert "few" in printed.err


def test_a_set_is_added_to_replaced_or_left_alone(tmp_path: Path, capsys) -> None:
    write_footage(tmp_path, 6)
    target = ["-o", str(tmp_path / "set")]
    assert main([*footage(tmp_path), *target]) == 0
    digest = open_set(tmp_path / "set").digest
    assert main([*footage(tmp_path), *target]) == 1
    assert "--append" in capsys.readouterr().err
    assert main([*footage(tmp_path), *target, "--append"]) == 1  # nothing new in it
    assert "nearly like some in the set" in capsys.readouterr().err
    assert open_set(tmp_path / "set").digest == digest
    other = tmp_path / "other"
    for name in ("composites", "masks"):
        (other / name).mkdir(parents=True)
    cv2.imwrite(str(other / "composites" / "a.png"), picture(77))
    cv2.imwrite(str(other / "masks" / "a_mask.png"), disc(77))
    more = ["--composites", str(other / "composites"), "--masks", str(other / "masks")]
    assert main([*more, *target, "--append"]) == 0
    assert [source["kept"] for source in open_set(tmp_path / "set").sources] == [6, 1]
    assert main([*more, *target, "--force"]) == 0
    assert len(open_set(tmp_path / "set")) == 1


def test_composites_may_lie_as_iharmony4_has_them(tmp_path: Path) -> None:
    for name in ("composite_images", "masks"):
        (tmp_path / name).mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "composite_images" / f"p{i}_1_word.png"), picture(i, (100 + i, 120)))
        cv2.imwrite(str(tmp_path / "masks" / f"p{i}_1.png"), disc(i, (100 + i, 120)))
    assert main(["--composites", str(tmp_path), "-o", str(tmp_path / "set")]) == 0
    data = open_set(tmp_path / "set")
    assert len(data) == 3
    composite, alpha = picture(0, (100, 120)), disc(0, (100, 120))
    seen = Compositor(None).view(composite, alpha, composite)
    assert seen is not None
    expected = pack_view(*seen)
    first = pack_working_view(*next(iter(data)))
    assert np.array_equal(first[0], expected[0])
    assert np.array_equal(first[1], expected[1])


def test_frames_without_a_subject_give_no_sample(tmp_path: Path, capsys) -> None:
    write_footage(tmp_path, 5)
    for path in (tmp_path / "mask").iterdir():
        cv2.imwrite(str(path), np.zeros((90, 120), np.uint8))
    assert main([*footage(tmp_path), "-o", str(tmp_path / "set")]) == 1
    assert "no frame shows a subject" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_source_that_breaks_off_leaves_nothing(tmp_path: Path, capsys) -> None:
    write_footage(tmp_path, 5)
    (tmp_path / "subject" / "4.png").write_bytes(b"no picture")
    assert main([*footage(tmp_path), "-o", str(tmp_path / "set")]) == 1
    assert "4.png" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_mask_of_another_length_is_named(tmp_path: Path, capsys) -> None:
    write_footage(tmp_path, 5)
    (tmp_path / "mask" / "4.png").unlink()
    assert main([*footage(tmp_path), "-o", str(tmp_path / "set")]) == 1
    assert "has 4 masks" in capsys.readouterr().err


def test_a_live_source_is_looked_at_for_some_seconds(tmp_path: Path) -> None:
    live = ["--source", "test:128x96@100", "--seconds", "0.3", "--bg", "#4060a0", "--min-distance", "0"]
    assert main([*live, "--count", "5", "-o", str(tmp_path / "set")]) == 0
    assert open_set(tmp_path / "set").count >= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--source or --composites"),
        (["--source", "a.mp4", "--composites", "b"], "one of them"),
        (["--source", "a.mp4", "--alpha", "m.png"], "--bg"),
        (["--composites", "b", "--bg", "c.png"], "--bg belongs to --source"),
        (["--source", "a.mp4", "--bg", "#808080", "--masks", "m"], "--masks belongs"),
        (["--source", "a.mp4", "--bg", "#808080", "--alpha", "m.png", "--matte", "chroma"], "do not go together"),
        (["--composites", "b", "--seconds", "3"], "--seconds belongs to"),
        (["--source", "test:96x96,frames=3", "--bg", "#808080", "--seconds", "3"], "has an end"),
        (["--source", "0", "--bg", "#808080", "--seconds", "0"], "more than 0"),
        (["--composites", "b", "--count", "0"], "--count"),
        (["--composites", "b", "--min-distance", "-1"], "--min-distance"),
    ],
)
def test_wrong_usage_is_explained(tmp_path: Path, capsys, arguments: list[str], words: str) -> None:
    assert main([*arguments, "-o", str(tmp_path / "set")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "hint: " in error
    assert not (tmp_path / "set").exists()


def test_a_missing_source_is_named(tmp_path: Path, capsys) -> None:
    missing = tmp_path / "talk.mp4"
    assert main(["--source", str(missing), "--bg", "#808080", "--matte", "chroma", "-o", str(tmp_path / "set")]) == 1
    assert "talk.mp4" in capsys.readouterr().err


def test_a_camera_that_is_not_there_is_an_error(tmp_path: Path, capsys) -> None:
    if Path("/dev/video63").exists():
        pytest.skip("there are very many cameras")
    assert main(["--source", "63", "--bg", "#808080", "--matte", "chroma", "-o", str(tmp_path / "set")]) == 1
    assert "camera 63: there is no /dev/video63" in capsys.readouterr().err


def test_a_matte_without_a_file_is_computed(tmp_path: Path) -> None:
    write_footage(tmp_path, 4)
    for i in range(4):  # the disc before a green screen
        alpha = disc(i, (90, 120))[..., None] / 255
        subject = picture(i, (90, 120)) * np.array([1, 0.4, 1]) * alpha + np.array([40, 200, 40]) * (1 - alpha)
        cv2.imwrite(str(tmp_path / "subject" / f"{i}.png"), subject.astype(np.uint8))
    arguments = ["--source", str(tmp_path / "subject"), "--matte", "chroma", "--bg", "#3060a0"]
    assert main([*arguments, "-o", str(tmp_path / "set")]) == 0
    for i, (_, mask) in enumerate(open_set(tmp_path / "set")):
        expected = cv2.resize(disc(i, (90, 120)), (256, 256))
        assert np.abs(mask.astype(int) - expected).mean() < 40


def test_a_real_clip(tmp_path: Path, shared_dir: Path) -> None:
    clip = shared_dir / "media" / "clip"
    if not clip.is_dir():
        pytest.skip("the clip is not there")
    arguments = ["--source", "foreground.mp4", "--alpha", "mask.mp4", "--bg", "background.mp4"]
    words = [str(clip / word) if word.endswith(".mp4") else word for word in arguments]
    assert main([*words, "--count", "6", "-o", str(tmp_path / "set")]) == 0
    data = open_set(tmp_path / "set")
    data.verify()
    assert len(data) == 6
    assert all(0.01 < float(mask.mean()) / 255 < 0.9 for _, mask in data)
    assert "contract_version" in json.loads((tmp_path / "set" / MANIFEST).read_text())
