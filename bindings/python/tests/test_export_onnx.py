"""Export of ONNX models, held against what ONNX Runtime makes of the same codes."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the export of ONNX models is not tested")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: nothing to compare with"
)

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

F32 = TensorProto.FLOAT


def weight(*shape: int, low: float = -1, high: float = 1) -> Any:
    return np.random.default_rng(shape).uniform(low, high, shape).astype(np.float32)


def whole(*values: int) -> Any:
    return np.array(values, np.int64)


def model(nodes: list[Any], tensors: dict[str, Any], shape: Any = ("n", 4, 3, 2), opset: int = 17) -> Any:
    """A model that reads z and makes y."""
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("z", F32, list(shape))],
        [helper.make_tensor_value_info("y", F32, ["a", "b", "c", "d"])],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 10
    return made


def exported(path: pathlib.Path, made: Any, channels_last: bool = False) -> list[str]:
    """Exports, compares with ONNX Runtime within 1e-5 of the range, and gives the operators in the file."""
    brenier.export(path, made, output_range=(-1, 1))
    shape = [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim]
    n = shape[0] or 3
    z = np.random.default_rng(1).standard_normal((n, *shape[1:]), np.float32)
    data = made.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    want = session.run(None, {"z": z})[0]
    if channels_last:
        want = want.transpose(0, 3, 1, 2)
    with brenier.load(path) as loaded:
        got = loaded.decode(z.reshape(n, -1))
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * max(np.ptp(want), np.abs(want).max()))
        return [node["op"] for node in loaded.info.metadata["graph"]["nodes"]]


node = helper.make_node
IMAGE = weight(4, 1, 1)
OPERATORS: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any]]] = {
    "Conv SAME_UPPER": ([node("Conv", ["z", "w", "b"], ["y"], auto_pad="SAME_UPPER", strides=[2, 1])],
                        {"w": weight(5, 4, 3, 2), "b": weight(5)}, {}),
    "Conv SAME_LOWER": ([node("Conv", ["z", "w"], ["y"], auto_pad="SAME_LOWER")], {"w": weight(5, 4, 2, 2)}, {}),
    "Conv groups, dilations": ([node("Conv", ["z", "w"], ["y"], group=2, dilations=[2, 1], pads=[2, 1, 2, 0])],
                               {"w": weight(6, 2, 3, 2)}, {}),
    "ConvTranspose": ([node("ConvTranspose", ["z", "w", "b"], ["y"], group=2, strides=[3, 2], dilations=[1, 2],
                            output_padding=[2, 1], pads=[1, 0, 0, 1])], {"w": weight(4, 3, 3, 2), "b": weight(6)}, {}),
    "ConvTranspose SAME_UPPER": ([node("ConvTranspose", ["z", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])],
                                 {"w": weight(4, 3, 3, 3)}, {}),
    "BatchNormalization": ([node("BatchNormalization", ["z", "s", "b", "m", "v"], ["y"], epsilon=1e-3)],
                           {"s": weight(4), "b": weight(4), "m": weight(4), "v": weight(4, low=0.5, high=2)}, {}),
    "InstanceNormalization": ([node("InstanceNormalization", ["z", "s", "b"], ["y"])],
                              {"s": weight(4), "b": weight(4)}, {}),
    "GroupNormalization": ([node("GroupNormalization", ["z", "s", "b"], ["y"], num_groups=2)],
                                    {"s": weight(4), "b": weight(4)}, {"opset": 21}),
    "GroupNormalization as PyTorch writes it": (
        [node("Reshape", ["z", "g"], ["r"]), node("InstanceNormalization", ["r", "one", "nil"], ["i"]),
         node("Shape", ["z"], ["shape"]), node("Reshape", ["i", "shape"], ["x"]),
         node("Mul", ["x", "s"], ["m"]), node("Add", ["m", "b"], ["y"])],
        {"g": whole(0, 2, -1), "one": np.ones(2, np.float32), "nil": np.zeros(2, np.float32), "s": IMAGE,
         "b": -IMAGE}, {}),
    "PRelu by channel": ([node("PRelu", ["z", "s"], ["y"])], {"s": IMAGE}, {}),
    "PRelu": ([node("PRelu", ["z", "s"], ["y"])], {"s": weight(1)}, {}),
    "LeakyRelu": ([node("LeakyRelu", ["z"], ["y"], alpha=0.2)], {}, {}),
    "Clip by attributes": ([node("Clip", ["z"], ["y"], min=-0.5, max=0.25)], {}, {"opset": 9}),
    "Clip": ([node("Clip", ["z", "", "h"], ["y"])], {"h": np.float32(0.3).reshape(())}, {}),
    "Min": ([node("Min", ["z", "h"], ["y"])], {"h": np.float32(0.3).reshape(())}, {}),
    "HardSigmoid": ([node("HardSigmoid", ["z"], ["y"], alpha=0.3)], {}, {}),
    "HardSwish": ([node("HardSwish", ["z"], ["y"])], {}, {}),
    "Silu": ([node("Sigmoid", ["z"], ["g"]), node("Mul", ["g", "z"], ["y"])], {}, {}),
    "Sub from a constant": ([node("Sub", ["c", "z"], ["y"])], {"c": IMAGE}, {}),
    "Div, Neg, Sum": ([node("Div", ["z", "c"], ["d"]), node("Neg", ["d"], ["e"]), node("Sum", ["e", "z", "d"], ["f"]),
                       node("Tanh", ["f"], ["y"])], {"c": weight(4, 1, 1, low=1, high=3)}, {}),
    "Concat, Identity, Dropout": ([node("Relu", ["z"], ["r"]), node("Concat", ["z", "r"], ["c"], axis=-2),
                                   node("Identity", ["c"], ["i"]), node("Dropout", ["i"], ["y"])], {}, {}),
    "Transpose": ([node("Transpose", ["z"], ["t"], perm=[0, 3, 1, 2]), node("Sigmoid", ["t"], ["y"])], {}, {}),
    "Pad then Conv": ([node("Pad", ["z", "p"], ["q"]), node("Conv", ["q", "w"], ["y"], strides=[2, 2])],
                      {"p": whole(0, 0, 1, 0, 0, 0, 2, 3), "w": weight(3, 4, 2, 2)}, {}),
    "DepthToSpace DCR": ([node("DepthToSpace", ["z"], ["y"], blocksize=2)], {}, {"shape": ("n", 8, 3, 2)}),
    "DepthToSpace CRD": ([node("DepthToSpace", ["z"], ["y"], blocksize=2, mode="CRD")], {}, {"shape": ("n", 8, 3, 2)}),
    "Upsample": ([node("Upsample", ["z", "s"], ["y"])], {"s": np.array([1, 1, 2, 3], np.float32)}, {"opset": 9}),
    "Resize linear": ([node("Resize", ["z", "", "s"], ["y"], mode="linear")],
                      {"s": np.array([1, 1, 2, 4], np.float32)}, {}),
    "Gemm": ([node("Flatten", ["z"], ["f"]), node("Gemm", ["f", "w", "b"], ["g"], alpha=0.5, beta=2.0),
              node("Reshape", ["g", "s"], ["y"])], {"w": weight(24, 12), "b": weight(1, 12), "s": whole(-1, 3, 2, 2)}, {}),
    "MatMul and a computed shape": (
        [node("Squeeze", ["z", "a"], ["f"]), node("MatMul", ["f", "w"], ["m"]), node("Add", ["m", "b"], ["x"]),
         node("Shape", ["z"], ["s"]), node("Gather", ["s", "zero"], ["n"]),
         node("Concat", ["n", "rest"], ["shape"], axis=0), node("Reshape", ["x", "shape"], ["y"])],
        {"a": whole(2, 3), "w": weight(5, 12), "b": weight(12), "zero": whole(0), "rest": whole(3, -1, 2)},
        {"shape": ("n", 5, 1, 1)}),
    "a model of one batch": ([node("Reshape", ["z", "s"], ["r"]), node("Tanh", ["r"], ["y"])], {"s": whole(2, 2, 3, 4)},
                             {"shape": (2, 24)}),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str, tmp_path: pathlib.Path) -> None:
    nodes, tensors, arguments = OPERATORS[name]
    ops = exported(tmp_path / "m", model(nodes, tensors, **arguments))
    if name.startswith("GroupNormalization as"):
        assert ops == ["GroupNormalization", "Mul", "Add"]
    if name == "Silu":
        assert ops == ["Silu"]


@pytest.mark.parametrize(
    ("place", "rounding"),
    [
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
        ("half_pixel", "round_prefer_ceil"),
        ("pytorch_half_pixel", "round_prefer_floor"),
        ("half_pixel_symmetric", "round_prefer_floor"),
        ("tf_half_pixel_for_nn", "floor"),
    ],
)
def test_resizes_that_repeat(place: str, rounding: str, tmp_path: pathlib.Path) -> None:
    scales = {"s": np.array([1, 1, 2, 3], np.float32)}
    resize = node(
        "Resize", ["z", "", "s"], ["y"], coordinate_transformation_mode=place, nearest_mode=rounding
    )
    assert exported(tmp_path / "m", model([resize], scales, opset=19)) == ["Resize"]


def test_channels_last_as_keras_has_them(tmp_path: pathlib.Path) -> None:
    nodes = [
        node("MatMul", ["z", "w"], ["d"]),
        node("Reshape", ["d", "s"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 3, 1, 2]),
        node("ConvTranspose", ["t", "k"], ["c"], strides=[2, 2]),
        node("Transpose", ["c"], ["u"], perm=[0, 2, 3, 1]),
        node("Sigmoid", ["u"], ["y"]),
    ]
    tensors = {"w": weight(6, 60), "s": whole(-1, 3, 4, 5), "k": weight(5, 2, 2, 2)}
    ops = exported(tmp_path / "m", model(nodes, tensors, ("n", 6)), channels_last=True)
    assert ops == ["Gemm", "Reshape", "Transpose", "ConvTranspose", "Sigmoid"]


def test_every_fault_is_listed_with_its_place(tmp_path: pathlib.Path) -> None:
    nodes = [
        node("Softmax", ["z"], ["a"], name="soft"),
        node("Elu", ["a"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("MaxPool", ["c"], ["y"], name="pool", kernel_shape=[2, 2]),
    ]
    with pytest.raises(brenier.ExportError) as error:
        brenier.export(tmp_path / "m", model(nodes, {}))
    assert [fault.split(":")[0] for fault in error.value.faults] == [
        "soft (Softmax)",
        "b (Elu)",
        "pool (MaxPool)",
    ]
    assert list(tmp_path.iterdir()) == []


def test_broken_models(tmp_path: pathlib.Path) -> None:
    sound = model([node("Conv", ["z", "w"], ["y"])], {"w": weight(5, 4, 2, 2)})
    data = sound.SerializeToString()
    out = tmp_path / "out"
    for bad in (b"", b"no model", data[: len(data) // 2]):
        with pytest.raises(brenier.ExportError, match="not an? (sound )?ONNX model"):
            brenier.export(out, bad)
    with pytest.raises(brenier.FileError, match="could not be read"):
        brenier.export(out, tmp_path / "none.onnx")
    cycle = model(
        [node("Add", ["z", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Tanh", ["b"], ["y"])], {}
    )
    missing = model([node("Conv", ["z", "w"], ["y"])], {})
    for unsound in (cycle, missing):
        with pytest.raises(brenier.ExportError, match="not a sound ONNX model"):
            brenier.export(out, unsound)
    huge = model(
        [node("ConstantOfShape", ["s"], ["c"]), node("Add", ["z", "c"], ["y"])], {"s": whole(1 << 40)}
    )
    with pytest.raises(brenier.ExportError, match="too large"):
        brenier.export(out, huge)
    with pytest.raises(brenier.ExportError, match="give input_shape"):
        brenier.export(out, model([node("Relu", ["z"], ["y"])], {}, ("n", 4, "h", "w")))
    path = tmp_path / "outside.onnx"
    onnx.save_model(sound, path, save_as_external_data=True, location="weights", size_threshold=0)
    brenier.export(out, path, output_range=(-1, 1))
    with pytest.raises(brenier.ExportError, match="give the path of the model"):
        brenier.export(out, path.read_bytes())
    (tmp_path / "weights").unlink()
    with pytest.raises((brenier.ExportError, brenier.FileError), match="weights"):
        brenier.export(out, path)
