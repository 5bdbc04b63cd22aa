"""A decoder from an ONNX model. The only file that imports the onnx package, and onnxruntime where it is
installed.

The graph is walked once, in its order. What does not depend on the code is computed on the way by ONNX's
own reference evaluator, so that only operators on activations remain, which ``onnx_operators`` makes nodes
of. The size of the batch is not known here: the shape of an activation has :data:`BATCH` in its place,
and arithmetic on shapes carries it to the reshapes that want it.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

from ..errors import ExportError, FileError
from .graph import Activation, Builder, Shape, Unknown, Unsupported
from .model_input import ModelInput
from .onnx_operators import BATCH, OPERATORS, Call, Memory

Source = Union[str, "os.PathLike[str]", bytes, onnx.ModelProto]

_FIRST_OPSET = 9

# Operators that are computed where no input depends on the code: arithmetic on shapes and on weights.
_FOLDED = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "Cast",
        "CastLike",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "DequantizeLinear",
        "Div",
        "Equal",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "Less",
        "LessOrEqual",
        "Log",
        "MatMul",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceL2",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Reshape",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Sigmoid",
        "Sign",
        "Size",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)

# No decoder's weight is larger; what would be is refused before it is allocated.
_MOST_ELEMENTS = 1 << 28


@dataclass
class Model:
    """A sound ONNX model with one input and one output.

    Attributes
    ----------
    proto : onnx.ModelProto
        Without functions of its own and without external data.
    input : ModelInput
        The one input; all that follows is of it.
    dtype : numpy.dtype
        Of the code as the model takes it.
    half : bool
        Whether it computes in half precision.
    channels_last : bool
        Whether it makes images ``[n, H, W, C]``; known once it has been built.
    """

    proto: onnx.ModelProto
    input: ModelInput
    dtype: np.dtype[Any]
    half: bool
    channels_last: bool = field(default=False)


def read(source: Source) -> Model:
    """Reads a model and checks that it is one.

    Raises
    ------
    FileError
        There is no such file.
    ExportError
        It is no ONNX model, or a broken one; its weights are in another file that is not there; it has
        more inputs than the code, or more outputs than the images.
    """
    proto = _proto(source)
    if not proto.graph.node:
        raise ExportError(f"{_name(source)}: not an ONNX model: it has no graph")
    _check(source, proto)
    version = _opset(proto)
    if version < _FIRST_OPSET:
        raise ExportError(
            f"{_name(source)}: operator set {version}; want {_FIRST_OPSET} or later: "
            "onnx.version_converter.convert_version makes one of it"
        )
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    graph = proto.graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in given]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ExportError(f"the model takes {len(inputs)} inputs, {names}; want one")
    if len(graph.output) != 1:
        names = ", ".join(value.name for value in graph.output)
        raise ExportError(
            f"the model makes {len(graph.output)} outputs, {names}; want one: "
            "onnx.utils.Extractor cuts a model down to one"
        )
    return _model(proto, inputs[0])


def build(model: Model, builder: Builder) -> tuple[Activation | Unknown, list[str]]:
    """Adds every operator; the output, and what is not supported, each with its place."""
    model.input.check(builder.input)
    walk = _Walk(model, builder)
    output = walk.run()
    if isinstance(output, Activation) and not walk.faults:
        source, order = walk.memory.transposed.get(output.name, (output, ()))
        if order == (0, 2, 3, 1):  # images [H, W, C]: the file's are [C, H, W]
            output, model.channels_last = source, True
    return output, walk.faults


def run(model: Model, z: NDArray[np.float32], shape: Shape) -> NDArray[Any]:
    """What ONNX Runtime, or ONNX's reference evaluator where it is not installed or too old for the model,
    makes of codes ``z [n, d]``; images ``[n, C, H, W]``."""
    evaluate = _evaluator(model)
    made = model.input.run(lambda codes: evaluate({model.input.name: codes.astype(model.dtype)}), z, shape)
    return made.transpose(0, 3, 1, 2) if model.channels_last else made


def _evaluator(model: Model) -> Any:
    data = model.proto.SerializeToString()
    try:
        import onnxruntime
    except ImportError:
        pass
    else:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, and said there
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception:  # an operator set or an operator that this version does not have
            pass
        else:
            return lambda feed: session.run(None, feed)[0]
    evaluator = ReferenceEvaluator(model.proto)
    return lambda feed: next(iter(evaluator.run(None, feed)))


# ---- reading -----------------------------------------------------------------------------------


def _proto(source: Source) -> onnx.ModelProto:
    name = _name(source)
    try:
        if isinstance(source, onnx.ModelProto):
            proto = source
        elif isinstance(source, bytes):
            proto = onnx.load_from_string(source)
        else:
            with open(source, "rb"):
                pass
            return onnx.load(source)  # and the files beside it that hold its weights
    except DecodeError as error:
        raise ExportError(f"{name}: not an ONNX model, or cut off: {_sentence(error)}") from error
    except FileNotFoundError as error:
        if isinstance(source, (str, os.PathLike)) and os.path.exists(source):
            raise ExportError(f"{name}: its weights are in another file: {_sentence(error)}") from error
        raise FileError(f"{name}: could not be read: {error.strerror or error}") from error
    except OSError as error:
        raise FileError(f"{name}: could not be read: {error.strerror or error}") from error
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:  # of external data
        raise ExportError(f"{name}: its weights could not be read: {_sentence(error)}") from error
    outside = [t.name for t in proto.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise ExportError(f"{outside[0]}: its values are in another file; give the path of the model")
    return proto


def _check(source: Source, proto: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(proto)
    except Exception as error:  # also what protobuf raises for more than 2 GB
        raise ExportError(f"{_name(source)}: not a sound ONNX model: {_sentence(error)}") from error


def _model(proto: onnx.ModelProto, value: onnx.ValueInfoProto) -> Model:
    tensor = value.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except KeyError:
        dtype = np.dtype(object)
    if dtype.kind != "f":
        raise ExportError(f"the model reads {value.name} as {dtype}; want floating-point codes")
    if not tensor.HasField("shape") or len(tensor.shape.dim) < 2:
        axes = len(tensor.shape.dim) if tensor.HasField("shape") else "unknown"
        raise ExportError(f"the model's input {value.name} has {axes} axes; want the batch and 1 to 3 more")
    batch, *extents = (int(dim.dim_value) if dim.dim_value > 0 else None for dim in tensor.shape.dim)
    halves = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    half = dtype == np.float16 or any(t.data_type in halves for t in proto.graph.initializer)
    return Model(proto, ModelInput(value.name, tuple(extents), batch), dtype, half)


def _opset(proto: onnx.ModelProto) -> int:
    versions = [int(entry.version) for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    return max(versions, default=1)


def _name(source: Source) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the model"


def _sentence(error: BaseException) -> str:
    """The first two lines of what a library says, as one."""
    return " ".join(" ".join(str(error).split("\n")[:2]).split()).rstrip(".") or type(error).__name__


# ---- the graph ---------------------------------------------------------------------------------


class _Walk:
    """The graph's values in order: an activation, or an array where no input depends on the code."""

    def __init__(self, model: Model, builder: Builder) -> None:
        self._graph = model.proto.graph
        self._builder = builder
        self._version = _opset(model.proto)
        self.memory = Memory(model.input.batch)
        self.faults: list[str] = []
        self._values: dict[str, Any] = {}
        for tensor in self._graph.initializer:
            self._values[tensor.name] = _array(tensor)
        self._values[model.input.name] = builder.input

    def run(self) -> Activation | Unknown:
        read = {name for node in self._graph.node for name in node.input}
        read.update(value.name for value in self._graph.output)
        for position, node in enumerate(self._graph.node):
            at = node.name or next(filter(None, node.output), f"#{position}")
            results: Sequence[Any] = [Unknown()]
            try:
                results = self._results(node, at)
                unmade = [name for name in node.output[len(results) :] if name in read]
                if unmade:
                    raise Unsupported(f"its output {unmade[0]} is read; a model file has the first alone")
            except Unsupported as error:
                self.faults.append(f"{at} ({node.op_type}): {error}")
                results = [Unknown()]
            for i, name in enumerate(node.output):
                self._values[name] = results[i] if i < len(results) else Unknown()
        output = self._graph.output[0].name
        made = self._values[output]
        if isinstance(made, np.ndarray):
            raise ExportError(f"the model's output {output} does not depend on the code")
        assert isinstance(made, (Activation, Unknown))
        return made

    def _results(self, node: onnx.NodeProto, at: str) -> Sequence[Any]:
        if node.domain not in ("", "ai.onnx"):
            raise Unsupported(f"a model file has no operators of the domain {node.domain}")
        inputs = [self._values[name] if name else None for name in node.input]
        op = node.op_type
        if any(isinstance(value, Unknown) for value in inputs):
            if op not in OPERATORS and op not in _FOLDED:
                raise Unsupported("a model file has no such operator")
            return [Unknown()]
        if op == "Shape" and isinstance(inputs[0], Activation):
            return [_shape(node, inputs[0])]
        if not any(isinstance(value, Activation) for value in inputs):
            return _fold(node, inputs, self._version)
        if op not in OPERATORS:
            raise Unsupported("a model file has no such operator")
        call = Call(
            self._builder, at, op, self._version, inputs, list(node.input), _attributes(node), self.memory
        )
        made = OPERATORS[op](call)
        self.memory.note(made, op, inputs)
        return [made]


