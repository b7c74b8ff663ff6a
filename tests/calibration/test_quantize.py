"""INT8 graphs that hold their bound, say what they are, and run and build everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from calibration.quantize import META_FLOAT, META_INT8, META_LOSS, META_METHOD, main, quantize, split
from calibration.ranges import feeds, measure_ranges
from calibration.sensitivity import Reference, decibels, harmonized, keep_worst_in_float, layer_losses
from calibration.shards import CalibrationSet
from edge_harmony import contract
from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.harmonize.transfer import apply_transform
from export import model_file, precision
from export.precision import convolutions, to_int8
from tests.calibration.conftest import disc, picture, sample

BAD = "encoder.stages.1.1.0.body.1.0/Conv"  # reads what BEFORE and a ReLU give
BEFORE = "encoder.stages.1.1.0.body.0.0/Conv"


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


@pytest.fixture(scope="module")
def uneven(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function, with one layer that INT8 ruins: one of its input channels is 3000 times the others.

    What one convolution multiplies, the next (depthwise) one divides; the ReLU between them does not mind.
    """
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    nodes = {node.name: node for node in changed.graph.node}
    tensors = {tensor.name: tensor for tensor in changed.graph.initializer}
    for name, factor in ((BEFORE, 3000.0), (BAD, 1 / 3000.0)):
        for tensor_name in nodes[name].input[1 : 3 if name == BEFORE else 2]:
            values = numpy_helper.to_array(tensors[tensor_name]).copy()
            values[0] *= factor
            tensors[tensor_name].CopyFrom(numpy_helper.from_array(values, tensor_name))
    return changed


@pytest.fixture(scope="module")
def quantized(model: onnx.ModelProto, data: CalibrationSet):
    return quantize(model, data, "minmax", bound_db=30, measured=6)


def test_the_change_that_makes_a_layer_bad_leaves_the_function(model, uneven) -> None:
    reference = Reference(model, [sample(0)])
    assert reference.loss(model).mean_squared_error == 0
    assert reference.loss(uneven).db > 80


def test_the_graph_runs_and_is_close(model: onnx.ModelProto, quantized) -> None:
    onnx.checker.check_model(quantized.model, full_check=True)
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        for graph in (quantized.model, precision.to_fp16(quantized.model)):
            session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
            (transform,) = session.run(None, feeds(sample(100)))
            assert np.abs(np.asarray(transform) - contract.IDENTITY).max() < 10
    held_out = Reference(model, [sample(i) for i in range(100, 104)])
    assert held_out.loss(quantized.model).db > 25  # the bound is held on others, and random layers are sensitive
    assert quantized.loss.db >= 30
    assert quantized.half_loss.db >= 30


def test_metadata_says_what_it_was_made_of(model: onnx.ModelProto, data: CalibrationSet, quantized) -> None:
    meta, before = metadata(quantized.model), metadata(model)
    assert meta[model_file.META_CALIBRATION] == data.digest
    assert meta[META_METHOD] == "minmax"
    assert meta[model_file.META_PRECISION] == "int8"
    assert {*meta[META_INT8].split(), *meta[META_FLOAT].split()} == {site.node for site in convolutions(model)}
    assert float(meta[META_LOSS]) == pytest.approx(quantized.half_loss.db, abs=0.01)
    changed = {model_file.META_PRECISION}
    assert {key: meta[key] for key in before if key not in changed} == {
        key: value for key, value in before.items() if key not in changed
    }
    assert metadata(precision.to_fp16(quantized.model))[model_file.META_CALIBRATION] == data.digest


def test_metadata_names_the_layers_that_are_int8(quantized) -> None:
    makers = {name: node for node in quantized.model.graph.node for name in node.output}
    found = [
        node.name for node in quantized.model.graph.node
        if node.op_type == "Conv" and getattr(makers.get(node.input[0]), "op_type", "") == "DequantizeLinear"
    ]  # fmt: skip
    assert found == metadata(quantized.model)[META_INT8].split()
    assert found


def test_the_bad_layer_is_found_and_left_in_floating_point(uneven: onnx.ModelProto, data: CalibrationSet) -> None:
    ranges = measure_ranges(uneven, lambda: data)
    reference = Reference(uneven, data.select(data.spread(6)))
    layers = layer_losses(uneven, ranges, reference)
    assert layers[0].site.node == BAD
    everything = reference.loss(to_int8(uneven, ranges))
    best_bound = reference.loss(to_int8(uneven, ranges, [BAD])).db
    assert everything.db < best_bound - 3
    tries: list[int] = []
    made, kept, loss = keep_worst_in_float(
        uneven, ranges, reference, layers, [], best_bound - 0.5, lambda count, _: tries.append(count)
    )
    assert kept == [BAD]
    assert tries == [0, 1]
    assert loss.db >= best_bound - 0.5
    assert reference.loss(made) == loss


def test_a_higher_bound_leaves_more_layers_out_and_holds(
    model: onnx.ModelProto, data: CalibrationSet, quantized
) -> None:
    bound = quantized.half_loss.db + 3
    more = quantize(model, data, "minmax", bound_db=bound, measured=6)
    assert more.half_loss.db >= bound
    assert len(more.kept) > len(quantized.kept)
    for_loss, _ = split(data, 6)
    assert Reference(model, data.select(for_loss)).loss(precision.to_fp16(more.model)) == more.half_loss


