"""ONNX's operators, by their names, as nodes of a graph.

Each is given a :class:`Call`. Settings that a model file does not have are refused with
:class:`Unsupported`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from . import functional as f
from .graph import Activation, Builder, Constant, Shape, Unsupported, nearest_scale

BATCH = 1 << 30
"""Stands for the size of the batch in a shape. No extent is as large, it is exact in float32, and what
arithmetic makes of it is none either."""


@dataclass
class Memory:
    """What is remembered of the activations made so far, by name.

    Attributes
    ----------
    batch : int or None
        The batch that the model was made for; None if it takes any.
    made : dict
        The operator and the inputs.
    padded : dict
        The image that it is with zeros around it, and how many.
    reshaped : dict
        The activation that it is a reshape of, none itself.
    transposed : dict
        The activation that it is a transpose of, none itself, and the order of the axes.
    """

    batch: int | None
    made: dict[str, tuple[str, Sequence[Any]]] = field(default_factory=dict)
    padded: dict[str, tuple[Activation, list[int]]] = field(default_factory=dict)
    reshaped: dict[str, Activation] = field(default_factory=dict)
    transposed: dict[str, tuple[Activation, tuple[int, ...]]] = field(default_factory=dict)

    def note(self, made: Any, op: str, inputs: Sequence[Any]) -> None:
        if isinstance(made, Activation):
            self.made.setdefault(made.name, (op, inputs))

    def maker(self, value: Any, op: str) -> Sequence[Any]:
        """The inputs of the operator that made an activation, if it is ``op``; else nothing."""
        kind, inputs = self.made.get(value.name, ("", ())) if isinstance(value, Activation) else ("", ())
        return inputs if kind == op else ()


@dataclass(frozen=True)
class Call:
    """A node of the model: its place, and its inputs as values; None for one that is left out."""

    builder: Builder
    at: str
    op: str
    version: int  # of the operator set
    inputs: Sequence[Any]
    names: Sequence[str]  # of the inputs
    attributes: dict[str, Any]
    memory: Memory

    def activation(self, i: int = 0) -> Activation:
        value = self._input(i)
        if not isinstance(value, Activation):
            raise Unsupported(f"its input {self._names(i)} does not depend on the code")
        return value

    def array(self, i: int) -> NDArray[Any]:
        """An input that must not depend on the code."""
        value = self.optional_array(i)
        if value is None:
            raise Unsupported(f"without its input {i}")
        return value

    def optional_array(self, i: int) -> NDArray[Any] | None:
        value = self._input(i)
        if isinstance(value, Activation):
            raise Unsupported(f"its input {self._names(i)} depends on the code; want a constant")
        return cast("NDArray[Any] | None", value)

    def tensor(self, i: int) -> Constant:
        """An input as a tensor of the file, of the name that it has in the model."""
        return self.builder.constant(self._names(i), _floats(self.array(i)))

    def optional_tensor(self, i: int) -> Constant | None:
        return None if self.optional_array(i) is None else self.tensor(i)

    def derived(self, role: str, values: Any) -> Constant:
        """A tensor of the file that the model does not have as it is."""
        return self.builder.constant(f"{self.at}:{role}", _floats(np.asarray(values)))

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def want(self, name: str, *values: Any) -> None:
        """Refuses an attribute that is none of the values, the first of which is the default."""
        value = self.attribute(name, values[0])
        if value not in values:
            raise Unsupported(f"{name} {value!r}; want {' or '.join(map(repr, values))}")

    def numbers(self, name: str, position: int) -> list[int] | None:
        """Whole numbers that older operator sets have as an attribute and newer ones as an input."""
        if name in self.attributes:
            return [int(value) for value in self.attributes[name]]
        values = self.optional_array(position)
        return None if values is None else [int(value) for value in np.ravel(values)]

    def reshape(self, x: Activation, shape: Sequence[int]) -> Activation:
        """Reshapes of reshapes are one, and those that come back to where they began are none."""
        source = self.memory.reshaped.get(x.name, x)
        y = self.builder.reshape(self.at, source, shape)
        if y is not source:
            self.memory.reshaped[y.name] = source
        return y

    def transpose(self, x: Activation, order: Sequence[int]) -> Activation:
        """The same of transposes. ``order`` counts the batch as 0."""
        source, before = self.memory.transposed.get(x.name, (x, tuple(range(len(x.shape) + 1))))
        after = tuple(before[axis] for axis in order)
        y = self.builder.transpose(self.at, source, after)
        if y is not source:
            self.memory.transposed[y.name] = (source, after)
        return y

    def elementwise(self, x: Activation, function: Callable[[Activation], Activation]) -> Activation:
        """A function of every element alone. It goes before a transpose, into the step that makes what is
        transposed, so that the last transpose of images ``[H, W, C]`` stays the last."""
        source, order = self.memory.transposed.get(x.name, (x, None))
        y = function(source)
        return y if order is None else self.transpose(y, order)

    def _input(self, i: int) -> Any:
        return self.inputs[i] if i < len(self.inputs) else None

    def _names(self, i: int) -> str:
        return self.names[i] if i < len(self.names) else str(i)


def _floats(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype == np.float16 or values.dtype == np.float32:
        return values
    return values.astype(np.float32)


# ---- linear operators --------------------------------------------------------------------------


def gemm(c: Call) -> Activation:
    """alpha x W + beta b; the factors go into the tensors."""
    x, weight, bias = c.activation(), c.array(1), c.optional_array(2)
    c.want("transA", 0)
    alpha, beta = c.attribute("alpha", 1.0), c.attribute("beta", 1.0)
    transposed = bool(c.attribute("transB", 0))
    if transposed and alpha == 1:
        kept = c.tensor(1)
    else:
        kept = c.derived("weight", (weight if transposed else weight.T) * weight.dtype.type(alpha))
    features = kept.values.shape[0]
    if bias is None:
        offset = None
    elif bias.shape == (features,) and beta == 1:
        offset = c.tensor(2)
    else:
        offset = c.derived("bias", np.broadcast_to(bias * bias.dtype.type(beta), (1, features))[0])
    return c.builder.gemm(c.at, x, kept, offset)


def matmul(c: Call) -> Activation:
    x, weight = c.activation(), c.array(1)
    if weight.ndim != 2:
        raise Unsupported(f"a product with a tensor {list(weight.shape)}; want [features, features]")
    return c.builder.gemm(c.at, x, c.derived("weight", weight.T), None)


def conv(c: Call) -> Activation:
    x, weight = c.activation(), c.tensor(1)
    window = _Window(c, weight)
    if window.automatic:
        pads = [0, 0, 0, 0]
        for i, extent in enumerate(_rows_cols(c, x)):
            out = -(-extent // window.strides[i])
            pads[i], pads[i + 2] = window.split((out - 1) * window.strides[i] + window.reach(i) - extent)
    else:
        x, around = c.memory.padded.get(x.name, (x, [0, 0, 0, 0]))
        pads = [own + other for own, other in zip(window.pads, around)]
    return c.builder.conv(
        c.at, x, weight, c.optional_tensor(2), window.strides, pads, window.dilations, window.group
    )


def conv_transpose(c: Call) -> Activation:
    x, weight = c.activation(), c.tensor(1)
    window = _Window(c, weight)
    output_padding = list(c.attribute("output_padding", [0, 0]))
    shape = c.attribute("output_shape")
    pads = window.pads
    if shape is not None or window.automatic:
        for i, extent in enumerate(_rows_cols(c, x)):
            out = extent * window.strides[i] if shape is None else shape[-2 + i]
            full = (extent - 1) * window.strides[i] + window.reach(i) + output_padding[i]
            pads[i], pads[i + 2] = window.split(full - out)
            if full < out:
                raise Unsupported(f"an output of {out} rows or columns, of which the kernel reaches {full}")
    return c.builder.conv_transpose(
        c.at,
        x,
        weight,
        c.optional_tensor(2),
        window.strides,
        pads,
        output_padding,
        window.dilations,
        window.group,
    )


class _Window:
    """The attributes that both convolutions have."""

    def __init__(self, c: Call, weight: Constant) -> None:
        if weight.values.ndim != 4:
            raise Unsupported(f"a convolution along {weight.values.ndim - 2} axes; want rows and columns")
        self.kernel = weight.values.shape[2:]
        self.strides: list[int] = list(c.attribute("strides", [1, 1]))
        self.dilations: list[int] = list(c.attribute("dilations", [1, 1]))
        self.pads: list[int] = list(c.attribute("pads", [0, 0, 0, 0]))
        self.group: int = c.attribute("group", 1)
        self._auto_pad: str = c.attribute("auto_pad", "NOTSET")
        if min(self.pads) < 0:
            raise Unsupported(f"pads {self.pads}, which cut; want none below 0")

    @property
    def automatic(self) -> bool:
        return self._auto_pad.startswith("SAME")

    def reach(self, i: int) -> int:
        """Rows or columns that one window spans."""
        return int(self.dilations[i] * (self.kernel[i] - 1) + 1)

    def split(self, total: int) -> tuple[int, int]:
        """Padding before and after: what is odd goes to the end, or to the beginning if so asked."""
        total = max(total, 0)
        less, more = total // 2, total - total // 2
        return (more, less) if self._auto_pad == "SAME_LOWER" else (less, more)


def _rows_cols(c: Call, x: Activation) -> Shape:
    if len(x.shape) != 3:
        raise Unsupported(f"an image {list(x.shape)}; want [C, H, W]")
    return x.shape[1:]


# ---- normalisation -----------------------------------------------------------------------------


def batch_normalization(c: Call) -> Activation:
    c.want("training_mode", 0)
    scale, bias, mean, variance = (c.tensor(i) for i in range(1, 5))
    return c.builder.batch_norm(
        c.at, c.activation(), scale, bias, mean, variance, c.attribute("epsilon", 1e-5)
    )


def instance_normalization(c: Call) -> Activation:
    """A group normalisation with a group for every channel. PyTorch writes any group normalisation so, of an
    image reshaped to ``[groups, ...]``; then it is one of the image, and the reshapes are none."""
    x = c.activation()
    groups = x.shape[0]
    source = c.memory.reshaped.get(x.name, x)
    if source.shape[0] % groups:
        source = x
    y = _grouped(c, source, groups)
    if source is x:
        return y
    again = c.builder.reshape(c.at, y, x.shape)
    c.memory.reshaped[again.name] = y
    return again


def group_normalization(c: Call) -> Activation:
    return _grouped(c, c.activation(), c.attribute("num_groups", 1))


def _grouped(c: Call, x: Activation, groups: int) -> Activation:
    """The scale and the bias are ``[channels]``, or ``[groups]`` as before operator set 21."""
    channels = x.shape[0]

    def by_channel(i: int, role: str) -> Constant:
        values = c.array(i)
        if values.shape != (groups,) or groups == channels or channels % groups:
            return c.tensor(i)
        return c.derived(role, np.repeat(values, channels // groups))

    scale, bias = by_channel(1, "scale"), by_channel(2, "bias")
    return c.builder.group_norm(c.at, x, scale, bias, groups, c.attribute("epsilon", 1e-5))


# ---- element by element ------------------------------------------------------------------------


def function(op: str) -> Callable[[Call], Activation]:
    """An operator that a model file has by the same name, without attributes."""
    return lambda c: c.elementwise(c.activation(), lambda x: c.builder.elementwise(op, c.at, x))


def leaky_relu(c: Call) -> Activation:
    slope = float(c.attribute("alpha", 0.01))
    return c.elementwise(c.activation(), lambda x: c.builder.elementwise("LeakyRelu", c.at, x, alpha=slope))


def prelu(c: Call) -> Activation:
    x, slope = c.activation(), c.array(1)
    if slope.size == 1:
        alpha = float(slope.reshape(()))
        return c.elementwise(x, lambda v: c.builder.elementwise("LeakyRelu", c.at, v, alpha=alpha))
    return f.prelu(c.builder, c.at, x, c.tensor(1))


def clip(c: Call) -> Activation:
    return _clamped(c, _limit(c, "min", 1), _limit(c, "max", 2))


def _limit(c: Call, name: str, position: int) -> float | None:
    if name in c.attributes:
        return float(c.attributes[name])
    limit = c.optional_array(position)
    return None if limit is None else float(limit.reshape(()))


def _clamped(c: Call, low: float | None, high: float | None) -> Activation:
    return c.elementwise(c.activation(), lambda x: f.clamp(c.builder, c.at, x, low, high))


def least(c: Call) -> Activation:
    """Min and Max with a number are limits."""
    if len(c.inputs) == 1:
        return c.activation()
    x, limit = c.inputs if isinstance(c.inputs[0], Activation) else reversed(c.inputs[:2])
    if len(c.inputs) > 2 or not isinstance(limit, np.ndarray) or limit.size != 1:
        raise Unsupported("of more than an activation and a number")
    bound = float(limit.reshape(()))
    low, high = (None, bound) if c.op == "Min" else (bound, None)
    return c.elementwise(x, lambda v: f.clamp(c.builder, c.at, v, low, high))


def hard_sigmoid(c: Call) -> Activation:
    alpha, beta = float(c.attribute("alpha", 0.2)), float(c.attribute("beta", 0.5))
    return c.elementwise(c.activation(), lambda x: f.hard_sigmoid_of(c.builder, c.at, x, alpha, beta))


def hard_swish(c: Call) -> Activation:
    return c.elementwise(c.activation(), lambda x: f.hardswish(c.builder, c.at, x))


def swish(c: Call) -> Activation:
    c.want("alpha", 1.0)
    return c.elementwise(c.activation(), lambda x: f.silu(c.builder, c.at, x))


def negative(c: Call) -> Activation:
    return c.elementwise(c.activation(), lambda x: f.neg(c.builder, c.at, x))


def multiplication(c: Call) -> Activation:
    """x times its own sigmoid is Silu."""
    left, right = c.inputs
    for x, gate in ((left, right), (right, left)):
        if isinstance(x, Activation) and list(c.memory.maker(gate, "Sigmoid")) == [x]:
            return c.elementwise(x, lambda v: f.silu(c.builder, c.at, v))
    return _arithmetic(c, f.mul)


def addition(c: Call) -> Activation:
    return _arithmetic(c, f.add)


def subtraction(c: Call) -> Activation:
    return _arithmetic(c, f.sub)


def division(c: Call) -> Activation:
    return _arithmetic(c, f.div)


def total(c: Call) -> Activation:
    """Sum, of any number of inputs."""
    result = _operand(c, 0)
    for i in range(1, len(c.inputs)):
        result = f.add(c.builder, c.at, result, _operand(c, i))
    return cast(Activation, result)


def _arithmetic(c: Call, function: Callable[..., Activation]) -> Activation:
    left, right = _operand(c, 0), _operand(c, 1)
    for x, y in ((left, right), (right, left)):
        if isinstance(x, Activation) and isinstance(y, float):
            return c.elementwise(x, lambda v: function(c.builder, c.at, *((v, y) if x is left else (y, v))))
    return function(c.builder, c.at, left, right)


def _operand(c: Call, i: int) -> Any:
    """An activation, a number, or a tensor of the file."""
    value = c.inputs[i]
    if not isinstance(value, np.ndarray):
        return value
    return float(value.reshape(())) if value.size == 1 else c.tensor(i)


# ---- shape -------------------------------------------------------------------------------------


def identity(c: Call) -> Activation:
    return c.activation()


def dropout(c: Call) -> Activation:
    training = c.optional_array(2)
    if training is not None and training.any():
        raise Unsupported("in training mode")
    return c.activation()


def cast_(c: Call) -> Activation:
    """The engine has precisions of its own; among floating-point types nothing else changes."""
    if c.attribute("to") not in (1, 10, 11, 16):  # TensorProto's FLOAT, FLOAT16, DOUBLE, BFLOAT16
        raise Unsupported("a cast of an activation to whole numbers")
    return c.activation()


def concat(c: Call) -> Activation:
    axis = c.attribute("axis")
    activations = [c.activation(i) for i in range(len(c.inputs))]
    return c.builder.concat(c.at, activations, axis)


def reshape(c: Call) -> Activation:
    x = c.activation()
    extents = [int(extent) for extent in np.ravel(c.array(1))]
    if not c.attribute("allowzero", 0):
        full = (BATCH, *x.shape)
        extents = [full[i] if e == 0 and i < len(full) else e for i, e in enumerate(extents)]
    return _as_shape(c, x, extents)


def _as_shape(c: Call, x: Activation, extents: Sequence[int]) -> Activation:
    """``extents`` has the batch first: its stand-in, the number of a model of one batch, or -1."""
    size = math.prod(x.shape)
    batch, rest = (extents[0], list(extents[1:])) if extents else (0, [])
    known = math.prod(extent for extent in rest if extent != -1)
    whole = known == size if -1 not in rest else known > 0 and size % known == 0
    keeps = batch in (BATCH, c.memory.batch) or (batch == -1 and -1 not in rest)
    if not (keeps and whole and rest.count(-1) < 2 and all(-1 <= e < BATCH and e for e in rest)):
        shown = ["n" if extent == BATCH else extent for extent in extents]
        raise Unsupported(f"a reshape of {_batch_of(x)} to {_list(shown)}, which mixes samples")
    return c.reshape(x, rest)


def flatten(c: Call) -> Activation:
    x = c.activation()
    axis = c.attribute("axis", 1)
    axis += len(x.shape) + 1 if axis < 0 else 0
    if axis < 1 or math.prod(x.shape[: axis - 1]) != 1:
        raise Unsupported(f"a flattening of {_batch_of(x)} at axis {axis}, which mixes samples")
    return c.reshape(x, [math.prod(x.shape)])


def squeeze(c: Call) -> Activation:
    x = c.activation()
    axes = c.numbers("axes", 1)
    if axes is None:
        raise Unsupported("a squeeze of every axis, the batch's too")
    rank = len(x.shape) + 1
    dropped = {axis % rank for axis in axes}
    if 0 in dropped or any(x.shape[axis - 1] != 1 for axis in dropped):
        raise Unsupported(f"a squeeze of the axes {axes} of {_batch_of(x)}")
    return c.reshape(x, [extent for axis, extent in enumerate(x.shape, 1) if axis not in dropped])


def unsqueeze(c: Call) -> Activation:
    x = c.activation()
    axes = c.numbers("axes", 1) or []
    rank = len(x.shape) + 1 + len(axes)
    added = {axis % rank for axis in axes}
    if 0 in added or len(added) != len(axes):
        raise Unsupported(f"new axes {axes} of {_batch_of(x)}")
    extents = iter(x.shape)
    return c.reshape(x, [1 if axis in added else next(extents) for axis in range(1, rank)])


def transpose(c: Call) -> Activation:
    x = c.activation()
    order = c.attribute("perm", list(range(len(x.shape), -1, -1)))
    if order[0] != 0:
        raise Unsupported(f"a transpose of the batch's axis, {_list(order)}")
    return c.transpose(x, order)


def expand(c: Call) -> Activation:
    x = c.activation()
    wanted = [int(extent) for extent in np.ravel(c.array(1))]
    full = [BATCH, *x.shape]
    pairs = zip(reversed(wanted), reversed(full))
    fits = len(wanted) <= len(full) and all(want in (1, have) for want, have in pairs)
    if not fits:
        raise Unsupported(f"a repetition of {_batch_of(x)}")
    return x


def pad(c: Call) -> Activation:
    """Zeros around an image. A convolution that reads it has them as its own."""
    c.want("mode", "constant")
    x = c.activation()
    pads = c.numbers("pads", 1) or []
    value = c.attribute("value") if "value" in c.attributes else c.optional_array(2)
    axes = c.numbers("axes", 3)
    if axes is None:
        axes = list(range(len(x.shape) + 1))
    if value is not None and float(np.reshape(value, ())) != 0:
        raise Unsupported("a padding with another value than 0")
    before = {axis % (len(x.shape) + 1): extent for axis, extent in zip(axes, pads)}
    after = {axis % (len(x.shape) + 1): extent for axis, extent in zip(axes, pads[len(axes) :])}
    if any(before.get(axis) or after.get(axis) for axis in range(len(x.shape) - 1)):
        raise Unsupported("a padding of another axis than rows and columns")
    rows, cols = len(x.shape) - 1, len(x.shape)
    around = [before.get(rows, 0), before.get(cols, 0), after.get(rows, 0), after.get(cols, 0)]
    if not any(around):
        return x
    y = f.zero_pad(c.builder, c.at, x, around)
    c.memory.padded[y.name] = (x, around)
    return y


def depth_to_space(c: Call) -> Activation:
    c.want("mode", "DCR", "CRD")
    return f.depth_to_space(
        c.builder, c.at, c.activation(), c.attribute("blocksize"), c.attribute("mode", "DCR")
    )


# ---- resizing ----------------------------------------------------------------------------------


def resize(c: Call) -> Activation:
    """By repetition: every coordinate mode and rounding that takes the same rows and columns as some scale
    of a model file does. Linearly: by a whole number, centres on centres."""
    x = c.activation()
    c.want("antialias", 0)
    c.want("exclude_outside", 0)
    c.want("keep_aspect_ratio_policy", "stretch")
    if len(x.shape) != 3:
        raise Unsupported(f"a resize of {list(x.shape)}; want [C, H, W]")
    scales, extents = _scales(c, x)
    mode = c.attribute("mode", "nearest")
    old = c.op == "Upsample" or c.version < 11
    place = c.attribute("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    if mode == "linear" and place in ("half_pixel", "pytorch_half_pixel"):
        return f.bilinear(c.builder, c.at, x, scales)
    if mode != "nearest":
        raise Unsupported(f"a resize by {mode!r}, {place!r}; want nearest, or linear with 'half_pixel'")
    rounding = c.attribute("nearest_mode", "floor" if old else "round_prefer_floor")
    wanted = []
    for have, want, scale in zip(x.shape[1:], extents, scales):
        sources = _sources(have, want, scale, place, rounding)
        found = nearest_scale(have, want, sources, scale)
        if found is None:
            raise Unsupported(
                f"a resize of {have} rows or columns to {want} by {place!r} and {rounding!r}, which no scale "
                "of a model file repeats so; want a whole number, or 'asymmetric' and 'floor'"
            )
        wanted.append(found)
    return c.builder.resize(c.at, x, wanted)


def _scales(c: Call, x: Activation) -> tuple[list[float], list[int]]:
    """Of rows and columns, and how many of them there are then."""
    if c.op == "Upsample" or c.version < 11:
        given, sizes = c.attribute("scales"), None
        if given is None:
            given = c.array(1)
    else:
        given, sizes = c.optional_array(2), c.optional_array(3)
    full = [c.memory.batch or BATCH, *x.shape]
    rank = len(full)
    axes = [axis % rank for axis in c.attribute("axes", range(rank))]
    if sizes is not None and sizes.size:
        extents = dict(zip(axes, (int(size) for size in sizes)))
        scales = {axis: extents[axis] / full[axis] for axis in axes}
    elif given is not None and len(given):
        scales = dict(zip(axes, (float(scale) for scale in given)))
        extents = {axis: math.floor(full[axis] * scale) for axis, scale in scales.items()}
    else:
        raise Unsupported("a resize without scales or sizes")
    if extents.get(0, full[0]) not in (full[0], BATCH) or extents.get(1, full[1]) != full[1]:
        raise Unsupported("a resize of the batch or of channels")
    return [scales.get(axis, 1.0) for axis in (2, 3)], [extents.get(axis, full[axis]) for axis in (2, 3)]


def _sources(have: int, want: int, scale: float, place: str, rounding: str) -> NDArray[np.float32]:
    """The row that each row of the result is taken from, in float32 as runtimes compute it.

    ONNX's Resize, coordinate_transformation_mode and nearest_mode.
    """
    one, half = np.float32(1), np.float32(0.5)
    out, s = np.arange(want, dtype=np.float32), np.float32(scale)
    if place == "asymmetric":
        x = out / s
    elif place == "half_pixel" or (place == "pytorch_half_pixel" and want > 1):
        x = (out + half) / s - half
    elif place == "pytorch_half_pixel" or (place == "align_corners" and want == 1):
        x = out * 0
    elif place == "align_corners":
        x = out * np.float32(have - 1) / np.float32(want - 1)
    elif place == "tf_half_pixel_for_nn":
        x = (out + half) / s
    elif place == "half_pixel_symmetric":
        offset = np.float32(have) / 2 * (one - np.float32(want) / (s * np.float32(have)))
        x = offset + (out + half) / s - half
    else:
        raise Unsupported(f"coordinate_transformation_mode {place!r}")
    nearest: dict[str, Callable[[Any], Any]] = {
        "round_prefer_floor": lambda v: np.ceil(v - half),
        "round_prefer_ceil": lambda v: np.floor(v + half),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if rounding not in nearest:
        raise Unsupported(f"nearest_mode {rounding!r}")
    return np.asarray(np.clip(nearest[rounding](x), 0, have - 1))


def _batch_of(x: Activation) -> str:
    return _list(["n", *x.shape])


def _list(extents: Sequence[Any]) -> str:
    return "[" + ", ".join(map(str, extents)) + "]"


OPERATORS: dict[str, Callable[[Call], Activation]] = {
    "Gemm": gemm,
    "MatMul": matmul,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "Relu": function("Relu"),
    "Tanh": function("Tanh"),
    "Sigmoid": function("Sigmoid"),
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Clip": clip,
    "Min": least,
    "Max": least,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Swish": swish,
    "Neg": negative,
    "Add": addition,
    "Sub": subtraction,
    "Mul": multiplication,
    "Div": division,
    "Sum": total,
    "Concat": concat,
    "Identity": identity,
    "Dropout": dropout,
    "Cast": cast_,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Expand": expand,
    "Pad": pad,
    "DepthToSpace": depth_to_space,
    "Resize": resize,
    "Upsample": resize,
}
