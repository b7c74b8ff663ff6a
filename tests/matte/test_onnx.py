"""ONNX mattes: tiny real models, run by the real runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_harmony.errors import ConfigError, MatteError
from edge_harmony.matte.onnx import OnnxMatte
from tests.scenes import flat, soft_disc

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, F32, F16, U8 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8

SIZE = (96, 128)


def _save(path: Path, nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray]) -> Path:
    graph = helper.make_graph(
        nodes, "matte", inputs, outputs, [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def _red_model(path: Path, size: tuple = ("h", "w"), last: bool = False, kind: int = F32, stride: int = 1) -> Path:
    """A model whose alpha is its input's red channel, through a real graph of the given layout and type."""
    shape_in = [1, *size, 3] if last else [1, 3, *size]
    axis = 3 if last else 1
    nodes = [helper.make_node("Slice", ["image", "zero", "one", "axis"], ["red"])]
    constants = {"zero": np.int64([0]), "one": np.int64([1]), "axis": np.int64([axis])}
    if stride > 1:
        nodes[0] = helper.make_node("Slice", ["image", "zero", "one", "axis"], ["whole"])
        nodes.append(
            helper.make_node("AveragePool", ["whole"], ["red"], kernel_shape=[stride] * 2, strides=[stride] * 2)
        )
    nodes.append(helper.make_node("Identity", ["red"], ["alpha"]))
    shape_out = [1, None, None, 1] if last else [1, 1, None, None]
    return _save(
        path,
        nodes,
        [helper.make_tensor_value_info("image", kind, shape_in)],
        [helper.make_tensor_value_info("alpha", kind, shape_out)],
        constants,
    )


def _red_frame() -> tuple[np.ndarray, np.ndarray]:
    """A frame whose red channel is a disc's alpha, and that alpha."""
    alpha = soft_disc(SIZE, 30, soft=4)
    return np.dstack([flat(SIZE, (90, 40, 0))[..., :2], alpha]), alpha


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", [F32, F16, U8])
def test_layouts_and_types(tmp_path: Path, last: bool, kind: int) -> None:
    frame, alpha = _red_frame()
    found = OnnxMatte(_red_model(tmp_path / "m.onnx", SIZE, last, kind))(frame)
    assert np.abs(found.astype(int) - alpha).max() <= (0 if kind == U8 else 1)


@pytest.mark.parametrize("snap", [False, True])
def test_a_fixed_size_is_brought_back_to_the_frame_s(tmp_path: Path, snap: bool) -> None:
    frame, alpha = _red_frame()
    found = OnnxMatte(_red_model(tmp_path / "m.onnx", (64, 64)), snap=snap)(frame)
    assert found.shape == alpha.shape
    assert np.abs(found.astype(int) - alpha).mean() < 3


def test_a_free_size_is_limited_and_a_multiple_of_32(tmp_path: Path) -> None:
    frame, alpha = _red_frame()
    matte = OnnxMatte(_red_model(tmp_path / "m.onnx", stride=32), size=96, snap=False)
    assert matte(frame).shape == alpha.shape
    assert matte._previous is not None
    assert matte._previous.shape == (2, 3)  # 128 x 96 becomes 96 x 64 (72 rounded), averaged 32 x 32


@pytest.mark.parametrize(
    ("name", "value"), [("unit", 128 / 255), ("half", 1 / 255), ("imagenet", (128 / 255 - 0.485) / 0.229)]
)
def test_normalisations(tmp_path: Path, name: str, value: float) -> None:
    found = OnnxMatte(_red_model(tmp_path / "m.onnx", SIZE), normalise=name)(flat(SIZE, (0, 0, 128)))
    assert found[5, 5] == int(np.clip(value, 0, 1) * 255 + 0.5)


def test_a_sigmoid_can_be_asked_for(tmp_path: Path) -> None:
    found = OnnxMatte(_red_model(tmp_path / "m.onnx", SIZE), sigmoid=True)(flat(SIZE, (0, 0, 0)))
    assert found[5, 5] == 128


def test_of_two_channels_the_last_is_the_subject_s(tmp_path: Path) -> None:
    path = _save(
        tmp_path / "m.onnx",
        [helper.make_node("Slice", ["image", "zero", "two", "axis"], ["both"])],
        [helper.make_tensor_value_info("image", F32, [1, 3, *SIZE])],
        [helper.make_tensor_value_info("both", F32, [1, 2, *SIZE])],
        {"zero": np.int64([0]), "two": np.int64([2]), "axis": np.int64([1])},
    )
    assert (OnnxMatte(path)(flat(SIZE, (10, 20, 30))) == 20).all()  # red, green: green is the last


def test_a_fourth_channel_is_the_previous_alpha(tmp_path: Path) -> None:
    path = _save(
        tmp_path / "m.onnx",
        [
            helper.make_node("Slice", ["image", "zero", "one", "axis"], ["red"]),
            helper.make_node("Slice", ["image", "three", "four", "axis"], ["before"]),
            helper.make_node("Add", ["red", "before"], ["alpha"]),
        ],
        [helper.make_tensor_value_info("image", F32, [1, 4, *SIZE])],
        [helper.make_tensor_value_info("alpha", F32, [1, 1, *SIZE])],
        {n: np.int64([v]) for n, v in (("zero", 0), ("one", 1), ("three", 3), ("four", 4), ("axis", 1))},
    )
    matte, frame = OnnxMatte(path), flat(SIZE, (0, 0, 40))
    assert [int(matte(frame)[0, 0]) for _ in range(3)] == [40, 80, 120]
    matte.reset()
    assert matte(frame)[0, 0] == 40


