"""Writes operators.json: small random cases of every decoder operator, evaluated by ONNX Runtime.

    pip install numpy onnx onnxruntime
    python make_operators.py

A case is a graph in the model file's form, its tensors, a code and the image that ONNX Runtime
computes for it in float32. The tests hold the float64 reference, and every backend, against it.
"""

import json
import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(20240611)


class Case:
    """One graph, built node by node in the model file's form and in ONNX's at once."""

    def __init__(self, name, shape):
        self.name = name
        self.shape = list(shape)
        self.nodes, self.onnx_nodes, self.tensors, self.initializers = [], [], {}, []
        self.last = "z"
        self.size = int(np.prod(shape))
        if len(shape) > 1:
            self.node("Reshape", shape=[0, *shape])

    def tensor(self, shape, low=-1.0, high=1.0):
        name = f"t{len(self.tensors)}"
        value = random.uniform(low, high, shape).astype(np.float32)
        self.tensors[name] = value
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def hidden(self, value):
        """An input that ONNX takes as a tensor and the model file as an attribute."""
        name = f"h{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op, *inputs, **attributes):
        inputs = list(inputs) or [self.last]
        output = f"v{len(self.nodes)}"
        self.nodes.append(
            {"name": f"{op.lower()}{len(self.nodes)}", "op": op, "inputs": inputs, "output": output,
             "attributes": attributes}
        )
        given = dict(attributes)
        if op == "Silu":
            self.onnx_nodes.append(helper.make_node("Sigmoid", inputs, [output + "s"]))
            self.onnx_nodes.append(helper.make_node("Mul", [inputs[0], output + "s"], [output]))
            self.last = output
            return output
        if op == "Reshape":
            inputs = [inputs[0], self.hidden(np.array(given.pop("shape"), np.int64))]
        if op == "Resize":
            scales = np.array([1, 1, *given.pop("scales")], np.float32)
            inputs = [inputs[0], "", self.hidden(scales)]
            given |= {"mode": "nearest", "nearest_mode": "floor",
                      "coordinate_transformation_mode": "asymmetric"}
        if op == "Clip":
            bounds = [given.pop("min", None), given.pop("max", None)]
            inputs = inputs + [self.hidden(np.float32(b)) if b is not None else "" for b in bounds]
        self.onnx_nodes.append(helper.make_node(op, inputs, [output], **given))
        self.last = output
        return output

    def write(self):
        z = random.uniform(-2, 2, (1, self.size)).astype(np.float32)
        graph = helper.make_graph(
            self.onnx_nodes, "case",
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, self.size])],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        x = session.run(None, {"z": z})[0]
        return {
            "name": self.name,
            "graph": {"input": {"name": "z", "shape": [self.size]}, "output": self.last, "nodes": self.nodes},
            "tensors": {
                name: {"shape": list(value.shape), "data": numbers(value)}
                for name, value in self.tensors.items()
            },
            "z": numbers(z),
            "shape": list(x.shape[1:]),
            "x": numbers(x),
        }


def numbers(values):
    """The shortest decimals that name the same float32s."""
    return [float(str(v)) for v in np.asarray(values, np.float32).ravel()]


