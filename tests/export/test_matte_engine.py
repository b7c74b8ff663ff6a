"""FP16 and INT8 graphs and engines of the person matte's network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration import matte as calibration_matte
from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.matte.person import MODEL
from export import matte_engine, matte_precision, model_file
from export.builder import RTX, BuildOptions, build_checked, check
from tests.scenes import textured

SIZE_HW = (96, 160)


@pytest.fixture(scope="module")
def person() -> onnx.ModelProto:
    return matte_precision.load(MODEL)


@pytest.fixture(scope="module")
def quantized(person: onnx.ModelProto) -> onnx.ModelProto:
    return calibration_matte.quantize(person, matte_engine.pictures(SIZE_HW) + matte_engine.pictures((160, 96)))[0]


def test_fp16_is_fp16_throughout_and_as_good(person: onnx.ModelProto) -> None:
    half = matte_precision.to_fp16(person)
    onnx.checker.check_model(half, full_check=True)
    factors = {name for node in half.graph.node if node.op_type == "Resize" for name in node.input[1:]}  # by definition
    assert {t.name for t in half.graph.initializer if t.data_type == onnx.TensorProto.FLOAT} <= factors
    assert matte_engine.measure(half, person, matte_engine.pictures(SIZE_HW)) < 0.001


def test_int8_takes_every_convolution_that_saves_something(person: onnx.ModelProto, quantized: onnx.ModelProto) -> None:
    sites = matte_precision.convolutions(person)
    pairs = [n for n in quantized.graph.node if n.op_type == "QuantizeLinear"]
    kept = model_file.properties(quantized)["edge_harmony.float_layers"].split()
    assert len(pairs) == 2 * (len(sites) - len(kept)) > 0.8 * 2 * len(sites)
    assert len(sites) == sum(n.op_type == "Conv" for n in person.graph.node) - 2  # but the two on the whole's mean
    built = matte_precision.to_fp16(quantized)
    onnx.checker.check_model(built, full_check=True)
    off = matte_engine.measure(built, person, matte_engine.pictures(SIZE_HW))
    assert 0 < off < calibration_matte.BOUND * 1.5


@pytest.mark.slow
def test_what_int8_hurts_stays_in_floating_point(person: onnx.ModelProto) -> None:
    shown = matte_engine.pictures((64, 96))
    ranges = calibration_matte.measure_ranges(person, shown)
    sites = matte_precision.convolutions(person)
    first = next(iter(sites))
    ranges[sites[first]] = 1e-3  # a range that clamps the picture away
    spoilt, rest = (
        matte_engine.measure(matte_precision.to_int8(person, ranges, skip), person, shown) for skip in ((), (first,))
    )
    assert spoilt > 4 * rest
    with pytest.raises(ModelError, match="bound is 1e-09"):
        calibration_matte.quantize(person, shown, bound=1e-9, steps=2)


def test_wrong_graphs_and_sizes_are_refused(
    tmp_path: Path, person: onnx.ModelProto, quantized: onnx.ModelProto
) -> None:
    with pytest.raises(ModelError, match="no matte of ours"):
        matte_precision.load(MODEL.with_name("base.onnx"))
    with pytest.raises(ModelError, match="does not exist"):
        matte_precision.load(tmp_path / "none.onnx")
    with pytest.raises(ConfigError, match="100x160"):
        matte_precision.of_size(person, (160, 100))
    with pytest.raises(ConfigError, match="not quantized"):
        matte_engine.converted(person, "int8")
    with pytest.raises(ConfigError, match="INT8"):
        matte_engine.converted(quantized, "fp16")
    with pytest.raises(ConfigError, match="no usable range"):
        matte_precision.to_int8(person, {})


def test_calibrating_on_a_folder_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    (tmp_path / "photos").mkdir()
    for i, size_hw in enumerate(((90, 160), (160, 90), (120, 120), (90, 160), (120, 120))):
        cv2.imwrite(str(tmp_path / "photos" / f"{i}.png"), textured(size_hw, seed=i))
    out = tmp_path / "person_int8.onnx"
    given = ["--source", str(tmp_path / "photos"), "--size", "128", "--bound", "0.05", "-o", str(out)]
    assert calibration_matte.main(given) == 0
    assert "convolutions in INT8" in capsys.readouterr().out
    meta = model_file.properties(matte_precision.load(out))
    assert meta["edge_harmony.precision"] == "int8"
    assert float(meta["edge_harmony.int8_alpha"]) <= 0.05
    from edge_harmony.matte import open_matte

    alpha = open_matte(str(out))(textured((90, 160)))  # it runs on a CPU as any other network
    assert alpha.shape == (90, 160)


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("precision", ["fp16", pytest.param("int8", marks=pytest.mark.slow)])
def test_engines_build(person: onnx.ModelProto, quantized: onnx.ModelProto, precision: str) -> None:
    source = quantized if precision == "int8" else person
    model = matte_precision.of_size(matte_engine.converted(source, precision), SIZE_HW)
    options = BuildOptions(RTX, sm=("86",))
    engine = build_checked(model, options, check(options, "transform"))
    assert engine.sm == ("86",)
    assert len(engine.data) > 1 << 20


@pytest.mark.usefixtures("rtx")
def test_the_command_writes_engine_and_sidecar(tmp_path: Path) -> None:
    out = tmp_path / "person.engine"
    assert matte_engine.main(["--fp16", "--size", "160x96", "--target", "rtx", "--sm", "86", "-o", str(out)]) == 0
    sidecar = engine_sidecar.read(out)
    assert (sidecar.graph, sidecar.precision, sidecar.min_size) == ("matte", "fp16", (160, 96))
    assert sidecar.parity["passed"]
    assert np.isclose(sidecar.engine_bytes, out.stat().st_size)