def _recurrent_model(path: Path) -> Path:
    """Robust Video Matting's signature: pha is red, plus the first state, which counts frames in steps of 0.1."""
    nodes = [
        helper.make_node("Slice", ["src", "zero", "one", "axis"], ["red"]),
        helper.make_node("Add", ["red", "r1i"], ["sum"]),
        helper.make_node("Mul", ["sum", "ratio_one"], ["pha"]),
        helper.make_node("Div", ["downsample_ratio", "downsample_ratio"], ["ratio_one"]),
        helper.make_node("Sub", ["unit", "src"], ["fgr"]),
        helper.make_node("Add", ["r1i", "step"], ["r1o"]),
        *[helper.make_node("Identity", [f"r{i}i"], [f"r{i}o"]) for i in (2, 3, 4)],
    ]
    nodes.insert(2, nodes.pop(3))
    states = [helper.make_tensor_value_info(f"r{i}i", F32, [None] * 4) for i in (1, 2, 3, 4)]
    return _save(
        path,
        nodes,
        [
            helper.make_tensor_value_info("src", F32, [None, 3, None, None]),
            *states,
            helper.make_tensor_value_info("downsample_ratio", F32, [1]),
        ],
        [
            helper.make_tensor_value_info("fgr", F32, [None, 3, None, None]),
            helper.make_tensor_value_info("pha", F32, [None, 1, None, None]),
            *[helper.make_tensor_value_info(f"r{i}o", F32, [None] * 4) for i in (1, 2, 3, 4)],
        ],
        {
            "zero": np.int64([0]),
            "one": np.int64([1]),
            "axis": np.int64([1]),
            "step": np.float32([0.1]),
            "unit": np.float32([1.0]),
        },
    )


def test_the_recurrent_signature_keeps_its_states_until_reset(tmp_path: Path) -> None:
    matte, frame = OnnxMatte(_recurrent_model(tmp_path / "rvm.onnx")), flat(SIZE, (0, 0, 51))
    assert matte.recurrent
    assert [int(matte(frame)[0, 0]) for _ in range(3)] == [51, 77, 102]
    matte.reset()
    assert matte(frame)[0, 0] == 51


def test_the_recurrent_model_s_own_foreground_is_used(tmp_path: Path) -> None:
    matte, frame = OnnxMatte(_recurrent_model(tmp_path / "rvm.onnx")), flat(SIZE, (200, 100, 51))
    alpha = matte(frame)
    assert (matte.foreground(frame, alpha) == (55, 155, 204)).all()
    alpha = np.full(SIZE, 255, np.uint8)
    assert (matte.foreground(frame, alpha) == frame).all()


def test_any_size_may_follow_a_reset(tmp_path: Path) -> None:
    matte = OnnxMatte(_recurrent_model(tmp_path / "rvm.onnx"))
    for size in ((96, 128), (70, 65)):
        matte.reset()
        assert matte(flat(size, (0, 0, 51))).shape == size


def test_other_signatures_list_what_was_found(tmp_path: Path) -> None:
    two_inputs = _save(
        tmp_path / "two.onnx",
        [helper.make_node("Add", ["left", "right"], ["sum"])],
        [helper.make_tensor_value_info(n, F32, [1, 3, 64, 64]) for n in ("left", "right")],
        [helper.make_tensor_value_info("sum", F32, [1, 3, 64, 64])],
        {},
    )
    with pytest.raises(MatteError) as caught:
        OnnxMatte(two_inputs)
    for word in ("left", "right", "sum", "[1, 3, 64, 64]"):
        assert word in caught.value.message
    assert "downsample_ratio" in caught.value.hint
    classifier = _save(
        tmp_path / "classes.onnx",
        [helper.make_node("GlobalAveragePool", ["image"], ["scores"])],
        [helper.make_tensor_value_info("image", F32, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("scores", F32, [1, 3, 1, 1])],
        {},
    )
    with pytest.raises(MatteError, match="scores"):
        OnnxMatte(classifier)


def test_broken_files_and_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MatteError, match="does not exist"):
        OnnxMatte(tmp_path / "missing.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model" * 50)
    with pytest.raises(MatteError, match="can be loaded"):
        OnnxMatte(tmp_path / "bad.onnx")
    path = _red_model(tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match="normalisation"):
        OnnxMatte(path, normalise="weird")
    with pytest.raises(ConfigError, match="size"):
        OnnxMatte(path, size=8)


def test_nan_is_never_passed_on(tmp_path: Path) -> None:
    path = _save(
        tmp_path / "nan.onnx",
        [
            helper.make_node("ReduceMean", ["image"], ["grey"], axes=[1]),
            helper.make_node("Sub", ["grey", "one"], ["below"]),
            helper.make_node("Log", ["below"], ["alpha"]),
        ],
        [helper.make_tensor_value_info("image", F32, [1, 3, *SIZE])],
        [helper.make_tensor_value_info("alpha", F32, [1, 1, *SIZE])],
        {"one": np.float32([1.0])},
    )
    with pytest.raises(MatteError, match="NaN"):
        OnnxMatte(path)(flat(SIZE, (1, 2, 3)))


def test_a_smaller_output_follows_the_picture_s_edges(tmp_path: Path) -> None:
    alpha = soft_disc((384, 512), 120, soft=2)
    frame = np.dstack([flat(alpha.shape, (90, 40, 0))[..., :2], alpha])
    path = _red_model(tmp_path / "m.onnx", (64, 64))
    snapped, plain = (OnnxMatte(path, snap=s)(frame).astype(float) - alpha for s in (True, False))
    assert np.sqrt((snapped**2).mean()) < 0.5 * np.sqrt((plain**2).mean())
