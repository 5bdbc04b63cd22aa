"""Export: a decoder, with an encoder or without, and a fitted map with it, as a model file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays
from ..errors import ExportError, InvalidArgumentError
from ..fitting import Fit
from ..model import load
from . import network, safetensors
from .layer_list import LayerLike, Layers

if TYPE_CHECKING:
    import onnx
    import torch

__all__ = ["LayerLike", "Layers", "export"]

# A network as its author has it.
Source = Union[
    "torch.nn.Module",
    "torch.export.ExportedProgram",
    Mapping[str, Any],
    str,
    "os.PathLike[str]",
    bytes,
    "onnx.ModelProto",
]

# How far the engine may be from the network's own library on what an export is checked with, as a
# share of the output's range: room for the arithmetic, none for a wrong operator.
_TOLERANCE = {"float32": 1e-3, "float16": 5e-2}


def export(
    path: str | os.PathLike[str],
    decoder: Source,
    points: ArrayLike | None = None,
    fit: Fit | ArrayLike | None = None,
    *,
    layers: Layers | None = None,
    output_range: tuple[float, float] = (0.0, 1.0),
    input_shape: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    weights: Literal["float32", "float16"] = "float32",
    prefix: str = "decoder",
    encoder: Source | None = None,
    encoder_layers: Layers | None = None,
    encoder_prefix: str = "encoder",
    images: int = 2048,
) -> None:
    """Writes a model file: a decoder, an encoder if there is one, and a map if ``fit`` is given.

    The file is written beside ``path``, opened by the engine, for all but a state dict
    also compared on a few codes or images with PyTorch, or with ONNX Runtime (ONNX's reference
    evaluator without it), and only then renamed: at ``path`` there is a file that works, or what was
    there before.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    decoder : torch.nn.Module, torch.export.ExportedProgram, mapping, path, bytes or onnx.ModelProto
        A module that maps codes to images ``[n, C, H, W]``: a ``Sequential``, or anything that
        ``torch.fx`` traces or ``torch.export`` exports, of convolutions, transposed convolutions,
        linear layers, batch, group and instance normalisation, activations, clamp, add, mul, cat,
        upsampling, pixel shuffles and reshapes. It is exported as it works in evaluation mode. Or a
        program that ``torch.export`` made of one, or the path of its file, ``.pt2``. Or a state dict
        of arrays, with ``layers``; torch is not needed then. Or an ONNX model of operator set 9 or
        later (its path, its bytes, or an ``onnx.ModelProto``) with one input ``[n, ...]`` and one
        output; the onnx package is needed then. docs/export.md lists the operators.
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
    encoder : as ``decoder``, optional
        From images ``[n, C, H, W]`` in ``output_range``, of the decoder's size, to codes of the decoder's
        d values, of the same operators: what :meth:`Model.encode` does.
    encoder_layers, encoder_prefix
        As ``layers`` and ``prefix``, of the encoder. Both networks may be in one state dict.
    images : int
        With a map: keep the mean and the deviation of so many of the model's images in the file, which
        fields need (:meth:`Model.measure_images`). They are made now, on the CPU. 0: none.

    Raises
    ------
    ExportError
        An operator that a model file does not have: the text lists all of them and where they are.
        A shape that does not fit, a state dict that lacks a tensor.
    FileError
        The file could not be written.

    Examples
    --------
    >>> brenier.export("mnist.safetensors", net.decoder, fit=brenier.fit(codes),   # doctest: +SKIP
    ...                encoder=net.encoder)
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

    images = _arrays.count("images", images)
    tensors, metadata = _map(points, fit)
    dimension = tensors["ot.points"].shape[1] if tensors else None
    source = network.read("decoder", decoder, layers, prefix)
    graph, weight_tensors, image = network.decoder_graph(source, input_shape, output_shape, dimension)
    shape = tuple(graph["input"]["shape"])
    if dimension not in (None, math.prod(shape)):
        raise ExportError(f"points: {dimension} columns, but the decoder reads codes {list(shape)}")
    metadata["graph"] = json.dumps(graph, separators=(",", ":"))
    reader = None
    if encoder is not None:
        reader = network.read("encoder", encoder, encoder_layers, encoder_prefix)
        graph, more = network.encoder_graph(reader, image, math.prod(shape))
        weight_tensors.update(more)
        metadata["encoder"] = json.dumps(graph, separators=(",", ":"))
    elif encoder_layers is not None:
        raise InvalidArgumentError("encoder_layers: there is no encoder that they are of; pass encoder")
    for name, values in weight_tensors.items():
        tensors[name] = _kept(name, values, weights)
    metadata["output"] = json.dumps(
        {"range": [low, high], "channels": image[0], "height": image[1], "width": image[2]}
    )

    def check(written: str) -> None:
        random = np.random.default_rng(0)
        z = random.standard_normal((3, math.prod(shape)), np.float32)
        x = random.uniform(low, high, (3, *image)).astype(np.float32)
        with load(written, device="cpu") as model:
            network.compare(source, model.decode, z, shape, _share(source, weights), high - low)
            if reader is not None:
                network.compare(reader, model.encode, x, image, _share(reader, weights))
            if images and dimension:
                model.measure_images(images)
                model.save(written)

    safetensors.write(path, tensors, metadata, check)


def _share(source: network.Network, weights: str) -> float:
    return _TOLERANCE["float16" if source.half else weights]


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


def _kept(name: str, values: NDArray[Any], weights: str) -> NDArray[Any]:
    """A tensor as the file keeps it."""
    dtype = np.dtype(weights if values.ndim >= 2 else "float32")
    with np.errstate(over="ignore"):
        kept = np.ascontiguousarray(values, dtype)
    if not np.isfinite(kept).all():
        cause = "has values that are not finite" if not np.isfinite(values).all() else f"does not fit {dtype}"
        raise ExportError(f"{name}: {cause}")
    return kept
