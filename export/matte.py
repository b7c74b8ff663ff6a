"""Export a matte's checkpoint to ONNX, its weights stored in half precision, and check it against PyTorch.

::

    python -m export.matte --checkpoint runs/matte/last.safetensors -o edge_harmony/models/person.onnx

One graph for every size: ``picture`` float32 (1, 4, H, W), RGB and the previous alpha (zeros when there is none), 0..1,
sides multiples of 32, to ``alpha`` float32 (1, 1, H, W), 0..1. The weights are stored as FP16 and cast to FP32 when the
model is loaded: half the file, the same speed, and no operation in half precision.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from edge_harmony import contract
from edge_harmony.errors import ModelError
from edge_harmony.run.arguments import Parser, add_verbose
from edge_harmony.run.exit_code import exit_code
from export import model_file
from export.to_onnx import quiet
from training import checkpoint
from training.matte.network import STRIDE, MatteConfig, MatteNet

GRAPH = "matte"
TENSORS = {
    "picture": "float32 (1,4,H,W) RGB 0..1 gamma-encoded and the previous alpha, zeros when there is none; "
    f"H and W are multiples of {STRIDE}",
    "alpha": "float32 (1,1,H,W) 0..1 coverage of the subject",
}
TOLERANCE = 2e-3  # of alpha, between the stored graph and PyTorch with the same rounded weights
_LEAST_HALVED = 64  # elements: smaller tensors stay FP32


def load_network(path: Path, weights: str = "ema") -> MatteNet:
    """The matte network of a checkpoint, in evaluation mode.

    Raises:
        ModelError: the file is missing, corrupt, or holds another kind of network.
    """
    tensors, state = checkpoint.load(path, (f"{weights}.",))
    try:
        net = MatteNet(MatteConfig.from_dict(state["config"]["network"]))
        net.load_state_dict({k.removeprefix(f"{weights}."): v for k, v in tensors.items()})
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{path} holds no matte: {error}", "train one with python -m training.matte.train") from None
    return net.eval()


def matte_graph(net: MatteNet, name: str) -> onnx.ModelProto:
    """The network, folded, as an ONNX graph of free size, its weights in FP16.

    Args:
        net: as ``folded`` returns it; takes over the rounded weights.
        name: written into the metadata.

    Raises:
        ModelError: the exporter failed.
    """
    for parameter in net.parameters():
        if parameter.numel() >= _LEAST_HALVED:
            parameter.data = parameter.data.half().float()
    side = torch.export.Dim("rows", min=1, max=64), torch.export.Dim("columns", min=1, max=64)
    with quiet():
        try:
            program = torch.onnx.export(
                net, (torch.zeros(1, 4, 5 * STRIDE, 8 * STRIDE),), dynamo=True, verbose=False,
                opset_version=contract.OPSET, input_names=["picture"], output_names=["alpha"], external_data=False,
                dynamic_shapes=({2: STRIDE * side[0], 3: STRIDE * side[1]},),
            )  # fmt: skip
        except Exception as error:  # the exporter raises whatever its passes raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"torch.onnx.export failed: {reason}", "pip install -U 'torch>=2.6' onnxscript") from error
    assert program is not None
    graph = program.model_proto.graph
    casts = []
    for tensor in graph.initializer:
        tensor.ClearField("doc_string")
        del tensor.metadata_props[:]
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= _LEAST_HALVED:
            casts.append(helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], f"{tensor.name}/Cast", to=1))
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half"))
    nodes = []
    for node in graph.node:
        clean = helper.make_node(node.op_type, list(node.input), list(node.output), node.name)
        clean.attribute.extend(node.attribute)
        nodes.append(clean)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "height", "width"])
        for name, channels in (("picture", 4), ("alpha", 1))
    ]
    made = helper.make_graph([*casts, *nodes], GRAPH, ends[:1], ends[1:], graph.initializer)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", contract.OPSET)], ir_version=8,
                              producer_name="edge_harmony")  # fmt: skip
    meta = {
        contract.META_GRAPH: GRAPH, contract.META_MODEL: name, model_file.META_PRECISION: "fp32, weights in fp16",
        contract.META_WEIGHTS: checkpoint.weights_digest(net),  # type: ignore[arg-type]
        **{contract.META_TENSOR_PREFIX + k: v for k, v in TENSORS.items()},
    }  # fmt: skip
    helper.set_model_props(model, dict(sorted(meta.items())))
    return model


def check_parity(model: onnx.ModelProto, net: MatteNet) -> float:
    """The largest difference of alpha between ONNX Runtime and PyTorch, at two sizes.

    Raises:
        ModelError: it is beyond ``TOLERANCE``.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    worst = 0.0
    for size in ((160, 256), (256, 160)):
        picture = torch.rand(1, 4, *size, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = net(picture).numpy()
        found = session.run(None, {"picture": picture.numpy()})[0]
        worst = max(worst, float(np.abs(found - expected).max()))
    if not worst <= TOLERANCE:
        raise ModelError(f"the matte's graph is {worst:.4f} off PyTorch", "report this: it is a fault of ours")
    return worst


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m export.matte", description="Export a matte's checkpoint to ONNX.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="from python -m training.matte.train")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    add_verbose(parser)
    args = parser.parse_args(argv)

    def work() -> None:
        net = load_network(args.checkpoint).folded()
        model = matte_graph(net, args.output.stem)
        worst = check_parity(model, net)
        model_file.save(model, args.output)
        print(f"{args.output} ({args.output.stat().st_size / 1e6:.2f} MB), within {worst:.1e} of PyTorch")

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
