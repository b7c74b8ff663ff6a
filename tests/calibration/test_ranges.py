"""Ranges are those of the activations, whatever the order of samples and however many there are."""

from __future__ import annotations

import json
import tracemalloc
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from calibration.ranges import HEADROOM, METHODS, SMALLEST, feeds, main, measure_ranges
from calibration.shards import CalibrationSet
from edge_harmony.errors import ConfigError, ModelError
from export.precision import convolutions, to_int8
from tests.calibration.conftest import sample

BINS = 400  # fewer than usual: the search of the entropy method takes its time


@pytest.fixture(scope="module")
def samples() -> list:
    return [sample(i) for i in range(4)]


@pytest.fixture(scope="module")
def activations(model: onnx.ModelProto, samples: list) -> dict[str, np.ndarray]:
    """Every tensor that a convolution reads, over all samples, by running the graph with them as outputs."""
    watched = onnx.shape_inference.infer_shapes(model)
    tensors = sorted({site.tensor for site in convolutions(model)})
    values = {value.name: value for value in watched.graph.value_info}
    watched.graph.output.extend(values[name] for name in tensors)
    session = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    runs = [session.run(tensors, feeds(one)) for one in samples]
    return {name: np.concatenate([run[i].ravel() for run in runs]) for i, name in enumerate(tensors)}


@pytest.fixture(scope="module")
def ranges(model: onnx.ModelProto, samples: list) -> dict[str, dict[str, float]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calibration.ranges.BINS", BINS)
        return {method: measure_ranges(model, lambda: samples, method) for method in METHODS}


def test_minmax_is_the_largest_magnitude_and_its_headroom(ranges: dict, activations: dict) -> None:
    assert ranges["minmax"].keys() == activations.keys()
    for name, values in activations.items():
        assert ranges["minmax"][name] == pytest.approx(1.25 * float(np.abs(values).max()), rel=1e-5)


def test_percentile_clamps_what_it_says(ranges: dict, activations: dict) -> None:
    for name, values in activations.items():
        bin_width = 2 * ranges["minmax"][name] / HEADROOM / BINS
        found = ranges["percentile"][name]
        assert np.sum(np.abs(values) > found + bin_width) <= 0.0001 * values.size + 1
        assert np.sum(np.abs(values) > found - 2 * bin_width) >= 0.00005 * values.size - 1


def test_clamping_methods_stay_within_minmax(ranges: dict) -> None:
    for method in ("entropy", "percentile"):
        assert all(0 < ranges[method][name] <= 1.001 * peak for name, peak in ranges["minmax"].items())
    assert any(ranges["entropy"][name] < 0.9 * peak for name, peak in ranges["minmax"].items())


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_the_order_of_samples_does_not_matter(model: onnx.ModelProto, samples: list, method: str) -> None:
    found = measure_ranges(model, lambda: samples, method)
    assert measure_ranges(model, lambda: samples[::-1], method) == pytest.approx(found, rel=1e-5)


def test_they_are_what_the_quantizer_asks_for(model: onnx.ModelProto, ranges: dict) -> None:
    assert any(node.op_type == "QuantizeLinear" for node in to_int8(model, ranges["minmax"]).graph.node)


def test_a_tensor_that_is_zero_throughout_has_a_range(model: onnx.ModelProto, samples: list) -> None:
    dead = onnx.ModelProto.FromString(model.SerializeToString())
    conv = next(node for node in dead.graph.node if node.name.startswith("encoder.stem"))
    for tensor in dead.graph.initializer:
        if tensor.name in conv.input[1:]:
            zeros = np.zeros_like(onnx.numpy_helper.to_array(tensor))
            tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, tensor.name))
    for method in ("minmax", "percentile"):
        found = measure_ranges(dead, lambda: samples[:1], method)
        assert SMALLEST in found.values()
        to_int8(dead, found)


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_memory_does_not_grow_with_the_set(model: onnx.ModelProto, samples: list, method: str) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        measure_ranges(model, lambda: chain.from_iterable(repeat(samples, count // len(samples))), method)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(4)  # what is allocated once and for all
    few, many = peak(4), peak(24)
    assert many < 1.1 * few


def test_bad_models_and_methods_are_refused(model: onnx.ModelProto, samples: list) -> None:
    with pytest.raises(ConfigError, match="histogram"):
        measure_ranges(model, lambda: samples, "histogram")
    with pytest.raises(ModelError, match="int8"):
        measure_ranges(to_int8(model, dict.fromkeys({s.tensor for s in convolutions(model)}, 1.0)), lambda: samples)
    broken = onnx.ModelProto.FromString(model.SerializeToString())
    conv = next(node for node in broken.graph.node if node.name.startswith("encoder.stages.0"))
    broken.graph.node.insert(0, helper.make_node("Log", ["minus_one"], ["nan"], "nan"))
    broken.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(-1), "minus_one"))
    broken.graph.node.insert(
        [n.name for n in broken.graph.node].index(conv.name),
        helper.make_node("Add", [conv.input[0], "nan"], ["spoilt"], "spoilt"),
    )
    next(node for node in broken.graph.node if node.name == conv.name).input[0] = "spoilt"
    with pytest.raises(ModelError, match="NaN"):
        measure_ranges(broken, lambda: samples)


def test_command_writes_what_precision_reads(model_path: Path, data: CalibrationSet, tmp_path: Path, capsys) -> None:
    output = tmp_path / "ranges.json"
    arguments = ["--onnx", str(model_path), "--data", str(data.folder), "--method", "minmax", "-o", str(output)]
    assert main(arguments) == 0
    assert "24 samples" in capsys.readouterr().out
    from export.precision import main as convert

    assert convert([str(model_path), "--int8", "--ranges", str(output), "-o", str(tmp_path / "int8.onnx")]) == 0
    assert json.loads(output.read_text()).keys() == {s.tensor for s in convolutions(onnx.load(model_path))}
    assert main(["--onnx", str(model_path), "--data", str(tmp_path), "-o", str(output)]) == 1
    assert "calibration.collect" in capsys.readouterr().err
