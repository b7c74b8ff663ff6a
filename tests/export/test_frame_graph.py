"""The frame graph in ONNX Runtime: identities of compositing, sizes, state, and what it is made from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest

from edge_harmony import Compositor, contract, load_harmonizer
from edge_harmony.errors import ModelError
from edge_harmony.harmonize import apply_transform
from edge_harmony.harmonize.load import find_model
from edge_harmony.pixels.synthetic import SyntheticClip
from export import frame_graph, precision, reference, runtime
from export.scenes import Scene, synthetic_scene


@pytest.fixture(scope="module")
def session(frame_model):
    return runtime.session(frame_model)


def _run(session, scene, previous=contract.IDENTITY, strength=1.0, smoothing=0.0) -> tuple[np.ndarray, np.ndarray]:
    names = [contract.HARMONIZED, contract.TRANSFORM]
    harmonized, transform = session.run(names, runtime.frame_feeds(scene, previous, strength, smoothing))
    return harmonized, transform


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
    for start in (contract.NO_TRANSFORM, np.full(contract.TRANSFORM_SHAPE, 1e30, np.float32)):
        assert np.array_equal(_run(session, scene, start, smoothing=0.0)[1], new), "an unused state leaks in"
    previous = contract.IDENTITY * np.float32(0.5)
    _, kept = _run(session, scene, previous, smoothing=0.75)
    np.testing.assert_allclose(kept, previous + 0.25 * (new - previous), atol=1e-6)
    _, settled = _run(session, scene, new, smoothing=0.9)
    assert np.array_equal(settled, new), "a static scene must give a static transform"


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_memory_of_zeros_is_a_first_frame_whatever_the_smoothing(frame_model, session, half):
    run = runtime.session(precision.to_fp16(frame_model)) if half else session
    scene = synthetic_scene((90, 70), 4)
    alone, new = _run(run, scene, contract.IDENTITY, smoothing=0.0)
    for smoothing in (0.8, 1.0):
        harmonized, transform = _run(run, scene, contract.NO_TRANSFORM, smoothing=smoothing)
        assert np.array_equal(harmonized, alone)
        assert np.array_equal(transform, new)
    almost = contract.NO_TRANSFORM.copy()
    almost[0, 7, 31, 3] = -1e-30
    assert not np.allclose(_run(run, scene, almost, smoothing=0.8)[1], new, atol=0.1), "one number is a transform"


def test_a_clip_is_what_the_compositor_makes_of_it():
    shipped = find_model(None)
    harmonizer = load_harmonizer(shipped, "onnxruntime", 1)
    session = runtime.session(frame_graph.compose(onnx.load(shipped)))
    first, plain = Compositor(harmonizer, smoothing=0.8), Compositor(harmonizer, smoothing=0.0)
    transform = previous = contract.NO_TRANSFORM
    for number, parts in enumerate(SyntheticClip((180, 241), 0.3, 4, moves=True).frames(4)):
        scene = Scene(f"{number}", *parts)
        harmonized, transform = _run(session, scene, previous, smoothing=0.8)
        followed = plain.process(*parts)
        off = np.abs(_run(session, scene, previous, smoothing=0.0)[0].astype(int) - followed)
        assert off.max() <= 1
        assert np.array_equal(harmonized[scene.alpha == 0], followed[scene.alpha == 0])
        if number == 0:
            expected = first.process(*parts)
        else:
            expected = apply_transform(*parts, previous + np.float32(0.2) * (plain.transform - previous), threads=1)
        assert np.abs(harmonized.astype(int) - expected).max() <= 1
        previous = transform


def test_the_form_for_gpus_computes_the_same(frame_model, session, transform_model):
    scene = synthetic_scene((101, 187), 6)
    for model in (frame_model, precision.to_fp16(frame_model)):
        form = frame_graph.for_gpu(model)
        onnx.checker.check_model(form, full_check=True)
        assert "MatMul" not in {node.op_type for node in form.graph.node if not node.name.startswith("network/")}
        assert frame_graph.for_gpu(form) is form
        ours, theirs = (_run(runtime.session(graph), scene, strength=0.7) for graph in (model, form))
        assert np.abs(ours[0].astype(int) - theirs[0]).max() <= 1
        assert np.array_equal(ours[1], theirs[1])
        assert {entry.key: entry.value for entry in form.metadata_props} == {
            entry.key: entry.value for entry in model.metadata_props
        }
    assert frame_graph.for_gpu(transform_model) is transform_model


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


def test_command_line_for_gpus(exported, frame_model, tmp_path):
    output = tmp_path / "mine_frame.onnx"
    assert frame_graph.main([str(exported / "base.onnx"), "--for-gpu", "-o", str(output)]) == 0
    assert onnx.load(output) == frame_graph.for_gpu(frame_model)


def test_command_line_on_a_missing_file(tmp_path, capsys):
    assert frame_graph.main([str(tmp_path / "none.onnx")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
