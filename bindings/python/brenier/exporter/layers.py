"""PyTorch's layers, by the names and arguments of their constructors, as nodes of a graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from . import functional as f
from .functional import Size
from .graph import Activation, Builder, Constant, Unsupported

Tensors = Callable[[str], Constant]
"""A layer's own tensors: ``tensors("weight")``."""


def Linear(
    b: Builder,
    at: str,
    x: Activation,
    tensors: Tensors,
    in_features: int,
    out_features: int,
    bias: bool = True,
) -> Activation:
    return f.linear(b, at, x, tensors("weight"), tensors("bias") if bias else None)


def Conv2d(
    b: Builder,
    at: str,
    x: Activation,
    tensors: Tensors,
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    bias: bool = True,
    padding_mode: str = "zeros",
) -> Activation:
    _zeros(padding_mode)
    weight, offset = tensors("weight"), tensors("bias") if bias else None
    return f.conv2d(b, at, x, weight, offset, stride, padding, dilation, groups)


def ConvTranspose2d(
    b: Builder,
    at: str,
    x: Activation,
    tensors: Tensors,
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    bias: bool = True,
    dilation: Size = 1,
    padding_mode: str = "zeros",
) -> Activation:
    _zeros(padding_mode)
    weight, offset = tensors("weight"), tensors("bias") if bias else None
    return f.conv_transpose2d(b, at, x, weight, offset, stride, padding, output_padding, groups, dilation)


def BatchNorm(
    b: Builder,
    at: str,
    x: Activation,
    tensors: Tensors,
    num_features: int,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    affine: bool = True,
    track_running_stats: bool = True,
    bias: bool = True,
) -> Activation:
    mean, variance = (
        (tensors("running_mean"), tensors("running_var")) if track_running_stats else (None, None)
    )
    weight, offset = _affine(tensors, affine, bias)
    return f.batch_norm(b, at, x, mean, variance, weight, offset, eps=eps)


def GroupNorm(
    b: Builder,
    at: str,
    x: Activation,
    tensors: Tensors,
    num_groups: int,
    num_channels: int,
    eps: float = 1e-5,
    affine: bool = True,
    bias: bool = True,
) -> Activation:
    weight, offset = _affine(tensors, affine, bias)
    return f.group_norm(b, at, x, num_groups, weight, offset, eps)


def InstanceNorm2d(
    b: Builder,
    at: str,
    x: Activation,
    tensors: Tensors,
    num_features: int,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    affine: bool = False,
    track_running_stats: bool = False,
    bias: bool = True,
) -> Activation:
    weight, offset = _affine(tensors, affine, bias)
    if track_running_stats:
        return f.batch_norm(
            b, at, x, tensors("running_mean"), tensors("running_var"), weight, offset, eps=eps
        )
    return f.instance_norm(b, at, x, weight=weight, bias=offset, eps=eps)


def ReLU(b: Builder, at: str, x: Activation, tensors: Tensors, inplace: bool = False) -> Activation:
    return f.relu(b, at, x)


def ReLU6(b: Builder, at: str, x: Activation, tensors: Tensors, inplace: bool = False) -> Activation:
    return f.relu6(b, at, x)


def LeakyReLU(
    b: Builder, at: str, x: Activation, tensors: Tensors, negative_slope: float = 0.01, inplace: bool = False
) -> Activation:
    return f.leaky_relu(b, at, x, negative_slope)


def PReLU(
    b: Builder, at: str, x: Activation, tensors: Tensors, num_parameters: int = 1, init: float = 0.25
) -> Activation:
    return f.prelu(b, at, x, tensors("weight"))


def Hardsigmoid(b: Builder, at: str, x: Activation, tensors: Tensors, inplace: bool = False) -> Activation:
    return f.hardsigmoid(b, at, x)


def Hardswish(b: Builder, at: str, x: Activation, tensors: Tensors, inplace: bool = False) -> Activation:
    return f.hardswish(b, at, x)


def SiLU(b: Builder, at: str, x: Activation, tensors: Tensors, inplace: bool = False) -> Activation:
    return f.silu(b, at, x)


def Tanh(b: Builder, at: str, x: Activation, tensors: Tensors) -> Activation:
    return f.tanh(b, at, x)


def Sigmoid(b: Builder, at: str, x: Activation, tensors: Tensors) -> Activation:
    return f.sigmoid(b, at, x)


