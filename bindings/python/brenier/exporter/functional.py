"""PyTorch's functions, by PyTorch's names and signatures, as nodes of a graph.

Each takes the builder and the place in the decoder (the author's name for it) before PyTorch's own
arguments. Settings that a model file does not have are refused with :class:`Unsupported`.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from .graph import Activation, Builder, Constant, Unsupported, nearest_scale


class Batch:
    """The size of the batch: PyTorch code reads it, a graph does not know it."""

    def __repr__(self) -> str:
        return "the batch's size"


BATCH = Batch()

Size = Union[int, Sequence[int]]

# ---- linear operators --------------------------------------------------------------------------


def linear(
    b: Builder, at: str, input: Activation, weight: Constant, bias: Constant | None = None
) -> Activation:
    return b.gemm(at, input, weight, bias)


def matmul(b: Builder, at: str, input: Activation, other: Constant) -> Activation:
    """input [K], other [K, M]: a linear layer's weight the other way round."""
    if not isinstance(input, Activation) or not isinstance(other, Constant) or other.values.ndim != 2:
        raise Unsupported("a product of other than an activation and a tensor [features, features]")
    return b.gemm(at, input, b.constant(f"{at}.weight", other.values.T), None)


def addmm(
    b: Builder,
    at: str,
    input: Constant,
    mat1: Activation,
    mat2: Constant,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Activation:
    """beta input + alpha mat1 mat2, of mat1 [K], mat2 [K, M]; the factors go into the tensors."""
    if not isinstance(input, Constant) or not isinstance(mat1, Activation) or not isinstance(mat2, Constant):
        raise Unsupported("addmm of other than a tensor, an activation and a tensor")
    features = mat2.values.shape[1]
    offset = np.broadcast_to(input.values * beta, (1, features))[0].astype(input.values.dtype)
    weight = b.constant(f"{at}.weight", (mat2.values.T * alpha).astype(mat2.values.dtype))
    return b.gemm(at, mat1, weight, b.constant(f"{at}.bias", offset))


def conv2d(
    b: Builder,
    at: str,
    input: Activation,
    weight: Constant,
    bias: Constant | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Activation:
    dilations = pair(dilation)
    if padding == "valid":
        pads = [0, 0, 0, 0]
    elif padding == "same":
        # What is odd goes to the end, as in torch/nn/modules/conv.py.
        total = [d * (k - 1) for d, k in zip(dilations, weight.values.shape[2:])]
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]
    elif isinstance(padding, str):
        raise Unsupported(f"padding {padding!r}")
    else:
        pads = pair(padding) * 2
    return b.conv(at, input, weight, bias, pair(stride), pads, dilations, groups)


def conv_transpose2d(
    b: Builder,
    at: str,
    input: Activation,
    weight: Constant,
    bias: Constant | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Activation:
    return b.conv_transpose(
        at, input, weight, bias, pair(stride), pair(padding) * 2, pair(output_padding), pair(dilation), groups
    )


# ---- normalisation -----------------------------------------------------------------------------


def batch_norm(
    b: Builder,
    at: str,
    input: Activation,
    running_mean: Constant | None,
    running_var: Constant | None,
    weight: Constant | None = None,
    bias: Constant | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
) -> Activation:
    if training or running_mean is None or running_var is None:
        raise Unsupported("a batch normalisation by the batch's own statistics; want running ones")
    weight, bias = _affine(b, at, weight, bias, running_mean.values.shape[0])
    return b.batch_norm(at, input, weight, bias, running_mean, running_var, eps)


def group_norm(
    b: Builder,
    at: str,
    input: Activation,
    num_groups: int,
    weight: Constant | None = None,
    bias: Constant | None = None,
    eps: float = 1e-5,
) -> Activation:
    weight, bias = _affine(b, at, weight, bias, input.shape[0])
    return b.group_norm(at, input, weight, bias, num_groups, eps)


def instance_norm(
    b: Builder,
    at: str,
    input: Activation,
    running_mean: Constant | None = None,
    running_var: Constant | None = None,
    weight: Constant | None = None,
    bias: Constant | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Activation:
    """A group for every channel."""
    if not use_input_stats:
        return batch_norm(b, at, input, running_mean, running_var, weight, bias, eps=eps)
    return group_norm(b, at, input, input.shape[0], weight, bias, eps)


def _affine(
    b: Builder, at: str, weight: Constant | None, bias: Constant | None, channels: int
) -> tuple[Constant, Constant]:
    return (
        weight or b.constant(f"{at}.weight", np.ones(channels, np.float32)),
        bias or b.constant(f"{at}.bias", np.zeros(channels, np.float32)),
    )


# ---- element by element ------------------------------------------------------------------------


def relu(b: Builder, at: str, input: Activation, inplace: bool = False) -> Activation:
    return b.elementwise("Relu", at, input)


def relu6(b: Builder, at: str, input: Activation, inplace: bool = False) -> Activation:
    return b.elementwise("Clip", at, input, min=0.0, max=6.0)


def leaky_relu(
    b: Builder, at: str, input: Activation, negative_slope: float = 0.01, inplace: bool = False
) -> Activation:
    return b.elementwise("LeakyRelu", at, input, alpha=float(negative_slope))


def silu(b: Builder, at: str, input: Activation, inplace: bool = False) -> Activation:
    return b.elementwise("Silu", at, input)


def prelu(b: Builder, at: str, input: Activation, weight: Constant) -> Activation:
    """max(0, x) + slope * min(0, x); one slope is a leaky relu. Slopes are ``[C]``, or broadcast to x."""
    slopes = weight.values
    if slopes.size == 1:
        return leaky_relu(b, at, input, float(slopes.reshape(())))
    if slopes.ndim == 1 and len(input.shape) > 1:
        slopes = slopes.reshape(-1, *[1] * (len(input.shape) - 1))
    below = b.elementwise("Clip", at, input, max=0.0)
    below = b.combine("Mul", at, below, b.constant(f"{at}.slope", slopes))
    return b.combine("Add", at, b.elementwise("Relu", at, input), below)


def hardsigmoid(b: Builder, at: str, input: Activation, inplace: bool = False) -> Activation:
    return hard_sigmoid_of(b, at, input, 1 / 6, 0.5)


def hard_sigmoid_of(b: Builder, at: str, input: Activation, alpha: float, beta: float) -> Activation:
    """alpha x + beta, between 0 and 1."""
    return clamp(b, at, add(b, f"{at}.beta", mul(b, f"{at}.alpha", input, alpha), beta), 0.0, 1.0)


def hardswish(b: Builder, at: str, input: Activation, inplace: bool = False) -> Activation:
    return mul(b, at, input, hardsigmoid(b, at, input))


def tanh(b: Builder, at: str, input: Activation) -> Activation:
    return b.elementwise("Tanh", at, input)


def sigmoid(b: Builder, at: str, input: Activation) -> Activation:
    return b.elementwise("Sigmoid", at, input)


def hardtanh(
    b: Builder, at: str, input: Activation, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Activation:
    return clamp(b, at, input, min_val, max_val)


def clamp(
    b: Builder, at: str, input: Activation, min: float | None = None, max: float | None = None
) -> Activation:
    limits = {}
    for name, limit in (("min", min), ("max", max)):
        if limit is not None and not isinstance(limit, (int, float)):
            raise Unsupported(f"a clamp whose {name} is not a number")
        if limit is not None and math.isfinite(limit):
            limits[name] = float(limit)
    return b.elementwise("Clip", at, input, **limits) if limits else input


def clamp_min(b: Builder, at: str, input: Activation, min: float) -> Activation:
    return clamp(b, at, input, min)


def clamp_max(b: Builder, at: str, input: Activation, max: float) -> Activation:
    return clamp(b, at, input, None, max)


def add(b: Builder, at: str, input: Any, other: Any, *, alpha: float = 1) -> Activation:
    if alpha != 1:
        other = _scaled(b, f"{at}.alpha", other, alpha)
    return _combine(b, "Add", at, input, other)


def sub(b: Builder, at: str, input: Any, other: Any, *, alpha: float = 1) -> Activation:
    return add(b, at, input, other, alpha=-alpha)


def mul(b: Builder, at: str, input: Any, other: Any) -> Activation:
    return _combine(b, "Mul", at, input, other)


def div(b: Builder, at: str, input: Activation, other: Any) -> Activation:
    if isinstance(other, Constant):
        return _combine(b, "Mul", at, input, b.constant(f"{at}.reciprocal", 1 / other.values))
    if not isinstance(other, (int, float)):
        raise Unsupported("a division by an activation")
    return _combine(b, "Mul", at, input, 1 / other)


def neg(b: Builder, at: str, input: Activation) -> Activation:
    return mul(b, at, input, -1.0)


def _scaled(b: Builder, at: str, value: Any, factor: float) -> Any:
    if isinstance(value, Activation):
        return mul(b, at, value, float(factor))
    if isinstance(value, Constant):
        return b.constant(at, value.values * factor)
    return value * factor


def _combine(b: Builder, op: str, at: str, left: Any, right: Any) -> Activation:
    """Both operators commute; the activation goes first."""
    if not isinstance(left, Activation):
        left, right = right, left
    if not isinstance(left, Activation):
        raise Unsupported(f"{op} without an activation")
    if isinstance(right, (int, float)):
        right = b.constant(f"{at}.constant", np.array([right], np.float32))
    if not isinstance(right, (Activation, Constant)):
        raise Unsupported(f"{op} of an activation and {right!r}")
    return b.combine(op, at, left, right)


# ---- shape -------------------------------------------------------------------------------------


def cat(b: Builder, at: str, tensors: Sequence[Activation], dim: int = 0) -> Activation:
    if not all(isinstance(t, Activation) for t in tensors):
        raise Unsupported("a concatenation with a tensor that is not an activation")
    return b.concat(at, tensors, dim)


def interpolate(
    b: Builder,
    at: str,
    input: Activation,
    size: Size | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Activation:
    if len(input.shape) != 3:
        raise Unsupported(f"an interpolation of {list(input.shape)}; want [C, H, W]")
    if mode == "bilinear" and not align_corners and size is not None:
        scales = [want / have for have, want in zip(input.shape[1:], pair(size))]
    elif size is not None:
        scales = [_scale(have, want) for have, want in zip(input.shape[1:], pair(size))]
    elif scale_factor is not None:
        scales = [float(s) for s in pair(scale_factor)]
        if recompute_scale_factor:
            scales = [_scale(have, math.floor(have * s)) for have, s in zip(input.shape[1:], scales)]
    else:
        raise Unsupported("an interpolation without size or scale_factor")
    if mode == "bilinear" and not align_corners:
        return bilinear(b, at, input, scales)
    # nearest-exact takes the nearest centre instead of the floor, which differs unless the scale is whole.
    if mode != "nearest" and not (mode == "nearest-exact" and all(s == int(s) for s in scales)):
        raise Unsupported(f"interpolation by {mode!r}; want nearest, or bilinear without align_corners")
    return b.resize(at, input, scales)


def _scale(have: int, want: int) -> float:
    """The scale by which a file's nearest resizing takes the rows that PyTorch takes for a size: those of
    in[floor(i * s)], s = have / want, both in float32."""
    rows = np.arange(want, dtype=np.float32)
    theirs = np.minimum(np.floor(rows * (np.float32(have) / np.float32(want))), have - 1)
    scale = nearest_scale(have, want, theirs, want / have)
    if scale is None:
        raise Unsupported(
            f"an interpolation of {have} rows or columns to {want}, of which PyTorch chooses some by "
            "rounding; give scale_factor"
        )
    return scale


def bilinear(b: Builder, at: str, input: Activation, scales: Sequence[float]) -> Activation:
    """Linear interpolation between centres, by whole factors: a repetition, a convolution of each channel
    with the weights that make a repetition linear, and a factor at the edges, where the image's own are
    repeated and a convolution reads zeros.

    With factor s, row s*i + r lies t = (r + 1/2)/s - 1/2 from centre i. Of a repetition, the rows m and more
    below it belong to centre i + 1 if r + m >= s, so that its weight max(0, t) is the kernel's sum from
    m = s - r on: max(0, 1/2 - (m - 1/2)/s).
    """
    if any(s != int(s) or s < 1 for s in scales):
        raise Unsupported(f"a linear interpolation by {list(scales)}; want whole numbers")
    channels, rows, cols = input.shape
    kernels, edges = [], []
    for extent, factor in zip((rows, cols), (int(s) for s in scales)):
        sums = np.maximum(0, 0.5 - (np.arange(1, factor // 2 + 2) - 0.5) / factor)
        half = sums[:-1] - sums[1:]
        kernel = np.concatenate([half[::-1], [1 - 2 * sums[0]], half])
        kernels.append(kernel)
        first = len(kernel) // 2
        edges.append(1 / np.convolve(np.ones(extent * factor), kernel)[first : first + extent * factor])
    weight = np.broadcast_to(np.outer(*kernels), (channels, 1, len(kernels[0]), len(kernels[1])))
    pads = [len(kernel) // 2 for kernel in kernels] * 2
    x = b.resize(at, input, scales)
    x = b.conv(at, x, b.constant(f"{at}.weight", weight.astype(np.float32)), None, pads=pads, group=channels)
    factor_at = np.outer(*edges)[None].astype(np.float32)
    return b.combine("Mul", at, x, b.constant(f"{at}.edges", factor_at))


def zero_pad(b: Builder, at: str, input: Activation, pads: Sequence[int]) -> Activation:
    """``pads`` are top, left, bottom, right: a convolution of each channel with 1."""
    if len(input.shape) != 3 or min(pads) < 0:
        raise Unsupported(f"a padding {list(pads)} of {list(input.shape)}; want [C, H, W], and none below 0")
    weight = b.constant(f"{at}.weight", np.ones((input.shape[0], 1, 1, 1), np.float32))
    return b.conv(at, input, weight, None, pads=pads, group=input.shape[0])


def depth_to_space(b: Builder, at: str, input: Activation, block: int, mode: str = "CRD") -> Activation:
    """Blocks of ``block`` by ``block`` pixels from as many channels, as a transposed convolution. The
    channel of output channel c is at c * block^2 + place ("CRD"), or at place * channels + c ("DCR")."""
    if len(input.shape) != 3 or block < 1 or input.shape[0] % block**2:
        raise Unsupported(f"{block} by {block} pixels from the channels of {list(input.shape)}")
    channels, places = input.shape[0] // block**2, block**2
    one = np.eye(places, dtype=np.float32).reshape(places, block, block)
    if mode == "CRD":
        weight, group = np.tile(one[:, None], (channels, 1, 1, 1)), channels
    else:
        weight = np.zeros((places, channels, channels, block, block), np.float32)
        weight[:, range(channels), range(channels)] = one[:, None]
        weight, group = weight.reshape(-1, channels, block, block), 1
    strides = (block, block)
    return b.conv_transpose(at, input, b.constant(f"{at}.weight", weight), None, strides, group=group)


def pixel_shuffle(b: Builder, at: str, input: Activation, upscale_factor: int) -> Activation:
    return depth_to_space(b, at, input, upscale_factor)


def reshape(b: Builder, at: str, input: Activation, *shape: Any) -> Activation:
    extents = list(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else list(shape)
    if not all(isinstance(s, (int, Batch)) for s in extents) or not extents:
        raise Unsupported(f"a view as {extents}")
    batch, rest = extents[0], extents[1:]
    keeps_batch = isinstance(batch, Batch) or (
        batch == -1 and -1 not in rest and math.prod(_whole(rest)) == math.prod(input.shape)
    )
    if not keeps_batch:
        raise Unsupported(f"a reshape of [batch, {_list(input.shape)}] to {extents}, which mixes samples")
    return b.reshape(at, input, _whole(rest))


def flatten(b: Builder, at: str, input: Activation, start_dim: int = 0, end_dim: int = -1) -> Activation:
    rank = len(input.shape) + 1
    start, end = start_dim % rank, end_dim % rank
    if start == 0:
        raise Unsupported("a flattening of the batch's axis; want start_dim 1 or more")
    axes = input.shape
    return b.reshape(at, input, (*axes[: start - 1], math.prod(axes[start - 1 : end]), *axes[end:]))


def unflatten(b: Builder, at: str, input: Activation, dim: int, sizes: Any) -> Activation:
    axis = dim % (len(input.shape) + 1)
    if axis == 0:
        raise Unsupported("an unflattening of the batch's axis")
    extents = [sizes] if isinstance(sizes, int) else list(sizes)
    if -1 in extents:
        known = math.prod(s for s in extents if s != -1)
        extents[extents.index(-1)] = input.shape[axis - 1] // max(known, 1)
    return b.reshape(at, input, (*input.shape[: axis - 1], *_whole(extents), *input.shape[axis:]))


def unsqueeze(b: Builder, at: str, input: Activation, dim: int) -> Activation:
    axis = dim % (len(input.shape) + 2)
    if axis == 0:
        raise Unsupported("a new axis before the batch's")
    return b.reshape(at, input, (*input.shape[: axis - 1], 1, *input.shape[axis - 1 :]))


def squeeze(b: Builder, at: str, input: Activation, dim: int | Sequence[int] | None = None) -> Activation:
    if dim is None:
        raise Unsupported("a squeeze of every axis, the batch's too; want squeeze(dim)")
    rank = len(input.shape) + 1
    dropped = {axis % rank for axis in ([dim] if isinstance(dim, int) else dim)} - {0}
    kept = [extent for axis, extent in enumerate(input.shape, 1) if axis not in dropped or extent != 1]
    return b.reshape(at, input, kept)


def getitem(b: Builder, at: str, input: Activation, index: Any) -> Activation:
    """Only what adds axes: ``z[:, :, None, None]``."""
    items = list(index) if isinstance(index, tuple) else [index]
    axes: list[Any] = []
    rest: list[Any] = [BATCH, *input.shape]
    for item in items:
        if item is None:
            axes.append(1)
        elif item == slice(None) and rest:
            axes.append(rest.pop(0))
        else:
            raise Unsupported(f"indexing with {index!r}")
    return reshape(b, at, input, *axes, *rest)


def permute(b: Builder, at: str, input: Activation, *dims: Any) -> Activation:
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    return b.transpose(at, input, [axis % (len(input.shape) + 1) for axis in order])


def transpose(b: Builder, at: str, input: Activation, dim0: int, dim1: int) -> Activation:
    order = list(range(len(input.shape) + 1))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return b.transpose(at, input, order)


def pad(
    b: Builder,
    at: str,
    input: Activation,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> Activation:
    """PyTorch's pads are left, right, top, bottom, the last axis first."""
    left, right, top, bottom = [*pad, 0, 0][:4] if len(pad) in (2, 4) else [-1] * 4
    if mode != "constant" or value:
        raise Unsupported(f"a padding by {mode!r} with {value}; want 'constant' with 0")
    return zero_pad(b, at, input, [top, left, bottom, right])


def identity(b: Builder, at: str, input: Activation, *_args: Any, **_kwargs: Any) -> Activation:
    return input


# ---- what makes no node ------------------------------------------------------------------------


def size(b: Builder, at: str, input: Activation, dim: int | None = None) -> Any:
    extents = (BATCH, *input.shape)
    return extents if dim is None else extents[dim]


def dim(b: Builder, at: str, input: Activation) -> int:
    return len(input.shape) + 1


def getattr_(b: Builder, at: str, input: Activation, name: str) -> Any:
    if name == "shape":
        return size(b, at, input)
    if name == "ndim":
        return dim(b, at, input)
    raise Unsupported(f"the attribute {name!r} of an activation")


def pair(value: Any) -> list[Any]:
    """PyTorch's one number for both axes, or one for each."""
    if isinstance(value, (tuple, list)):
        if len(value) not in (1, 2):
            raise Unsupported(f"{len(value)} numbers for two axes")
        return list(value) * (3 - len(value))
    return [value, value]


def apply(function: Callable[..., Any], b: Builder, at: str, args: Any, kwargs: Any) -> Any:
    """Calls a function of the table with a traced call's arguments."""
    try:
        inspect.signature(function).bind(b, at, *args, **kwargs)
    except TypeError as error:
        raise Unsupported(f"called with arguments that cannot be exported: {error}") from None
    return function(b, at, *args, **kwargs)


def _whole(extents: Sequence[Any]) -> list[int]:
    if not all(isinstance(e, int) for e in extents):
        raise Unsupported("a shape that has the batch's size behind its first axis")
    return [operator.index(e) for e in extents]


def _list(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "matmul": matmul,
    "mm": matmul,
    "addmm": addmm,
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "batch_norm": batch_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "prelu": prelu,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "silu": silu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "hardtanh": hardtanh,
    "clamp": clamp,
    "clip": clamp,
    "clamp_min": clamp_min,
    "clamp_max": clamp_max,
    "add": add,
    "iadd": add,
    "sub": sub,
    "isub": sub,
    "mul": mul,
    "multiply": mul,
    "imul": mul,
    "div": div,
    "truediv": div,
    "itruediv": div,
    "neg": neg,
    "cat": cat,
    "concat": cat,
    "interpolate": interpolate,
    "upsample": interpolate,
    "pixel_shuffle": pixel_shuffle,
    "pad": pad,
    "permute": permute,
    "transpose": transpose,
    "view": reshape,
    "reshape": reshape,
    "flatten": flatten,
    "unflatten": unflatten,
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "getitem": getitem,
    "contiguous": identity,
    "clone": identity,
    "detach": identity,
    "dropout": identity,
    "dropout2d": identity,
    "size": size,
    "dim": dim,
    "getattr": getattr_,
}
