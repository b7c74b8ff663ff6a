"""Small photos, benches and models for the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony import contract

CONFIG = """\
steps = 24
batch = 4
stages = [[0.0, 64], [0.5, 96]]
warmup = 2
lr = 0.002
[loss]
contrast_warmup = 4
[generator]
stem = 8
widths = [8, 16, 16, 16]
depths = [1, 1, 1, 1]
decoder_depths = [1, 1, 1]
code_size = 16
"""


def scene(seed: int, size_hw: tuple[int, int] = (96, 128)) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random photo (H, W, 3) and an ellipse as its mask (H, W), uint8."""
    rng = np.random.default_rng(seed)
    h, w = size_hw
    photo = cv2.resize(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8), (w, h), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((h, w), np.uint8)
    centre = int(rng.integers(w // 3, 2 * w // 3)), int(rng.integers(h // 3, 2 * h // 3))
    cv2.ellipse(mask, centre, (w // 4, h // 4), float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return photo, mask


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos with masks, as ``--data`` takes them."""
    root = tmp_path_factory.mktemp("photos")
    (root / "real_images").mkdir()
    (root / "masks").mkdir()
    for i in range(10):
        photo, mask = scene(i)
        cv2.imwrite(str(root / "real_images" / f"p{i}.png"), photo)
        cv2.imwrite(str(root / "masks" / f"p{i}.png"), mask)
    return root


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four composites in iHarmony4's layout, with two tags, their foregrounds twice as dark as in truth."""
    root = tmp_path_factory.mktemp("bench")
    for folder in ("composite_images", "real_images", "masks"):
        (root / folder).mkdir()
    names = []
    for i in range(4):
        photo, mask = scene(100 + i)
        composite = np.where(mask[..., None] > 127, photo // 2, photo)
        names.append(f"p{i}_1_{'dark' if i % 2 else 'dim'}.png")
        cv2.imwrite(str(root / "composite_images" / names[-1]), composite)
        cv2.imwrite(str(root / "real_images" / f"p{i}.png"), photo)
        cv2.imwrite(str(root / "masks" / f"p{i}_1.png"), mask)
    (root / "list.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training configuration that takes a second."""
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def gain_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Makes a transform graph that multiplies every colour by a gain, whatever it sees."""

    def make(gain: float) -> Path:
        maps = contract.IDENTITY * np.float32(gain)
        shapes = {contract.COMPOSITE: [1, 3, 256, 256], contract.MASK: [1, 1, 256, 256]}
        nodes = [  # mean(mask) * 0 + maps: every input is read
            helper.make_node("ReduceMean", [contract.COMPOSITE], ["a"], keepdims=1),
            helper.make_node("ReduceMean", [contract.MASK], ["b"], keepdims=1),
            helper.make_node("Add", ["a", "b"], ["c"]),
            helper.make_node("Mul", ["c", "zero"], ["d"]),
            helper.make_node("Add", ["d", "maps"], [contract.TRANSFORM]),
        ]
        constants = [
            numpy_helper.from_array(maps, "maps"), numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "zero"),
        ]
        inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
        output = helper.make_tensor_value_info(contract.TRANSFORM, TensorProto.FLOAT, contract.TRANSFORM_SHAPE)
        graph = helper.make_graph(nodes, "gain", inputs, [output], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", contract.OPSET)], ir_version=8)
        meta = {contract.META_CONTRACT: str(contract.CONTRACT_VERSION), contract.META_GRAPH: "transform",
                contract.META_MODEL: "gain", contract.META_WEIGHTS: "0" * 64}
        helper.set_model_props(model, meta)
        path = tmp_path_factory.mktemp("model") / f"gain{gain}.onnx"
        onnx.save(model, path)
        return path

    return make
