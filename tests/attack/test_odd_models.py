"""Models whose texts are not UTF-8, and a matte that gives nothing: used, or refused in words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_harmony import load_harmonizer
from edge_harmony.errors import EdgeHarmonyError, MatteError
from edge_harmony.matte.onnx import OnnxMatte
from tests.models import write_transform_model

onnx = pytest.importorskip("onnx", reason="the export extra is not installed")
helper, F32 = onnx.helper, onnx.TensorProto.FLOAT
FRAME = np.full((96, 128, 3), 90, np.uint8)
MARK = b"QqZzQqZz"  # replaced, in the finished file, by as many bytes that are no UTF-8
ODD = b"\xff\xfe\xe9\xc3\x28\xa0\xa1\x80"


def matte_model(path: Path, shape: list[int], name: str = "alpha", image: str = "image", note: str = "") -> Path:
    """A matte that gives zeros of a shape, whatever it sees."""
    target = onnx.numpy_helper.from_array(np.array(shape, np.int64), "shape")
    nodes = [helper.make_node("ReduceMin", [image], ["least"], keepdims=0),
             helper.make_node("Sub", ["least", "least"], ["zero"]),
             helper.make_node("Expand", ["zero", "shape"], [name])]  # fmt: skip
    graph = helper.make_graph(
        nodes, note or "matte", [helper.make_tensor_value_info(image, F32, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info(name, F32, ["n", 1, "y", "x"])], [target],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, doc_string=note)
    helper.set_model_props(model, {"about": note})
    onnx.save(model, str(path))
    return path


def spoil(path: Path) -> Path:
    data = path.read_bytes()
    assert MARK in data
    path.write_bytes(data.replace(MARK, ODD))
    return path


def used_or_refused(use: Callable[[], Any]) -> None:
    """Nothing but an error of ours comes of it."""
    with contextlib.suppress(EdgeHarmonyError):
        use()


@pytest.mark.parametrize("shape", [[1, 1, 0, 0], [0, 1, 64, 64], [1, 1, 0, 64]])
def test_a_matte_that_gives_nothing(shape: list[int], tmp_path: Path) -> None:
    """ONNX Runtime knows some of these shapes when it opens the model, and others when it has run it."""
    with pytest.raises(MatteError, match=r"gave no alpha|no matting model") as error:
        OnnxMatte(matte_model(tmp_path / "m.onnx", shape))(FRAME)
    assert error.value.hint


@pytest.mark.parametrize("where", ["note", "name", "image"])
def test_mattes_with_odd_texts(where: str, tmp_path: Path) -> None:
    path = spoil(matte_model(tmp_path / "m.onnx", [1, 1, 64, 64], **{where: MARK.decode()}))
    used_or_refused(lambda: OnnxMatte(path)(FRAME))
    if where == "note":
        assert OnnxMatte(path)(FRAME).shape == FRAME.shape[:2]


def test_harmonizers_with_odd_texts(tmp_path: Path) -> None:
    from export import model_file
    from training.initial import read_weights

    path = write_transform_model(tmp_path / "m.onnx", (0.5, 0.5, 0.5))
    model = onnx.load(str(path))
    entry = model.metadata_props.add()
    entry.key, entry.value = "title", MARK.decode()
    model.graph.node[0].name = MARK.decode()
    model.producer_name = MARK.decode()
    onnx.save(model, str(path))
    spoil(path)
    mask = np.zeros((96, 128), np.uint8)
    mask[20:60, 30:90] = 255
    used_or_refused(lambda: load_harmonizer(path)(FRAME, mask))
    used_or_refused(lambda: model_file.load(path))
    used_or_refused(lambda: read_weights(path))