def _shape(node: onnx.NodeProto, x: Activation) -> NDArray[np.int64]:
    attributes = _attributes(node)
    start, end = attributes.get("start", 0), attributes.get("end")
    return np.array([BATCH, *x.shape], np.int64)[start:end]


def _fold(node: onnx.NodeProto, inputs: Sequence[Any], version: int) -> Sequence[Any]:
    """What the node makes of arrays."""
    if node.op_type not in _FOLDED:
        raise Unsupported("a model file has no such operator")
    if _elements(node, inputs) > _MOST_ELEMENTS:
        raise Unsupported("makes a tensor that is too large, or of the batch's size")
    feed = {name: value for name, value in zip(node.input, inputs) if name}
    try:
        return [np.asarray(made) for made in _evaluate(node, feed, version)]
    except Exception as error:
        raise Unsupported(f"cannot be computed: {_sentence(error)}") from error


def _evaluate(node: onnx.NodeProto, feed: dict[str, Any], version: int) -> Sequence[Any]:
    # A model and not the node alone: only a model's operator set chooses among an operator's versions.
    reads = [onnx.ValueInfoProto(name=name) for name in feed]
    makes = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "constant", reads, makes)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    with np.errstate(all="ignore"):  # what is not finite is refused where a weight is written
        return list(ReferenceEvaluator(model).run(None, feed))


