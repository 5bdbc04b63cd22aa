"""Builds a network's graph as the model file writes it: ONNX's operators, over named tensors.

Shapes leave the batch out, and each method infers its output's, so that a network that does not fit
together is refused here, by the name that its author gave the layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Activation:
    """A value that flows through the graph; ``[batch, *shape]`` where it runs."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Constant:
    """A tensor of the file."""

    name: str
    values: NDArray[Any]


class Unknown:
    """What an operator that cannot be exported would have made; whatever reads it is not examined."""


class Unsupported(Exception):
    """An operator, or a setting of one, that a model file does not have. The text says which."""


class Builder:
    """Collects nodes and tensors, in topological order.

    Parameters
    ----------
    input_shape : tuple of int, optional
        Of what the network reads: a code ``(d,)``, or ``(C, H, W)`` with C*H*W = d, or an image. Without
        it no node can be made, but operators can still be looked up.
    network : str
        What the names of the file's tensors begin with.
    input_name : str
        What the graph calls its input.
    """

    def __init__(self, input_shape: Shape | None, network: str = "decoder", input_name: str = "z") -> None:
        self.network = network
        self.input = Unknown() if input_shape is None else Activation(input_name, input_shape)
        self.clear()

    def clear(self) -> None:
        """Forgets all that was added."""
        self.nodes: list[dict[str, Any]] = []
        self.tensors: dict[str, NDArray[Any]] = {}
        self._names: dict[str, int] = {}

    def finish(self, output: Activation) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The graph's JSON form and its tensors, of what ``output`` is made of."""
        needed = {output.name}
        nodes = []
        for node in reversed(self.nodes):
            if node["output"] in needed:
                needed.update(node["inputs"])
                nodes.append(node)
        assert isinstance(self.input, Activation)
        graph = {
            "input": {"name": self.input.name, "shape": list(self.input.shape)},
            "output": output.name,
            "nodes": nodes[::-1],
        }
        return graph, {name: values for name, values in self.tensors.items() if name in needed}

    # ---- linear operators ------------------------------------------------------------------------

    def gemm(self, at: str, x: Activation, weight: Constant, bias: Constant | None) -> Activation:
        """x [K], weight [M, K] as PyTorch keeps it, bias [M]."""
        if len(x.shape) != 1:
            raise Unsupported(f"a linear layer on {list(x.shape)}; want [features], so flatten first")
        features, columns = weight.values.shape
        if columns != x.shape[0]:
            raise ExportError(f"{at}: the weight wants {columns} features, the input has {x.shape[0]}")
        return self._add("Gemm", at, [x, weight, bias], (features,), {"transB": 1})

    def conv(
        self,
        at: str,
        x: Activation,
        weight: Constant,
        bias: Constant | None,
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
        group: int = 1,
    ) -> Activation:
        """x [C, H, W], weight [M, C/group, kH, kW], bias [M]; pads are top, left, bottom, right."""
        channels, rows, cols = _image(at, x)
        out_channels, per_group, *kernel = weight.values.shape
        if per_group * group != channels:
            raise ExportError(
                f"{at}: the weight wants {per_group * group} channels, the input has {channels}"
            )
        extents = [
            (extent + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
            for i, extent in enumerate((rows, cols))
        ]
        return self._window(
            "Conv", at, [x, weight, bias], (out_channels, *extents), strides, pads, dilations, group
        )

    def conv_transpose(
        self,
        at: str,
        x: Activation,
        weight: Constant,
        bias: Constant | None,
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        output_padding: Sequence[int] = (0, 0),
        dilations: Sequence[int] = (1, 1),
        group: int = 1,
    ) -> Activation:
        """x [C, H, W], weight [C, M/group, kH, kW], bias [M]."""
        channels, rows, cols = _image(at, x)
        in_channels, per_group, *kernel = weight.values.shape
        if in_channels != channels:
            raise ExportError(f"{at}: the weight wants {in_channels} channels, the input has {channels}")
        extents = [
            strides[i] * (extent - 1)
            + dilations[i] * (kernel[i] - 1)
            + 1
            + output_padding[i]
            - pads[i]
            - pads[i + 2]
            for i, extent in enumerate((rows, cols))
        ]
        shape = (per_group * group, *extents)
        return self._window(
            "ConvTranspose", at, [x, weight, bias], shape, strides, pads, dilations, group, output_padding
        )

    def _window(
        self,
        op: str,
        at: str,
        inputs: Sequence[Activation | Constant | None],
        shape: Shape,
        strides: Sequence[int],
        pads: Sequence[int],
        dilations: Sequence[int],
        group: int,
        output_padding: Sequence[int] = (0, 0),
    ) -> Activation:
        if min(shape) < 1:
            raise ExportError(f"{at}: nothing is left of the image: the output would be {list(shape)}")
        attributes: dict[str, Any] = {}
        if any(s != 1 for s in strides):
            attributes["strides"] = list(strides)
        if any(pads):
            attributes["pads"] = list(pads)
        if any(output_padding):
            attributes["output_padding"] = list(output_padding)
        if any(s != 1 for s in dilations):
            attributes["dilations"] = list(dilations)
        if group != 1:
            attributes["group"] = group
        return self._add(op, at, inputs, shape, attributes)

    # ---- normalisation ---------------------------------------------------------------------------

    def batch_norm(
        self,
        at: str,
        x: Activation,
        scale: Constant,
        bias: Constant,
        mean: Constant,
        variance: Constant,
        epsilon: float,
    ) -> Activation:
        """(x - mean) / sqrt(variance + epsilon) * scale + bias by channel; kept as a node of its own."""
        _channels(at, x, scale.values.shape[0])
        return self._add(
            "BatchNormalization", at, [x, scale, bias, mean, variance], x.shape, {"epsilon": epsilon}
        )

    def group_norm(
        self, at: str, x: Activation, scale: Constant, bias: Constant, groups: int, epsilon: float
    ) -> Activation:
        _channels(at, x, scale.values.shape[0])
        if x.shape[0] % groups:
            raise ExportError(f"{at}: {groups} groups do not divide {x.shape[0]} channels")
        return self._add(
            "GroupNormalization", at, [x, scale, bias], x.shape, {"num_groups": groups, "epsilon": epsilon}
        )

    # ---- element by element ----------------------------------------------------------------------

    def elementwise(self, op: str, at: str, x: Activation, **attributes: float) -> Activation:
        """Relu, LeakyRelu, Silu, Tanh, Sigmoid, Clip."""
        return self._add(op, at, [x], x.shape, attributes)

    def combine(self, op: str, at: str, x: Activation, other: Activation | Constant) -> Activation:
        """Add or Mul, of two activations of one shape or of one and a tensor that broadcasts to it."""
        if isinstance(other, Activation):
            if other.shape != x.shape:
                raise Unsupported(
                    f"{op} of activations of different shapes, {list(x.shape)} and {list(other.shape)}"
                )
        else:
            shape = other.values.shape
            rest = shape[1:] if len(shape) == len(x.shape) + 1 and shape[0] == 1 else shape
            pairs = zip(reversed(rest), reversed(x.shape))
            if len(rest) > len(x.shape) or any(a not in (1, b) for a, b in pairs):
                raise Unsupported(
                    f"{op} of {list(x.shape)} and a tensor {list(shape)} that does not broadcast to it"
                )
        return self._add(op, at, [x, other], x.shape)

    # ---- shape -----------------------------------------------------------------------------------

    def concat(self, at: str, inputs: Sequence[Activation], axis: int) -> Activation:
        """``axis`` counts the batch as 0."""
        rank = len(inputs[0].shape)
        axis += rank + 1 if axis < 0 else 0
        if not 1 <= axis <= rank:
            raise Unsupported(f"a concatenation along axis {axis}, the batch")
        shape = list(inputs[0].shape)
        for other in inputs[1:]:
            if len(other.shape) != rank or any(
                a != b for i, (a, b) in enumerate(zip(shape, other.shape), 1) if i != axis
            ):
                raise ExportError(f"{at}: {shape} and {list(other.shape)} cannot be joined along axis {axis}")
            shape[axis - 1] += other.shape[axis - 1]
        return self._add("Concat", at, inputs, tuple(shape), {"axis": axis})

    def resize(self, at: str, x: Activation, scales: Sequence[float]) -> Activation:
        """Nearest: out[i] = in[floor(i / scale)]."""
        channels, rows, cols = _image(at, x)
        shape = (channels, math.floor(rows * scales[0]), math.floor(cols * scales[1]))
        if min(shape) < 1:
            raise ExportError(f"{at}: nothing is left of the image: the output would be {list(shape)}")
        return self._add("Resize", at, [x], shape, {"scales": [float(s) for s in scales]})

    def reshape(self, at: str, x: Activation, shape: Sequence[int]) -> Activation:
        """``shape`` leaves the batch out; one extent may be -1."""
        total = math.prod(x.shape)
        known = math.prod(s for s in shape if s != -1)
        out = tuple(total // max(known, 1) if s == -1 else s for s in shape)
        if math.prod(out) != total:
            raise ExportError(f"{at}: {list(x.shape)} does not have the elements of {list(shape)}")
        if not 1 <= len(out) <= 3:
            raise Unsupported(f"an activation {list(out)} of {len(out)} axes beside the batch; want 1 to 3")
        return x if out == x.shape else self._add("Reshape", at, [x], out, {"shape": [0, *out]})

    def transpose(self, at: str, x: Activation, order: Sequence[int]) -> Activation:
        """Axis i of the result is axis ``order[i]`` of x; the batch counts as 0 and stays first."""
        if sorted(order) != list(range(len(x.shape) + 1)) or order[0] != 0:
            raise Unsupported(f"a transpose {list(order)} of [n, {', '.join(map(str, x.shape))}]")
        if list(order) == list(range(len(order))):
            return x
        shape = tuple(x.shape[axis - 1] for axis in order[1:])
        return self._add("Transpose", at, [x], shape, {"perm": list(order)})

    def flatten(self, at: str, x: Activation) -> Activation:
        return x if len(x.shape) == 1 else self._add("Flatten", at, [x], (math.prod(x.shape),))

    # ---- tensors and names -----------------------------------------------------------------------

    def constant(self, path: str, values: NDArray[Any]) -> Constant:
        """A tensor of the file, named ``<network>.<path>``. The same path is the same tensor."""
        name = f"{self.network}.{path}"
        if name not in self.tensors:
            self.tensors[name] = np.ascontiguousarray(values)
        return Constant(name, self.tensors[name])

    def _add(
        self,
        op: str,
        at: str,
        inputs: Sequence[Activation | Constant | None],
        shape: Shape,
        attributes: dict[str, Any] | None = None,
    ) -> Activation:
        name = self._unique(at or op.lower())
        node: dict[str, Any] = {
            "name": name,
            "op": op,
            "inputs": [value.name for value in inputs if value is not None],
            "output": f"{name}.out",
        }
        if attributes:
            node["attributes"] = attributes
        self.nodes.append(node)
        return Activation(node["output"], shape)

    def _unique(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"


def nearest_scale(have: int, want: int, sources: NDArray[Any], scale: float) -> float | None:
    """The scale by which a file's nearest resizing takes ``sources`` of ``have`` rows or columns as its
    ``want``; None if none does. ``scale`` is tried first.

    A file means in[floor(i / scale)], in float32. Where i / scale is a whole number, rounding may take
    either below it; a scale that is a little larger moves the file's down.
    """
    rows = np.arange(want, dtype=np.float32)
    for larger in (0.0, 2.0**-50, 2.0**-23, 2.0**-22):
        for candidate in (scale * (1 + larger), want / have * (1 + larger)):
            ours = np.minimum(np.floor(rows / np.float32(candidate)), have - 1)
            if math.floor(have * candidate) == want and np.array_equal(ours, sources):
                return candidate
    return None


def _image(at: str, x: Activation) -> Shape:
    if len(x.shape) != 3:
        raise ExportError(
            f"{at}: wants an image [C, H, W], the input is {list(x.shape)}; "
            "reshape it first, or give input_shape"
        )
    return x.shape


def _channels(at: str, x: Activation, channels: int) -> None:
    if x.shape[0] != channels:
        raise ExportError(f"{at}: the layer has {channels} channels, the input {x.shape[0]}")
