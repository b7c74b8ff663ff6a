"""The code in docs/contract.md runs as it stands there, and all three ways to the picture agree."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edge_harmony import contract
from edge_harmony.compose.compositor import Compositor
from edge_harmony.harmonize import apply_transform, load_harmonizer
from tests.models import write_transform_model


def agrees(found: np.ndarray, expected: np.ndarray, at_most: int = 1) -> bool:
    off = np.abs(found.astype(int) - expected)
    return bool(off.max() <= at_most and np.mean(off > 0) <= 0.02 and np.mean(off > 1) <= 0.001)


def name_nodes(model: Path) -> None:
    proto = onnx.load(str(model))
    for index, node in enumerate(proto.graph.node):
        node.name = f"{node.op_type}_{index}"
    model.write_bytes(proto.SerializeToString())


def test_code_on_the_page_runs_and_agrees(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame_graph = pytest.importorskip("export.frame_graph", reason="the export extra is not installed")
    monkeypatch.chdir(tmp_path)
    model = write_transform_model(tmp_path / "base.onnx", (0.6, 1.1, 0.9), follow=0.2)
    name_nodes(model)
    assert frame_graph.main([str(model), "-o", str(tmp_path / "base_frame.onnx")]) == 0
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (2, 9, 12, 3), np.uint8)
    foreground, background = (cv2.resize(picture, (333, 241), interpolation=cv2.INTER_CUBIC) for picture in small)
    alpha = np.zeros((241, 333), np.uint8)
    cv2.circle(alpha, (150, 130), 80, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 4)
    for name, picture in (("foreground", foreground), ("mask", alpha), ("background", background)):
        cv2.imwrite(f"{name}.png", picture)

    page = (repository / "docs" / "contract.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    names: dict = {}
    for block in blocks:
        exec(compile(block, "docs/contract.md", "exec"), names)

    harmonizer = load_harmonizer(model, threads=1)
    native = Compositor(harmonizer, smoothing=0.0).process(foreground, alpha, background)
    assert not agrees(native, apply_transform(foreground, alpha, background, contract.IDENTITY))
    picture = cv2.imread("harmonized.png")
    assert agrees(picture, native)
    assert agrees(names["by_hand"], native)
    for result in (picture, names["by_hand"], names["harmonized"]):
        assert np.array_equal(result[alpha == 0], background[alpha == 0])


def test_page_tells_what_the_contract_says(repository: Path) -> None:
    page = (repository / "docs" / "contract.md").read_text(encoding="utf-8")
    assert f"contract version **{contract.CONTRACT_VERSION}**" in page
    for name in (*contract.FRAME_GRAPH_INPUTS, *contract.FRAME_GRAPH_OUTPUTS, *contract.TRANSFORM_GRAPH_INPUTS):
        assert f"| `{name}` |" in page
    for key in (contract.META_CONTRACT, contract.META_GRAPH, contract.META_MODEL, contract.META_WEIGHTS):
        assert f"| `{key}` |" in page
    assert f"| `{contract.META_TENSOR_PREFIX}NAME` |" in page
