"""The frame graph in ONNX Runtime: identities of compositing, sizes, state, and what it is made from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest

from edge_harmony import contract
from edge_harmony.errors import ModelError
from export import frame_graph, reference, runtime
from export.scenes import Scene, synthetic_scene


@pytest.fixture(scope="module")
def session(frame_model):
    return runtime.session(frame_model)


def _run(session, scene, previous=contract.IDENTITY, strength=1.0, smoothing=0.0):
    return session.run(
        [contract.HARMONIZED, contract.TRANSFORM], runtime.frame_feeds(scene, previous, strength, smoothing)
    )


def _straight(scene: Scene) -> np.ndarray:
    """Foreground over background in exact integers, rounded half up."""
    alpha = scene.alpha[..., None].astype(np.int64)
    return ((2 * (alpha * scene.foreground_bgr + (255 - alpha) * scene.background_bgr) + 255) // 510).astype(np.uint8)


@pytest.mark.parametrize("size_hw", [(64, 64), (65, 97), (101, 64), (216, 384), (333, 257)])
def test_any_size(session, size_hw):
    scene = synthetic_scene(size_hw, 11)
    harmonized, transform = _run(session, scene)
    assert harmonized.shape == (*size_hw, 3)
    assert harmonized.dtype == np.uint8
    assert transform.shape == contract.TRANSFORM_SHAPE
    assert np.array_equal(harmonized[scene.alpha == 0], scene.background_bgr[scene.alpha == 0])
    assert (harmonized[scene.alpha == 255] != scene.foreground_bgr[scene.alpha == 255]).mean() > 0.3


def test_strength_zero_is_plain_compositing_to_the_bit(session):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(2)]
    scene = Scene("noise", noise[0], rng.integers(0, 256, (96, 128), np.uint8), noise[1])
    harmonized, _ = _run(session, scene, strength=0.0)
    assert np.array_equal(harmonized, _straight(scene))


def test_empty_alpha_is_the_background_and_full_alpha_never_shows_it(session):
    scene = synthetic_scene((90, 70), 4)
    empty = Scene("empty", scene.foreground_bgr, np.zeros_like(scene.alpha), scene.background_bgr)
    harmonized, transform = _run(session, empty)
    assert np.array_equal(harmonized, scene.background_bgr)
    assert np.isfinite(transform).all()
    full = Scene("full", scene.foreground_bgr, np.full_like(scene.alpha, 255), scene.background_bgr)
    other = Scene("other", scene.foreground_bgr, full.alpha, 255 - scene.background_bgr)
    difference = np.abs(_run(session, full)[0].astype(int) - _run(session, other)[0])
    assert difference.max() <= 1, "the last bits of an interpolated alpha may turn a rounding, no more"
    assert (difference == 0).mean() > 0.999


def test_smoothing_keeps_the_previous_transform(session):
    scene = synthetic_scene((90, 70), 4)
    _, new = _run(session, scene)
    for start in (np.zeros(contract.TRANSFORM_SHAPE, np.float32), np.full(contract.TRANSFORM_SHAPE, 1e30, np.float32)):
        assert np.array_equal(_run(session, scene, start, smoothing=0.0)[1], new), "an unused state leaks in"
    previous = contract.IDENTITY * np.float32(0.5)
    _, kept = _run(session, scene, previous, smoothing=0.75)
    np.testing.assert_allclose(kept, previous + 0.25 * (new - previous), atol=1e-6)
    _, settled = _run(session, scene, new, smoothing=0.9)
    assert np.array_equal(settled, new), "a static scene must give a static transform"


def test_the_transform_is_clamped_not_wrapped(session):
    scene = synthetic_scene((80, 80), 2)
    full = Scene("full", scene.foreground_bgr, np.full_like(scene.alpha, 255), scene.background_bgr)
    for factor, value in ((50.0, 255), (-50.0, 0)):
        previous = np.zeros(contract.TRANSFORM_SHAPE, np.float32)
        previous[:, 3::4] = factor  # every offset far outside the range
        harmonized, _ = _run(session, full, previous, smoothing=0.9999)
        assert (harmonized == value).all()


def test_agrees_with_pytorch_on_photographs(session, generator, shared_dir):
    from export.scenes import folder_scenes

    for scene in folder_scenes(shared_dir / "photos" / "val", limit=2):
        harmonized, _ = _run(session, scene)
        expected, _ = reference.harmonize_frame(
            generator, scene.foreground_bgr, scene.alpha, scene.background_bgr, contract.IDENTITY.copy(), 1.0, 0.0
        )
        off = np.abs(harmonized.astype(int) - expected).max(axis=2)
        assert (off <= 1).mean() >= 0.999


def test_composing_leaves_the_transform_graph_alone(transform_model):
    before = transform_model.SerializeToString()
    frame_graph.compose(transform_model)
    assert transform_model.SerializeToString() == before


def test_a_frame_graph_is_not_composed_again(frame_model):
    with pytest.raises(ModelError, match="a frame graph was given") as caught:
        frame_graph.compose(frame_model)
    assert caught.value.hint


def test_command_line_needs_onnx_only(exported, frame_model, tmp_path, repository):
    blocked = "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnxruntime', 'training'), None)); "
    program = blocked + "from export.frame_graph import main; sys.exit(main(sys.argv[1:]))"
    output = tmp_path / "mine_frame.onnx"
    command = [sys.executable, "-c", program, str(exported / "base.onnx"), "-o", str(output)]
    subprocess.run(command, check=True, cwd=repository, timeout=60)
    assert onnx.load(output) == frame_model


def test_command_line_on_a_missing_file(tmp_path, capsys):
    assert frame_graph.main([str(tmp_path / "none.onnx")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
