"""A calibration set is whole or absent, and its digest is that of its samples alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration import shards
from calibration.shards import MANIFEST, check_target, digest_of, open_set, write_set
from edge_harmony.errors import SinkError, SourceError
from tests.calibration.conftest import sample


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    written = [sample(i) for i in range(70)]  # three shards
    made = write_set(tmp_path / "set", iter(written), {"source": "here"})
    found = open_set(tmp_path / "set")
    found.verify()
    assert found == made
    assert len(found) == 70
    assert [count for _, count in found.shards] == [32, 32, 6]
    for (view, mask), (expected_view, expected_mask) in zip(found, written, strict=True):
        assert np.array_equal(view, expected_view)
        assert np.array_equal(mask, expected_mask)
    chosen = list(found.select([0, 33, 69]))
    assert all(np.array_equal(view, written[i][0]) for (view, _), i in zip(chosen, [0, 33, 69], strict=True))
    assert found.sources == ({"source": "here", "kept": 70},)


def test_digest_is_of_the_samples_and_their_order_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [sample(i) for i in range(7)]
    digest = write_set(tmp_path / "one", samples, {"source": "a"}).digest
    monkeypatch.setattr(shards, "SHARD_SIZE", 3)
    assert write_set(tmp_path / "two", samples, {"source": "b"}).digest == digest
    assert digest_of(reversed(samples)) != digest
    samples[3] = (samples[3][0], samples[3][1].copy())
    samples[3][1][0, 0] ^= 1
    assert digest_of(samples) != digest


def test_extending_equals_writing_at_once(tmp_path: Path) -> None:
    samples = [sample(i) for i in range(5)]
    first = write_set(tmp_path / "set", samples[:2], {"source": "a"})
    whole = write_set(tmp_path / "set", samples[2:], {"source": "b"}, extend=first)
    assert whole.digest == digest_of(samples)
    assert [source["kept"] for source in open_set(tmp_path / "set").sources] == [2, 3]
    open_set(tmp_path / "set").verify()


def test_replacing_removes_the_old_shards(tmp_path: Path) -> None:
    write_set(tmp_path / "set", [sample(i) for i in range(40)], {})
    made = write_set(tmp_path / "set", [sample(50)], {})
    names = {path.name for path in (tmp_path / "set").iterdir()}
    assert names == {MANIFEST, made.shards[0][0]}


def test_a_failure_leaves_the_old_set_and_nothing_else(tmp_path: Path) -> None:
    before = write_set(tmp_path / "set", [sample(0)], {})
    names = sorted(path.name for path in (tmp_path / "set").iterdir())

    def broken():
        for i in range(40):
            yield sample(i)
        raise SourceError("the source broke off")

    for extend in (None, before):
        with pytest.raises(SourceError, match="broke off"):
            write_set(tmp_path / "set", broken(), {}, extend)
        assert sorted(path.name for path in (tmp_path / "set").iterdir()) == names
        open_set(tmp_path / "set").verify()
    with pytest.raises(SourceError, match="broke off"):
        write_set(tmp_path / "new", broken(), {})
    assert not (tmp_path / "new").exists()


def test_damage_is_found(tmp_path: Path) -> None:
    made = write_set(tmp_path / "set", [sample(0), sample(1)], {})
    shard = tmp_path / "set" / made.shards[0][0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="cannot be read"):
        list(made)
    altered = bytearray(whole)
    altered[len(whole) // 2] ^= 255
    shard.write_bytes(altered)
    with pytest.raises(SourceError):
        made.verify()
    shard.unlink()
    with pytest.raises(SourceError, match="cannot be read") as caught:
        list(made)
    assert "--force" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("contract_version", 99, "contract 99"),
        ("format", 7, "format 7"),
        ("count", 3, "counts 3"),
        ("shards", 5, "read"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(tmp_path: Path, key: str, value: object, message: str) -> None:
    write_set(tmp_path, [sample(0)], {})
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(SourceError, match=message):
        open_set(tmp_path)


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    write_set(tmp_path / "set", [sample(0)], {})
    path = tmp_path / "set" / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["shards"][0]["file"] = "../secret.npz"
    path.write_text(json.dumps(manifest))
    with pytest.raises(SourceError, match="no file name"):
        open_set(tmp_path / "set")


def test_what_stands_there_is_not_overwritten_unasked(tmp_path: Path) -> None:
    assert check_target(tmp_path / "new", force=False, append=False) is None
    made = write_set(tmp_path / "set", [sample(0)], {})
    with pytest.raises(SinkError, match="already") as caught:
        check_target(tmp_path / "set", force=False, append=False)
    assert "--append" in caught.value.hint
    assert check_target(tmp_path / "set", force=True, append=False) is None
    assert check_target(tmp_path / "set", force=False, append=True) == made
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(SinkError, match="no calibration set"):
        check_target(tmp_path / "other", force=True, append=False)


def test_spread_is_even_and_within_the_set(tmp_path: Path) -> None:
    made = write_set(tmp_path, [sample(i) for i in range(10)], {})
    assert made.spread(3) == [1, 5, 8]
    assert made.spread(99) == list(range(10))