def Hardtanh(
    b: Builder,
    at: str,
    x: Activation,
    tensors: Tensors,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Activation:
    return f.hardtanh(b, at, x, min_val, max_val)


def Upsample(
    b: Builder,
    at: str,
    x: Activation,
    tensors: Tensors,
    size: Size | None = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Activation:
    return f.interpolate(b, at, x, size, scale_factor, mode, align_corners, recompute_scale_factor)


def PixelShuffle(b: Builder, at: str, x: Activation, tensors: Tensors, upscale_factor: int) -> Activation:
    return f.pixel_shuffle(b, at, x, upscale_factor)


def ZeroPad2d(
    b: Builder, at: str, x: Activation, tensors: Tensors, padding: Any, value: float = 0.0
) -> Activation:
    """``padding`` is left, right, top, bottom, or one number for all."""
    return f.pad(b, at, x, [padding] * 4 if isinstance(padding, int) else padding, value=value)


def Flatten(
    b: Builder, at: str, x: Activation, tensors: Tensors, start_dim: int = 1, end_dim: int = -1
) -> Activation:
    return f.flatten(b, at, x, start_dim, end_dim)


def Unflatten(
    b: Builder, at: str, x: Activation, tensors: Tensors, dim: int, unflattened_size: Any
) -> Activation:
    return f.unflatten(b, at, x, dim, unflattened_size)


def Identity(b: Builder, at: str, x: Activation, tensors: Tensors, *_args: Any, **_kwargs: Any) -> Activation:
    return x


def Dropout(
    b: Builder, at: str, x: Activation, tensors: Tensors, p: float = 0.5, inplace: bool = False
) -> Activation:
    return x


def _affine(tensors: Tensors, affine: bool, bias: bool) -> tuple[Constant | None, Constant | None]:
    """A normalisation's own scale and bias; PyTorch prints bias=False beside affine=False."""
    return tensors("weight") if affine else None, tensors("bias") if affine and bias else None


def _zeros(padding_mode: str) -> None:
    if padding_mode != "zeros":
        raise Unsupported(f"padding_mode {padding_mode!r}; want 'zeros'")


LAYERS: dict[str, Callable[..., Activation]] = {
    "Linear": Linear,
    "Conv2d": Conv2d,
    "ConvTranspose2d": ConvTranspose2d,
    "BatchNorm1d": BatchNorm,
    "BatchNorm2d": BatchNorm,
    "SyncBatchNorm": BatchNorm,
    "InstanceNorm2d": InstanceNorm2d,
    "GroupNorm": GroupNorm,
    "ReLU": ReLU,
    "ReLU6": ReLU6,
    "LeakyReLU": LeakyReLU,
    "PReLU": PReLU,
    "SiLU": SiLU,
    "Hardsigmoid": Hardsigmoid,
    "Hardswish": Hardswish,
    "Tanh": Tanh,
    "Sigmoid": Sigmoid,
    "Hardtanh": Hardtanh,
    "Upsample": Upsample,
    "UpsamplingNearest2d": Upsample,
    "PixelShuffle": PixelShuffle,
    "ZeroPad2d": ZeroPad2d,
    "Flatten": Flatten,
    "Unflatten": Unflatten,
    "Identity": Identity,
    "Dropout": Dropout,
    "Dropout2d": Dropout,
}


# Layers that read images and leave their rows and columns open: what comes after them does not tell either.
UNTOLD = (
    "Conv2d",
    "Upsample",
    "UpsamplingNearest2d",
    "GroupNorm",
    "InstanceNorm2d",
    "PixelShuffle",
    "ZeroPad2d",
)


def parameters(kind: str) -> list[str]:
    """The constructor's named arguments, in order."""
    return [
        p.name
        for p in list(inspect.signature(LAYERS[kind]).parameters.values())[4:]
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]


def code_shape(kind: str, arguments: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of what a decoder reads, told from its first layer that has weights or a shape; None
    if that layer does not tell."""
    if kind == "Linear":
        return (arguments["in_features"],)
    if kind == "ConvTranspose2d":
        return (arguments["in_channels"], 1, 1)
    if kind in ("BatchNorm1d", "BatchNorm2d"):
        return (arguments["num_features"],) + (1, 1) * (kind == "BatchNorm2d")
    return None
