"""FP16 and INT8 graphs: sound, close to FP32 in ONNX Runtime, free of overflow, and built by TensorRT-RTX."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edge_harmony import contract
from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.harmonize.load import MODEL_FOLDER
from export import frame_graph, model_file, precision, verify
from export.builder import RTX, BuildOptions, FrameSizes, build
from export.scenes import Scene, synthetic_scene, synthetic_scenes

SIZES = ((128, 160), (97, 131), (160, 120))
FULL_HD = FrameSizes((1080, 1920), (1080, 1920), (1080, 1920))
ANY_HD = FrameSizes((270, 480), (1080, 1920), (2160, 3840))
MB = 1 << 20


@pytest.fixture(scope="module")
def fp16_transform(transform_model):
    return precision.to_fp16(transform_model)


@pytest.fixture(scope="module")
def fp16_frame(frame_model):
    return precision.to_fp16(frame_model)


@pytest.fixture(scope="module")
def int8_frame(int8_model):
    return precision.to_fp16(frame_graph.compose(int8_model))


@pytest.fixture(scope="module")
def reference(frame_model):
    return verify.graph_runner(frame_model)


def _kinds(model):
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}


def test_graphs_are_sound_and_keep_their_interface(transform_model, fp16_transform, fp16_frame, int8_model, int8_frame):
    for model, kind in ((fp16_transform, "fp16"), (fp16_frame, "fp16"), (int8_model, "int8"), (int8_frame, "int8")):
        onnx.checker.check_model(model, full_check=True)
        info = model_file.inspect(model)
        assert info.precision == kind
        assert info.weights_sha256 == model_file.inspect(transform_model).weights_sha256
        assert len({node.name for node in model.graph.node}) == len(model.graph.node)
        halves = {v.name for v in (*model.graph.input, *model.graph.output)}
        assert TensorProto.FLOAT16 not in {_kinds(model)[name] for name in halves}
    assert fp16_transform.ByteSize() < 0.6 * transform_model.ByteSize()


def test_statistics_stay_fp32_and_convolutions_do_not(fp16_frame, int8_frame):
    for model in (fp16_frame, int8_frame):
        kinds = _kinds(model)
        by_type = {}
        for node in model.graph.node:
            if node.name.startswith("network/"):
                by_type.setdefault(node.op_type, set()).add(kinds[node.output[0]])
        for op in ("ReduceMean", "Sqrt", "Div", "MatMul"):
            assert by_type[op] == {TensorProto.FLOAT}, op
        assert by_type["Conv"] == {TensorProto.FLOAT16}
        smoothing = [n for n in model.graph.node if n.name.startswith("smooth/")]
        assert {kinds[n.output[0]] for n in smoothing} == {TensorProto.FLOAT}
        spread = [n for n in model.graph.node if n.name.startswith("spread/") and n.op_type in ("MatMul", "Resize")]
        assert {kinds[n.output[0]] for n in spread} == {TensorProto.FLOAT16}


def test_fp16_is_close_to_fp32(reference, fp16_frame, fp16_transform):
    scenes = list(synthetic_scenes(SIZES, seed=20))
    for model in (fp16_frame, fp16_transform):
        verdict = verify.compare(reference, verify.graph_runner(model), scenes)
        assert verdict.passes(verify.MINIMUM_DB["fp16"]), str(verdict)


def test_fp16_survives_extreme_pictures(reference, fp16_frame):
    """A speck of a foreground weighs its pixels up to 10,000-fold; flat and saturated pictures have no deviation."""
    size = (192, 256)
    black, white = np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)
    noise = np.random.default_rng(1).integers(0, 2, (*size, 3), np.uint8) * 255
    speck, full, line = np.zeros(size, np.uint8), np.full(size, 255, np.uint8), np.zeros(size, np.uint8)
    speck[100:102, 90:92] = 255
    line[:, 128] = 3
    scenes = [
        Scene(f"{i}", foreground, alpha, background)
        for i, (foreground, alpha, background) in enumerate(
            (f, a, b) for f in (white, noise) for b in (black, noise) for a in (speck, full, line)
        )
    ]
    scenes.append(Scene("black on black", black, full, black))
    verdict = verify.compare(reference, verify.graph_runner(fp16_frame), scenes)
    assert verdict.finite
    assert verdict.background_kept
    assert verdict.db > 40, str(verdict)


def test_fp16_keeps_an_untouched_foreground(fp16_frame):
    """Strength 0 and a full alpha: FP16 arithmetic on code values must not move a single one."""
    from export import runtime

    noise = np.random.default_rng(0).integers(0, 256, (96, 80, 3), np.uint8)
    scene = Scene("noise", noise, np.full((96, 80), 255, np.uint8), 255 - noise)
    session = runtime.session(fp16_frame)
    harmonized, _ = session.run(None, runtime.frame_feeds(scene, strength=0.0))
    assert np.array_equal(harmonized, noise)


def test_int8_is_near_fp32(reference, int8_model, int8_frame):
    scenes = list(synthetic_scenes(SIZES, seed=20))
    for model in (int8_model, int8_frame):
        verdict = verify.compare(reference, verify.graph_runner(model), scenes)
        assert verdict.finite
        assert verdict.background_kept
        assert verdict.db > 25, str(verdict)  # the weights are random, hence far more sensitive than trained ones


def test_int8_pairs_are_what_tensorrt_takes(transform_model, int8_model):
    sites = precision.convolutions(transform_model)
    count = Counter(node.op_type for node in int8_model.graph.node)
    assert count["QuantizeLinear"] == count["DequantizeLinear"] == 2 * len(sites)
    values = {t.name: numpy_helper.to_array(t) for t in int8_model.graph.initializer}
    readers = {name: node for node in int8_model.graph.node for name in node.input}
    for node in int8_model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale, zero = values[node.input[1]], values[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
        assert (scale > 0).all()
        assert np.array_equal(scale, scale.astype(np.float16).astype(np.float32)), "FP16 would change the scale"
        if node.op_type == "DequantizeLinear":
            assert readers[node.output[0]].op_type == "Conv"
    meta = {e.key: e.value for e in int8_model.metadata_props}
    assert meta[model_file.META_CALIBRATION] == "c0ffee"


def test_no_weight_is_clipped_by_its_scale(transform_model, int8_model):
    weights = {t.name: numpy_helper.to_array(t) for t in transform_model.graph.initializer}
    scales = {t.name: numpy_helper.to_array(t) for t in int8_model.graph.initializer}
    nodes = {node.name: node for node in transform_model.graph.node}
    for site in precision.convolutions(transform_model):
        weight = weights[nodes[site.node].input[1]]
        peak = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        assert (scales[f"{site.node}/weight_scale"] * 127 >= peak * (1 - 1e-6)).all()


def test_layers_can_be_left_out(transform_model, ranges):
    sites = precision.convolutions(transform_model)
    skipped = sites[0].node
    model = precision.to_int8(transform_model, ranges, skip=[skipped])
    conv = next(node for node in model.graph.node if node.name == skipped)
    assert conv.input[0] == sites[0].tensor
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) == 2 * (len(sites) - 1)


@pytest.mark.parametrize("wrong", [None, 0.0, float("nan"), float("inf")])
def test_unusable_ranges(transform_model, ranges, wrong):
    broken = dict(ranges)
    name = precision.convolutions(transform_model)[5].tensor
    if wrong is None:
        del broken[name]
    else:
        broken[name] = wrong
    with pytest.raises(ConfigError, match="no usable range"):
        precision.to_int8(transform_model, broken)


def test_wrong_graphs(frame_model, int8_model, transform_model, ranges):
    with pytest.raises(ModelError):
        precision.to_int8(frame_model, ranges)
    with pytest.raises(ModelError):
        precision.to_int8(int8_model, ranges)
    with pytest.raises(ConfigError, match="no convolution"):
        precision.to_int8(transform_model, ranges, skip=["nowhere/Conv"])


def test_a_weight_beyond_fp16_is_refused(transform_model):
    model = onnx.ModelProto.FromString(transform_model.SerializeToString())
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e7), tensor.name))
    with pytest.raises(ModelError, match="FP16 cannot"):
        precision.to_fp16(model)


def test_converting_twice_changes_nothing(fp16_frame, fp16_transform):
    assert precision.to_fp16(fp16_frame).graph == fp16_frame.graph
    completed = precision.to_fp16(frame_graph.compose(fp16_transform))
    assert {n.op_type for n in completed.graph.node} == {n.op_type for n in fp16_frame.graph.node}
    assert _kinds(completed)["result"] == TensorProto.FLOAT16


def test_verify_sees_nan_and_a_touched_background(reference, frame_model):
    scene = synthetic_scene((80, 80), 3)

    def nan(s):
        harmonized, transform = reference(s)
        return harmonized, transform * np.float32("nan")

    def touched(s):
        harmonized, transform = reference(s)
        return np.where(s.alpha[..., None] == 0, 255 - harmonized, harmonized), transform

    assert not verify.compare(reference, nan, [scene]).passes(0)
    assert not verify.compare(reference, touched, [scene]).passes(0)
    same = verify.compare(reference, reference, [scene])
    assert same.passes(1e9)
    assert "inf dB" in str(same)


def test_headroom_of_fp16_is_measured(transform_model, frame_model):
    scenes = [synthetic_scene((96, 96), 3)]
    headroom, tensor = verify.fp16_headroom(transform_model, scenes)
    assert headroom > 100
    assert verify.fp16_headroom(frame_model, scenes) == (headroom, tensor)
    loud = onnx.ModelProto.FromString(transform_model.SerializeToString())
    first = next(node for node in loud.graph.node if node.op_type == "Conv")
    for tensor in loud.graph.initializer:
        if tensor.name in first.input[1:]:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(3e4), tensor.name))
    assert verify.fp16_headroom(loud, scenes)[0] < verify.MINIMUM_HEADROOM


def test_verify_measures_decibels(reference):
    scene = synthetic_scene((80, 80), 3)

    def off_by_two(s):
        harmonized, transform = reference(s)
        moved = np.where(harmonized > 127, harmonized - 2, harmonized + 2)
        return np.where(s.alpha[..., None] > 0, moved, harmonized).astype(np.uint8), transform

    verdict = verify.compare(reference, off_by_two, [scene])
    assert verdict.db == pytest.approx(10 * np.log10(255**2 / 4))
    empty = Scene("empty", scene.foreground_bgr, scene.alpha * 0, scene.background_bgr)
    with pytest.raises(ModelError, match="no frame with a foreground"):
        verify.compare(reference, off_by_two, [empty])
    full = replace(scene, alpha=np.full_like(scene.alpha, 255))
    with pytest.raises(ModelError, match="background"):
        verify.compare(reference, off_by_two, [full])


def test_command_lines(exported, ranges, tmp_path, capsys):
    base, int8 = str(exported / "base.onnx"), str(tmp_path / "int8.onnx")
    (tmp_path / "ranges.json").write_text(json.dumps(ranges))
    assert precision.main([base, "--int8", "--ranges", str(tmp_path / "ranges.json"), "-o", int8]) == 0
    assert precision.main([base, "--int8", "-o", int8]) == 2
    assert verify.main([int8, "--reference", base, "--min-db", "20"]) == 0
    assert verify.main([base, "--reference", int8]) == 1
    assert "dB inside the foreground" in capsys.readouterr().out


def test_scenes_of_the_package():
    scenes, words = verify.frames_for_gate(None, 24)
    assert len(scenes) == 8
    assert "8 photographs of the package" in words
    assert all(0.05 < scene.alpha.mean() / 255 < 0.95 for scene in scenes)


def test_the_package_s_model_holds_the_bound_on_the_package_s_photographs():
    """What ``python -m export.build_engine --fp16`` finds before it builds."""
    model, _ = model_file.load(MODEL_FOLDER / "base.onnx")
    scenes, _ = verify.frames_for_gate(None, 24)
    half = precision.to_fp16(frame_graph.compose(model))
    verdict = verify.compare(verify.graph_runner(model), verify.graph_runner(half), scenes)
    assert verdict.passes(verify.MINIMUM_DB["fp16"]), str(verdict)


def test_scenes_from_a_bench(shared_dir):
    from export.scenes import folder_scenes

    scenes = list(folder_scenes(shared_dir / "photos" / "val", limit=3))
    assert len({scene.name for scene in scenes}) == 3
    assert all(scene.alpha.any() for scene in scenes)
    stills = list(folder_scenes(shared_dir / "media" / "stills"))
    assert {scene.name for scene in stills} >= {"composite_1.jpg", "composite.jpg"}


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("sm", ["75", "86", "89", "120"])
@pytest.mark.parametrize("kind", ["fp16", "int8"])
def test_rtx_builds_them_all(sm, kind, fp16_transform, fp16_frame, int8_model, int8_frame):
    transform = fp16_transform if kind == "fp16" else precision.to_fp16(int8_model)
    frame = fp16_frame if kind == "fp16" else int8_frame
    for model, sizes, ceiling_mb in ((transform, None, 32), (frame, FULL_HD, 72), (frame, ANY_HD, 200)):
        engine = build(model, BuildOptions(RTX, sizes, (sm,)))
        assert engine.activation_bytes is not None
        assert engine.activation_bytes < ceiling_mb * MB


def test_contract_names_are_not_renamed(fp16_frame):
    assert tuple(v.name for v in fp16_frame.graph.input) == contract.FRAME_GRAPH_INPUTS
    assert tuple(v.name for v in fp16_frame.graph.output) == contract.FRAME_GRAPH_OUTPUTS
