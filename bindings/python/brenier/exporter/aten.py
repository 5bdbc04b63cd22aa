"""ATen's operators, of which ``torch.export`` makes its graphs, by their names.

Most have the name and the arguments of the function of PyTorch that calls them, and :mod:`.functional`
has them. Here are those that differ. What ATen answers with several tensors is a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import functional as f
from .graph import Activation, Builder, Constant, Unsupported

# ---- linear operators --------------------------------------------------------------------------


def convolution(
    b: Builder,
    at: str,
    input: Activation,
    weight: Constant,
    bias: Constant | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Activation:
    if transposed:
        return f.conv_transpose2d(
            b, at, input, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return f.conv2d(b, at, input, weight, bias, stride, padding, dilation, groups)


# ---- normalisation -----------------------------------------------------------------------------


def native_batch_norm(
    b: Builder,
    at: str,
    input: Activation,
    weight: Constant | None,
    bias: Constant | None,
    running_mean: Constant | None,
    running_var: Constant | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Activation, None, None]:
    y = f.batch_norm(b, at, input, running_mean, running_var, weight, bias, training, momentum, eps)
    return y, None, None


def native_batch_norm_no_training(
    b: Builder,
    at: str,
    input: Activation,
    weight: Constant | None,
    bias: Constant | None,
    running_mean: Constant,
    running_var: Constant,
    momentum: float,
    eps: float,
) -> tuple[Activation, None, None]:
    return native_batch_norm(b, at, input, weight, bias, running_mean, running_var, False, momentum, eps)


def batch_norm(
    b: Builder,
    at: str,
    input: Activation,
    weight: Constant | None,
    bias: Constant | None,
    running_mean: Constant | None,
    running_var: Constant | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Activation:
    return f.batch_norm(b, at, input, running_mean, running_var, weight, bias, training, momentum, eps)


def group_norm(
    b: Builder,
    at: str,
    input: Activation,
    num_groups: int,
    weight: Constant | None = None,
    bias: Constant | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Activation:
    return f.group_norm(b, at, input, num_groups, weight, bias, eps)


def native_group_norm(
    b: Builder,
    at: str,
    input: Activation,
    weight: Constant | None,
    bias: Constant | None,
    batch: Any,
    channels: int,
    pixels: int,
    groups: int,
    eps: float,
) -> tuple[Activation, None, None]:
    return f.group_norm(b, at, input, groups, weight, bias, eps), None, None


def instance_norm(
    b: Builder,
    at: str,
    input: Activation,
    weight: Constant | None,
    bias: Constant | None,
    running_mean: Constant | None,
    running_var: Constant | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Activation:
    return f.instance_norm(
        b, at, input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


# ---- element by element ------------------------------------------------------------------------


def rsub(b: Builder, at: str, input: Activation, other: Any, alpha: float = 1) -> Activation:
    return f.sub(b, at, other, input, alpha=alpha)


def dropout(b: Builder, at: str, input: Activation, p: float, train: bool) -> Activation:
    if train:
        raise Unsupported("in training mode; call eval() before torch.export")
    return input


def cast(b: Builder, at: str, input: Activation, *args: Any, **kwargs: Any) -> Activation:
    """The engine has precisions of its own; among floating-point types nothing else changes."""
    if not all(getattr(value, "is_floating_point", True) for value in (*args, *kwargs.values())):
        raise Unsupported("a cast of an activation to whole numbers")
    return input


# ---- shape -------------------------------------------------------------------------------------


def slice_(
    b: Builder,
    at: str,
    input: Activation,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Activation:
    """Only of all: PyTorch code slices so where it adds axes."""
    if start or step != 1 or (end is not None and end < (2**62, *input.shape)[dim]):
        raise Unsupported(f"a slice {start}:{end}:{step} of axis {dim}")
    return input


def expand(b: Builder, at: str, input: Activation, size: Sequence[Any], implicit: bool = False) -> Activation:
    wanted = list(size)[-len(input.shape) :]
    if len(size) != len(input.shape) + 1 or any(
        want not in (-1, have) for want, have in zip(wanted, input.shape)
    ):
        raise Unsupported(f"a repetition of {list(input.shape)} to {list(size)}")
    return input


# ---- resizing ----------------------------------------------------------------------------------


def upsample_nearest2d(
    b: Builder, at: str, input: Activation, output_size: Sequence[int] | None, *scales: Any
) -> Activation:
    return _upsample(b, at, input, output_size, scales, "nearest")


def upsample_nearest_exact2d(
    b: Builder, at: str, input: Activation, output_size: Sequence[int] | None, *scales: Any
) -> Activation:
    return _upsample(b, at, input, output_size, scales, "nearest-exact")


def upsample_bilinear2d(
    b: Builder,
    at: str,
    input: Activation,
    output_size: Sequence[int] | None,
    align_corners: bool,
    *scales: Any,
) -> Activation:
    return _upsample(b, at, input, output_size, scales, "bilinear", align_corners)


def _upsample(
    b: Builder,
    at: str,
    input: Activation,
    size: Sequence[int] | None,
    scales: Sequence[Any],
    mode: str,
    align_corners: bool | None = None,
) -> Activation:
    """The overload "vec" has a list of both scales, or none; "default" has them one by one."""
    factors = scales[0] if len(scales) == 1 else scales
    if not factors or None in factors:
        return f.interpolate(b, at, input, size, None, mode, align_corners)
    return f.interpolate(b, at, input, None, factors, mode, align_corners)


def constant_pad(b: Builder, at: str, input: Activation, pad: Sequence[int], value: float = 0) -> Activation:
    return f.pad(b, at, input, pad, "constant", value)


ATEN: dict[str, Callable[..., Any]] = {
    **f.FUNCTIONS,
    "convolution": convolution,
    "batch_norm": batch_norm,
    "native_batch_norm": native_batch_norm,
    "_native_batch_norm_legit_no_training": native_batch_norm_no_training,
    "group_norm": group_norm,
    "native_group_norm": native_group_norm,
    "instance_norm": instance_norm,
    "rsub": rsub,
    "dropout": dropout,
    "feature_dropout": dropout,
    "to": cast,
    "_to_copy": cast,
    "alias": f.identity,
    "_unsafe_view": f.reshape,
    "slice": slice_,
    "expand": expand,
    "upsample_nearest2d": upsample_nearest2d,
    "_upsample_nearest_exact2d": upsample_nearest_exact2d,
    "upsample_bilinear2d": upsample_bilinear2d,
    "constant_pad_nd": constant_pad,
    "sym_size": f.size,
}