def test_a_bound_that_cannot_be_held_is_an_error(model: onnx.ModelProto, data: CalibrationSet) -> None:
    with pytest.raises(ModelError, match="misses 200 dB") as caught:
        quantize(model, data, "minmax", bound_db=200, measured=2)
    assert "--bound-db" in caught.value.hint


def test_losses_are_measured_on_other_samples_than_ranges(data: CalibrationSet) -> None:
    for_loss, for_ranges = split(data, 6)
    assert len(for_loss) == 6
    assert sorted(for_loss + for_ranges) == list(range(24))
    for_loss, for_ranges = split(data, 24)
    assert len(for_loss) == 8
    assert not set(for_loss) & set(for_ranges)


def test_the_harmonized_foreground_is_the_runtimes() -> None:
    rng = np.random.default_rng(5)
    jitter = rng.normal(0, 0.05, contract.TRANSFORM_SHAPE).astype(np.float32)
    transform = contract.IDENTITY + jitter
    view, mask = picture(1), disc(1)
    opaque = np.where(mask > 0, 255, 0).astype(np.uint8)
    runtime = apply_transform(view, opaque, view, transform)
    assert np.abs(harmonized((view, mask), transform) - runtime[mask > 0]).max() <= 0.51


def test_loss_is_of_the_foreground_alone_and_of_pictures(model: onnx.ModelProto) -> None:
    one = sample(2)
    reference = Reference(model, [one])
    brighter = onnx.ModelProto.FromString(model.SerializeToString())
    name = brighter.graph.output[0].name
    node = next(node for node in brighter.graph.node if name in node.output)
    node.output[0] = "before"
    offset = np.zeros((1, 12, 1, 1), np.float32)
    offset[:, [3, 7, 11]] = -2 / 255  # two code values darker
    brighter.graph.initializer.append(numpy_helper.from_array(offset, "offset"))
    brighter.graph.node.append(onnx.helper.make_node("Add", ["before", "offset"], [name], "darker"))
    cover = one[1][one[1] > 0] / 255
    assert reference.loss(brighter).mean_squared_error <= 4 * float(np.mean(cover**2)) * 1.001
    assert reference.loss(brighter).mean_squared_error > 2 * float(np.mean(cover**2))  # the rest is clipped at 0
    assert decibels(0) == float("inf")
    assert decibels(255**2) == 0


def test_command_reports_every_layer_and_writes_the_graph(
    model: onnx.ModelProto, model_path: Path, data: CalibrationSet, tmp_path: Path, capsys
) -> None:
    output = tmp_path / "int8.onnx"
    words = ["--onnx", str(model_path), "--data", str(data.folder), "--measure", "4"]
    arguments = [*words, "--bound-db", "20", "--keep-fp16", "encoder.stem*", "head/Conv", "-o", str(output)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    meta = metadata(onnx.load(output))
    for site in convolutions(model):
        kept = site.node == "head/Conv" or site.node.startswith("encoder.stem")
        assert (site.node in out) != kept
        assert (site.node in meta[META_FLOAT].split()) or not kept
    assert data.digest[:16] in out
    model_file.load(output)
    from edge_harmony import load_harmonizer

    with load_harmonizer(output, backend="onnxruntime", threads=1) as harmonizer:
        assert harmonizer(picture(3), disc(3)).shape == (256, 256, 3)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (["--keep-fp16", "encoder.stan*"], 2, "fits no layer"),
        (["--measure", "0"], 2, "--measure"),
        (["--bound-db", "300"], 1, "misses 300 dB"),
        (["--data", "nowhere"], 1, "no calibration set"),
        (["--onnx", "nowhere.onnx"], 1, "does not exist"),
    ],
)
def test_command_refuses_and_leaves_no_file(
    model_path: Path, data: CalibrationSet, tmp_path: Path, capsys, changes: list[str], code: int, words: str
) -> None:
    output = tmp_path / "int8.onnx"
    arguments = ["--onnx", str(model_path), "--data", str(data.folder), "--measure", "1", "-o", str(output), *changes]
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert words in error
    assert "hint: " in error
    assert not output.exists()


def test_command_does_not_overwrite_its_input(model_path: Path, data: CalibrationSet, capsys) -> None:
    before = model_path.read_bytes()
    assert main(["--onnx", str(model_path), "--data", str(data.folder), "-o", str(model_path)]) == 2
    assert model_path.read_bytes() == before


def test_keeping_every_layer_is_an_error(model: onnx.ModelProto, data: CalibrationSet) -> None:
    with pytest.raises(ModelError, match="no layer"):
        quantize(model, data, "minmax", keep=["*"])
    with pytest.raises(ConfigError, match="nonsense"):
        quantize(model, data, "minmax", keep=["nonsense"])


@pytest.mark.parametrize("sm", ["75", "86", "120"])
def test_tensorrt_rtx_builds_it(quantized, sm: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install -e '.[rtx]'")
    from export.builder import RTX, BuildOptions, build

    for graph in (quantized.model, precision.to_fp16(quantized.model)):
        assert build(graph, BuildOptions(RTX, sm=(sm,))).data