def _elements(node: onnx.NodeProto, inputs: Sequence[Any]) -> int:
    """At most how many elements the node makes, where they may be more than it reads; else 0."""
    arrays = [np.asarray(value) for value in inputs if value is not None]
    shapes: list[Sequence[int]] = [array.shape for array in arrays]
    if node.op_type == "ConstantOfShape":
        shapes = [arrays[0].tolist()]
    elif node.op_type == "Expand":
        shapes[1] = arrays[1].tolist()
    elif node.op_type == "Tile":
        return math.prod(int(extent) for extent in [*arrays[1], arrays[0].size])
    elif node.op_type == "Range":
        start, limit, delta = (float(value) for value in arrays)
        return int(abs((limit - start) / delta)) if delta else 0
    elif node.op_type == "MatMul":
        return math.prod(array.size // max(array.shape[-1], 1) for array in arrays)
    elif len(arrays) < 2:
        return 0
    # Of arrays that are broadcast; for what is not, such as Concat, far too much only where it is huge.
    longest = itertools.zip_longest(*(tuple(reversed(list(shape))) for shape in shapes), fillvalue=1)
    return math.prod(max(int(extent) for extent in extents) for extents in longest)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return dict(_attribute_items(node))


def _attribute_items(node: onnx.NodeProto) -> Iterator[tuple[str, Any]]:
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        elif isinstance(value, onnx.TensorProto):
            value = _array(value)
        yield attribute.name, value


def _array(tensor: onnx.TensorProto) -> NDArray[Any]:
    """The values, those of types that NumPy does not have as float32."""
    try:
        values = numpy_helper.to_array(tensor)
    except Exception as error:
        raise ExportError(f"{tensor.name}: its values cannot be read: {_sentence(error)}") from error
    return values if values.dtype.kind in "biufc" else np.asarray(values, np.float32)
