"""Export: a decoder, and a fitted map with it, as a model file."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays
from ..errors import ExportError, InvalidArgumentError
from ..fitting import Fit
from ..model import load
from . import layer_list, safetensors
from .graph import Activation, Builder, Unknown
from .layer_list import LayerLike, Layers

if TYPE_CHECKING:
    import torch

__all__ = ["LayerLike", "Layers", "export"]

# How far the engine may be from PyTorch on the codes that an export is checked with, as a share of
# the output's range: room for the arithmetic, none for a wrong operator.
_TOLERANCE = {"float32": 1e-3, "float16": 5e-2}


def export(
    path: str | os.PathLike[str],
    decoder: torch.nn.Module | Mapping[str, Any],
    points: ArrayLike | None = None,
    fit: Fit | ArrayLike | None = None,
    *,
    layers: Layers | None = None,
    output_range: tuple[float, float] = (0.0, 1.0),
    input_shape: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    weights: Literal["float32", "float16"] = "float32",
    prefix: str = "decoder",
) -> None:
    """Writes a model file: a decoder, and a map if ``fit`` is given.

    The file is written beside ``path``, opened by the engine, for a module also compared with
    PyTorch on a few codes, and only then renamed: at ``path`` there is a file that works, or what
    was there before.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    decoder : torch.nn.Module or mapping
        A module that maps codes to images ``[n, C, H, W]``: a ``Sequential``, or anything that
        ``torch.fx`` traces, of convolutions, transposed convolutions, linear layers, batch and group
        normalisation, relu, leaky relu, silu, tanh, sigmoid, clamp, add, mul, cat, nearest
        upsampling and reshapes. It is exported as it works in evaluation mode. Or a state dict of
        arrays, with ``layers``; torch is not needed then.
    points : array_like ``[N, d]``, optional
        The points of the map, kept as float16 if they are that, else as float32. With a
        :class:`Fit` they may be left out; if given, they must be those that were fitted.
    fit : Fit or array_like ``[N]``, optional
        What :func:`fit` returned; or heights alone, with ``points``, for a map without mass centres
        (``mode="simplex"`` is not available then).
    layers : str or sequence, optional
        The layers of a state dict, as PyTorch prints a ``Sequential``: the text, or its lines, or
        tuples such as ``("Conv2d", {"in_channels": 8, "out_channels": 1, "kernel_size": 3})``.
    output_range : (float, float)
        The range of an image's values, which ``uint8`` images map to 0 .. 255.
    input_shape : sequence of int, optional
        Of a code as the decoder reads it, without the batch, such as ``(64, 1, 1)``. Default: told
        from the first layer.
    output_shape : sequence of int, optional
        ``(C, H, W)``, for a decoder whose last layer makes a vector.
    weights : {"float32", "float16"}
        What weights of two axes and more are kept as. Vectors stay float32.
    prefix : str
        What stands before the layers' keys in a state dict, ``"decoder"`` in
        ``decoder.0.weight``. A state dict without such keys is read without a prefix.

    Raises
    ------
    ExportError
        An operator that a model file does not have: the text lists all of them and where they are.
        A shape that does not fit, a state dict that lacks a tensor.
    FileError
        The file could not be written.

    Examples
    --------
    >>> brenier.export("mnist.safetensors", net.decoder, fit=brenier.fit(codes))   # doctest: +SKIP
    >>> brenier.export("mnist.safetensors", load_file("decoder.safetensors"),      # doctest: +SKIP
    ...                layers=["ConvTranspose2d(64, 1, kernel_size=(28, 28))", "Sigmoid()"])
    """
    low, high = (float(value) for value in output_range)
    if not (low < high and math.isfinite(high - low)):
        raise InvalidArgumentError(
            f"output_range: want two finite numbers, the lower first, got {output_range}"
        )
    if weights not in _TOLERANCE:
        raise InvalidArgumentError(f"weights: want float32 or float16, got {weights!r}")

    tensors, metadata = _map(points, fit)
    dimension = tensors["ot.points"].shape[1] if tensors else None
    graph, decoder_tensors, image = _decoder(decoder, layers, prefix, input_shape, output_shape, dimension)
    shape = tuple(graph["input"]["shape"])
    if dimension not in (None, math.prod(shape)):
        raise ExportError(f"points: {dimension} columns, but the decoder reads codes {list(shape)}")
    for name, values in decoder_tensors.items():
        tensors[name] = _kept(name, values, weights)
    metadata["graph"] = json.dumps(graph, separators=(",", ":"))
    metadata["output"] = json.dumps(
        {"range": [low, high], "channels": image[0], "height": image[1], "width": image[2]}
    )

    def check(written: str) -> None:
        with load(written, device="cpu") as model:
            if layers is None:
                _compare(
                    model.decode, decoder, math.prod(shape), shape, image, (high - low) * _TOLERANCE[weights]
                )

    safetensors.write(path, tensors, metadata, check)


def _map(
    points: ArrayLike | None, fit: Fit | ArrayLike | None
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors ``ot.*`` and the metadata that goes with them."""
    metadata = {"format": "brenier", "version": "1", "source": "gaussian"}
    if fit is None:
        if points is not None:
            raise InvalidArgumentError("points: a map needs heights too; pass fit=brenier.fit(points)")
        return {}, metadata
    if not isinstance(fit, Fit):
        if points is None:
            raise InvalidArgumentError("fit: heights alone need their points; pass points=[N, d]")
        y = _arrays.points(points)
        return {"ot.points": y, "ot.heights": _arrays.vector("fit", fit, len(y))}, metadata

    y = fit.points if points is None else _arrays.points(points)
    if points is not None and not np.array_equal(y.astype(np.float32), fit.points):
        raise InvalidArgumentError(
            "points: not those that were fitted; pass the same ones, float16 if they are to be kept so"
        )
    info = fit.model.info
    metadata["source"] = info.source
    for key in ("extension", "fit"):
        if key in info.metadata:
            metadata[key] = json.dumps(info.metadata[key])
    tensors = {"ot.points": y, "ot.heights": fit.heights, "ot.centroids": fit.centroids.astype(y.dtype)}
    if np.ptp(fit.masses) > 0:  # a file without them has all equal
        tensors["ot.masses"] = fit.masses
    return tensors, metadata


