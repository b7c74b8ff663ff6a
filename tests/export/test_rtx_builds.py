"""TensorRT-RTX's real parser and builder on the graphs; it builds for any RTX GPU without having one."""

from __future__ import annotations

import onnx
import pytest

from edge_harmony.errors import BackendUnavailableError, ConfigError, ModelError
from edge_harmony.gpu.detect import find_gpu
from export.builder import RTX, TENSORRT, BuildOptions, FrameSizes, build

pytestmark = pytest.mark.usefixtures("rtx")

FULL_HD = FrameSizes((1080, 1920), (1080, 1920), (1080, 1920))
ANY_HD = FrameSizes((270, 480), (1080, 1920), (2160, 3840))
MB = 1 << 20


@pytest.mark.parametrize("sm", ["75", "86", "89", "120"])
def test_transform_graph_builds(transform_model, sm):
    engine = build(transform_model, BuildOptions(RTX, sm=(sm,)))
    assert len(engine.data) > MB
    assert engine.activation_bytes is not None
    assert engine.activation_bytes < 32 * MB
    assert engine.sm == (sm,)


@pytest.mark.parametrize("sm", ["75", "86", "89", "120"])
@pytest.mark.parametrize(("sizes", "ceiling_mb"), [(FULL_HD, 100), (ANY_HD, 380)], ids=["1080p", "270p to 2160p"])
def test_frame_graph_builds(frame_model, sm, sizes, ceiling_mb):
    engine = build(frame_model, BuildOptions(RTX, sizes, (sm,)))
    assert engine.activation_bytes is not None
    assert engine.activation_bytes < ceiling_mb * MB


def test_progress_is_reported_and_several_gpus_share_an_engine(transform_model):
    calls = []
    engine = build(transform_model, BuildOptions(RTX, sm=("86", "89")), lambda *call: calls.append(call))
    assert engine.sm == ("86", "89")
    phases = {phase for phase, _, _ in calls}
    assert len(phases) > 2
    assert all(0 <= done <= steps for _, done, steps in calls)


def test_an_unsupported_operator_is_named_in_the_parsers_words(transform_model):
    model = onnx.ModelProto.FromString(transform_model.SerializeToString())
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type = "Det"
    with pytest.raises(ModelError, match="Det") as caught:
        build(model, BuildOptions(RTX, sm=("86",)))
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (BuildOptions(RTX, sm=("86",)), "frame sizes"),
        (BuildOptions(RTX, FULL_HD, ("87",)), "SM 87"),
        (BuildOptions(RTX, FULL_HD, ("86",), optimization_level=6), "level 6"),
        (BuildOptions(TENSORRT, FULL_HD, ("86",)), "--sm is for"),
    ],
)
def test_options_that_do_not_fit(frame_model, options, words):
    with pytest.raises(ConfigError, match=words) as caught:
        build(frame_model, options)
    assert caught.value.hint


def test_sizes_out_of_order():
    with pytest.raises(ConfigError, match="order"):
        FrameSizes((1080, 1920), (270, 480), (2160, 3840))


@pytest.mark.skipif(find_gpu()[0] is not None, reason="there is a GPU")
def test_without_a_gpu_its_generation_must_be_named(frame_model):
    with pytest.raises(BackendUnavailableError, match="no GPU") as caught:
        build(frame_model, BuildOptions(RTX, FULL_HD))
    assert "--sm" in caught.value.hint
