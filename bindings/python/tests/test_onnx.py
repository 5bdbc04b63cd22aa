"""A graph of every operator, as the file writes it, against ONNX Runtime."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile
from brenier.exporter.graph import Activation, Builder, Constant

onnx = pytest.importorskip("onnx", reason="onnx is not installed: graphs are not compared with ONNX Runtime")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: graphs are not compared with it"
)


def onnx_model(graph: dict[str, Any], tensors: dict[str, Any], batch: int) -> bytes:
    """The graph with ONNX's own operators; what ONNX takes as an input becomes a tensor."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, initializers = [], [numpy_helper.from_array(v, k) for k, v in tensors.items()]
    for node in graph["nodes"]:
        op, inputs, output = node["op"], list(node["inputs"]), node["output"]
        attributes = dict(node.get("attributes", {}))

        def tensor(role: str, value: Any) -> str:
            name = f"{node['name']}:{role}"
            initializers.append(numpy_helper.from_array(value, name))
            return name

        if op == "Silu":
            gate = f"{output}:gate"
            nodes.append(helper.make_node("Sigmoid", inputs, [gate]))
            op, inputs = "Mul", [inputs[0], gate]
        elif op == "Reshape":
            inputs.append(tensor("shape", np.array(attributes.pop("shape"), np.int64)))
        elif op == "Resize":
            inputs += ["", tensor("scales", np.array([1, 1, *attributes.pop("scales")], np.float32))]
            attributes = {
                "mode": "nearest",
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
        elif op == "Clip":
            for limit in ("min", "max"):
                bound = attributes.pop(limit, None)
                inputs.append("" if bound is None else tensor(limit, np.array(bound, np.float32)))
        elif op == "ConvTranspose":
            attributes.setdefault("kernel_shape", list(tensors[inputs[1]].shape[2:]))
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
    made = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [batch, *graph["input"]["shape"]])],
        [helper.make_tensor_value_info(graph["output"], TensorProto.FLOAT, None)],
        initializers,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return bytes(model.SerializeToString())


def test_every_operator(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(10)
    b = Builder((8,))

    def weight(path: str, *shape: int, positive: bool = False) -> Constant:
        values = (
            rng.uniform(0.5, 1.5, shape)
            if positive
            else rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        )
        return b.constant(path, values.astype(np.float32))

    z = b.input
    assert isinstance(z, Activation)
    x = b.gemm("gemm", z, weight("w1", 96, 8), weight("b1", 96))
    x = b.reshape("reshape", x, (6, 4, 4))
    x = b.elementwise("LeakyRelu", "leaky", x, alpha=0.15)
    x = b.conv_transpose(
        "up", x, weight("w2", 6, 2, 3, 4), weight("b2", 4), (2, 3), (1, 0, 0, 2), (1, 2), (2, 1), group=2
    )
    x = b.batch_norm(
        "bn", x, weight("s", 4), weight("t", 4), weight("m", 4), weight("v", 4, positive=True), 1e-3
    )
    y = b.elementwise("Relu", "relu", x)
    x = b.conv("conv", x, weight("w3", 6, 2, 3, 3), None, (2, 1), (1, 2, 0, 1), (1, 2), group=2)
    x = b.group_norm("gn", x, weight("gs", 6), weight("gt", 6), 3, 1e-5)
    x = b.elementwise("Silu", "silu", x)
    x = b.resize("resize", x, (2.0, 3.0))
    y = b.conv("cut", y, weight("w4", 2, 4, 1, 1), weight("b4", 2))
    y = b.resize("zoom", y, (x.shape[1] / y.shape[1] + 1e-9, x.shape[2] / y.shape[2] + 1e-9))
    x = b.concat("concat", [x, y, x], 1)
    x = b.combine("Mul", "scale", x, weight("k", 14, 1, 1))
    x = b.combine("Add", "shift", x, weight("o", 1))
    x = b.combine("Add", "residual", x, b.elementwise("Tanh", "tanh", x))
    x = b.combine("Mul", "gate", x, b.elementwise("Sigmoid", "sigmoid", x))
    x = b.elementwise("Clip", "clip", x, min=-0.5, max=2.0)
    shape = x.shape
    x = b.reshape("image", b.flatten("flatten", x), shape)
    graph, tensors = b.finish(x)
    assert len({node["op"] for node in graph["nodes"]}) == 17

    metadata = {
        "graph": graph,
        "output": {"range": [-0.5, 2], "channels": shape[0], "height": shape[1], "width": shape[2]},
    }
    path = modelfile.write(tmp_path / "all.safetensors", tensors, metadata)
    codes = rng.standard_normal((5, 8), np.float32)
    session = onnxruntime.InferenceSession(onnx_model(graph, tensors, 5), providers=["CPUExecutionProvider"])
    want = session.run(None, {"z": codes})[0]
    with brenier.load(path, device="cpu") as model:
        np.testing.assert_allclose(model.decode(codes), want, rtol=1e-5, atol=2e-5)