def _decoder(
    decoder: Any,
    layers: Layers | None,
    prefix: str,
    input_shape: Sequence[int] | None,
    output_shape: Sequence[int] | None,
    dimension: int | None,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]], tuple[int, ...]]:
    """The graph, its tensors, and the image's shape."""
    given = None if input_shape is None else tuple(int(extent) for extent in input_shape)
    output: Activation | Unknown
    if layers is not None:
        if not isinstance(decoder, Mapping):
            raise TypeError(f"decoder: want a state dict with layers, got {type(decoder).__name__}")
        parsed = layer_list.parse(layers)
        builder = Builder(_shape(given, layer_list.input_shape(parsed), dimension))
        output, faults = layer_list.build(parsed, _state(decoder, prefix), builder)
    else:
        torch_module = _torch_module(decoder)
        traced = torch_module.trace(decoder)
        builder = Builder(_shape(given, torch_module.input_shape(decoder, traced), dimension))
        output, faults = torch_module.build(decoder, traced, builder)
    if faults:
        raise ExportError(
            "the decoder cannot be exported:\n" + "\n".join(f"  {fault}" for fault in faults), tuple(faults)
        )
    if not isinstance(output, Activation):
        raise ExportError("the first layer does not tell what a code looks like; give input_shape=(C, H, W)")
    if output_shape is not None:
        output = builder.reshape("output_shape", output, [int(extent) for extent in output_shape])
    if len(output.shape) != 3:
        raise ExportError(f"the decoder makes {list(output.shape)}; want images [C, H, W]: give output_shape")
    if not builder.nodes:
        raise ExportError("the decoder has no operator")
    graph, tensors = builder.finish(output)
    return graph, tensors, output.shape


def _shape(
    given: tuple[int, ...] | None, told: tuple[int, ...] | None, dimension: int | None
) -> tuple[int, ...] | None:
    return given or told or ((dimension,) if dimension else None)


def _state(decoder: Mapping[str, Any], prefix: str) -> dict[str, NDArray[Any]]:
    """The state dict with its prefix taken off, as arrays."""
    dotted = f"{prefix}." if prefix else ""
    keys = [key for key in decoder if key.startswith(dotted)] or list(decoder)
    strip = len(dotted) if all(key.startswith(dotted) for key in keys) else 0
    return {key[strip:]: _as_array(decoder[key]) for key in keys}


def _as_array(value: Any) -> NDArray[Any]:
    torch = sys.modules.get("torch")  # a torch tensor cannot come from anywhere else
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:
            value = value.float()
    return np.asarray(value)


def _torch_module(decoder: Any) -> Any:
    if isinstance(decoder, Mapping):
        raise InvalidArgumentError("layers: a state dict needs its layer list; pass layers=str(module)")
    try:
        from . import torch_module
    except ImportError as error:
        raise ExportError(
            "torch is needed to export a module; install it, or pass a state dict and layers=str(module)"
        ) from error
    import torch

    if not isinstance(decoder, torch.nn.Module):
        raise TypeError(f"decoder: want a torch.nn.Module or a state dict, got {type(decoder).__name__}")
    return torch_module


def _kept(name: str, values: NDArray[Any], weights: str) -> NDArray[Any]:
    """A tensor as the file keeps it."""
    dtype = np.dtype(weights if values.ndim >= 2 else "float32")
    with np.errstate(over="ignore"):
        kept = np.ascontiguousarray(values, dtype)
    if not np.isfinite(kept).all():
        cause = "has values that are not finite" if not np.isfinite(values).all() else f"does not fit {dtype}"
        raise ExportError(f"{name}: {cause}")
    return kept


def _compare(
    decode: Any, module: Any, dimension: int, shape: tuple[int, ...], image: tuple[int, ...], tolerance: float
) -> None:
    """Holds the engine's images of a few codes against PyTorch's."""
    from . import torch_module

    z = np.random.default_rng(0).standard_normal((3, dimension), np.float32)
    want = torch_module.run(module, z, shape).reshape(len(z), *image)
    difference = float(np.abs(decode(z) - want).max())
    if not difference <= tolerance:
        raise ExportError(
            f"the exported decoder differs from the module by {difference:.3g}, more than {tolerance:.3g}; "
            "does its forward depend on anything but the code and the weights?"
        )