def conv(name, shape, out, kernel, *, group=1, bias=True, transpose=False, **attributes):
    case = Case(name, shape)
    channels = shape[0]
    if transpose:
        weight = case.tensor((channels, out // group, *kernel))
    else:
        weight = case.tensor((out, channels // group, *kernel))
    inputs = [case.last, weight] + ([case.tensor((out,))] if bias else [])
    if group > 1:
        attributes["group"] = group
    case.node("ConvTranspose" if transpose else "Conv", *inputs, kernel_shape=list(kernel), **attributes)
    return case


def cases():
    yield conv("conv/1x1", (3, 4, 5), 2, (1, 1))
    yield conv("conv/3x3 padded", (4, 5, 4), 6, (3, 3), pads=[1, 1, 1, 1])
    yield conv("conv/asymmetric pads and kernel", (3, 5, 6), 4, (2, 3), pads=[1, 0, 2, 3])
    yield conv("conv/strides 2 3", (3, 7, 8), 5, (3, 2), strides=[2, 3], pads=[1, 1, 0, 1])
    yield conv("conv/dilations", (2, 8, 9), 3, (3, 2), dilations=[2, 3], pads=[2, 1, 2, 2])
    yield conv("conv/groups without bias", (6, 4, 4), 4, (3, 3), group=2, bias=False, pads=[1, 1, 1, 1])
    yield conv("conv/depthwise", (5, 4, 4), 10, (3, 3), group=5, pads=[1, 1, 1, 1])
    yield conv("conv/one channel out", (18, 4, 4), 1, (3, 3), pads=[1, 1, 1, 1])
    yield conv("transpose/on one pixel", (7, 1, 1), 5, (3, 4), transpose=True)
    yield conv("transpose/4 stride 2", (3, 3, 4), 5, (4, 4), transpose=True, strides=[2, 2], pads=[1, 1, 1, 1])
    yield conv("transpose/kernel below stride", (3, 3, 2), 4, (2, 1), transpose=True, strides=[3, 2])
    yield conv("transpose/output padding", (4, 3, 3), 3, (3, 3), transpose=True, strides=[2, 3],
               pads=[1, 0, 1, 2], output_padding=[1, 2])
    yield conv("transpose/dilations", (2, 3, 4), 3, (2, 3), transpose=True, strides=[2, 1],
               dilations=[3, 2], pads=[0, 1, 2, 1])
    yield conv("transpose/dilation and stride share a factor", (2, 3, 3), 2, (3, 2), transpose=True,
               strides=[4, 2], dilations=[2, 2])
    yield conv("transpose/groups", (6, 3, 3), 4, (4, 3), transpose=True, group=2, strides=[2, 1])
    yield conv("transpose/one channel out", (17, 3, 3), 1, (4, 4), transpose=True, strides=[2, 2],
               pads=[1, 1, 1, 1])

    for name, attributes, shape in (
        ("gemm/as written", {}, (6, 9)),
        ("gemm/transposed, alpha and beta", {"transB": 1, "alpha": 0.5, "beta": -2.0}, (9, 6)),
    ):
        case = Case(name, (6,))
        case.node("Gemm", "z", case.tensor(shape), case.tensor((9,)), **attributes)
        yield case
    case = Case("gemm/without bias", (5,))
    case.node("Gemm", "z", case.tensor((5, 3)))
    yield case

    for name, shape, epsilon in (("image", (4, 3, 3), None), ("vector", (6,), 0.01)):
        case = Case(f"batch normalisation/{name}", shape)
        c = (shape[0],)
        case.node("BatchNormalization", case.last, case.tensor(c), case.tensor(c), case.tensor(c),
                  case.tensor(c, 0.1, 2), **({"epsilon": epsilon} if epsilon else {}))
        yield case
    for groups in (1, 2, 6):
        case = Case(f"group normalisation/{groups}", (6, 4, 3))
        case.node("GroupNormalization", case.last, case.tensor((6,)), case.tensor((6,)),
                  num_groups=groups, epsilon=1e-3)
        yield case

    for op, attributes in (
        ("Relu", {}), ("LeakyRelu", {}), ("LeakyRelu", {"alpha": 0.2}), ("Silu", {}), ("Tanh", {}),
        ("Sigmoid", {}), ("Clip", {"min": -0.5, "max": 1.0}), ("Clip", {"max": 0.25}), ("Clip", {"min": 0.5}),
    ):
        case = Case(f"{op.lower()}/{attributes}", (3, 4, 5))
        case.node(op, **attributes)
        yield case

    for op in ("Add", "Mul"):
        case = Case(f"{op.lower()}/two activations", (3, 4, 4))
        first = case.last
        case.node(op, first, case.node("Tanh", first))
        yield case
        for shape in ((1,), (3, 1, 1), (3, 4, 5), (4, 5), (5,), (1, 3, 1, 5), (4, 1)):
            case = Case(f"{op.lower()}/tensor {list(shape)}", (3, 4, 5))
            case.node(op, case.tensor(shape), case.last)
            yield case

    for axis, other in ((1, (2, 3, 4)), (2, (3, 6, 4)), (3, (3, 3, 1)), (-1, (3, 3, 2))):
        case = Case(f"concat/axis {axis}", (3, 3, 4))
        first = case.last
        channels, height, width = other
        weight = case.tensor((channels, 3, 1, 1))
        second = case.node("Conv", first, weight, kernel_shape=[1, 1])
        if (height, width) != (3, 4):
            second = case.node("Resize", second, scales=[height / 3, width / 4])
        case.node("Concat", first, second, first, axis=axis)
        yield case

    for scales in ([2.0, 2.0], [3.0, 1.0], [1.5, 2.5], [0.5, 0.75]):
        case = Case(f"resize/{scales}", (2, 6, 4))
        case.node("Resize", scales=scales)
        yield case
        case = Case(f"resize then conv/{scales}", (3, 6, 4))
        case.node("Resize", scales=scales)
        case.node("Conv", case.last, case.tensor((4, 3, 3, 3)), case.tensor((4,)), kernel_shape=[3, 3],
                  pads=[1, 1, 1, 1])
        yield case
    case = Case("resize then strided conv", (2, 4, 4))
    case.node("Resize", scales=[3.0, 2.0])
    case.node("Conv", case.last, case.tensor((3, 2, 3, 2)), kernel_shape=[3, 2], strides=[2, 3], dilations=[2, 1],
              pads=[1, 0, 3, 1])
    yield case

    case = Case("reshape and flatten keep ONNX's order", (3, 4, 2))
    case.node("LeakyRelu", alpha=0.5)
    case.node("Flatten")
    case.node("Gemm", case.last, case.tensor((24, 12)), case.tensor((12,)))
    case.node("Tanh")
    case.node("Reshape", shape=[-1, 2, 3, 2])
    case.node("Conv", case.last, case.tensor((2, 2, 2, 2)), kernel_shape=[2, 2])
    case.node("Reshape", shape=[0, 1, -1, 2])
    case.node("Conv", case.last, case.tensor((2, 1, 1, 1)), kernel_shape=[1, 1])
    yield case

    case = Case("folding/linear, normalise, activate, unflatten", (5,))
    case.node("Gemm", "z", case.tensor((12, 5)), case.tensor((12,)), transB=1)
    c = (12,)
    case.node("BatchNormalization", case.last, case.tensor(c), case.tensor(c), case.tensor(c), case.tensor(c, 0.1, 2))
    case.node("Relu")
    case.node("Reshape", shape=[0, 3, 2, 2])
    case.node("ConvTranspose", case.last, case.tensor((3, 4, 4, 4)), case.tensor((4,)), kernel_shape=[4, 4],
              strides=[2, 2], pads=[1, 1, 1, 1])
    c = (4,)
    case.node("BatchNormalization", case.last, case.tensor(c), case.tensor(c), case.tensor(c), case.tensor(c, 0.1, 2))
    case.node("Silu")
    yield case

    case = Case("folding/residual block", (4, 3, 3))
    first = case.last
    case.node("Conv", first, case.tensor((4, 4, 3, 3)), case.tensor((4,)), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    case.node("Relu")
    case.node("Conv", case.last, case.tensor((4, 4, 3, 3)), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    case.node("Add", case.last, first)
    case.node("Relu")
    yield case

    case = Case("folding/value with two readers is kept", (3, 4, 4))
    both = case.node("Conv", case.last, case.tensor((3, 3, 1, 1)), kernel_shape=[1, 1])
    a = case.node("Relu", both)
    b = case.node("Conv", both, case.tensor((3, 3, 3, 3)), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    case.node("Mul", a, b)
    yield case

    case = Case("folding/order of activation and scale", (3, 4, 4))
    case.node("Conv", case.last, case.tensor((4, 3, 1, 1)), kernel_shape=[1, 1])
    case.node("Relu")
    case.node("Mul", case.last, case.tensor((4, 1, 1)))
    case.node("Tanh")
    case.node("Sigmoid")
    yield case

    for perm in ([0, 1, 3, 2], [0, 2, 1, 3], [0, 2, 3, 1], [0, 3, 1, 2], [0, 3, 2, 1]):
        case = Case(f"transpose/{perm}", (2, 3, 4))
        case.node("Conv", case.last, case.tensor((3, 2, 1, 1)), kernel_shape=[1, 1])
        case.node("Transpose", perm=perm)
        case.node("Tanh")
        yield case

    case = Case("transpose/a dense layer that makes [H, W, C]", (5,))
    case.node("Gemm", "z", case.tensor((5, 24)), case.tensor((24,)))
    case.node("Relu")
    case.node("Reshape", shape=[-1, 2, 3, 4])
    case.node("Transpose", perm=[0, 3, 1, 2])
    case.node("Conv", case.last, case.tensor((3, 4, 2, 2)), kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    yield case

    case = Case("transpose/matrices", (24,))
    case.node("Reshape", shape=[0, 4, 6])
    case.node("Transpose", perm=[0, 2, 1])
    case.node("Flatten")
    case.node("Gemm", case.last, case.tensor((24, 8)))
    yield case

    case = Case("folding/factor and term after a group normalisation", (4, 3, 3))
    case.node("GroupNormalization", case.last, case.tensor((4,)), case.tensor((4,)), num_groups=2)
    case.node("Mul", case.last, case.tensor((4, 1, 1)))
    case.node("Add", case.last, case.tensor((1, 4, 1, 1)))
    case.node("Silu")
    case.node("Mul", case.last, case.tensor((3, 3)))
    yield case


def main():
    written = [case.write() for case in cases()]
    path = pathlib.Path(__file__).with_name("operators.json")
    with path.open("w") as file:
        file.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in written) + "\n]\n")
    print(f"{path.name}: {len(written)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
