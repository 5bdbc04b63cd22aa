"""A network as its author has it, and the graph of a model file that does the same."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError, InvalidArgumentError
from . import layer_list
from .graph import Activation, Builder, Shape, Unknown
from .layer_list import Layers


@dataclass(frozen=True)
class Network:
    """What the exporter asks of a network, whatever it was made with.

    Attributes
    ----------
    name : str
        What its tensors begin with in the file, and errors call it: ``decoder``, ``encoder``.
    input_shape : tuple of int or None
        Of what it reads, the batch left out; None where it does not tell.
    build : callable
        Adds every operator to a builder; gives the output, and what is not supported, each with its
        place.
    run : callable or None
        What its own library makes of rows ``[n, size]`` float32, given to it as ``[n, *shape]``; None for
        a state dict, which nothing can run.
    peer : str
        What errors call that.
    half : bool
        Whether it computes in half precision there.
    """

    name: str
    input_shape: Shape | None
    build: Callable[[Builder], tuple[Activation | Unknown, list[str]]]
    run: Callable[[NDArray[np.float32], Shape], NDArray[Any]] | None = None
    peer: str = ""
    half: bool = False


def read(name: str, source: Any, layers: Layers | None, prefix: str) -> Network:
    """The network ``name``, from what :func:`brenier.export` takes: a torch module, an exported program, an
    ONNX model, or a state dict with its layers."""
    if layers is not None:
        return _state_dict(name, source, layers, prefix)
    if isinstance(source, Mapping):
        raise InvalidArgumentError("layers: a state dict needs its layer list; pass layers=str(module)")
    if isinstance(source, (str, os.PathLike)) and os.fspath(source).lower().endswith(".pt2"):
        return _torch(name, source)
    onnx = sys.modules.get("onnx")  # a ModelProto cannot come from anywhere else
    if isinstance(source, (str, os.PathLike, bytes)) or (
        onnx is not None and isinstance(source, onnx.ModelProto)
    ):
        return _onnx(name, source)
    return _torch(name, source)


def decoder_graph(
    network: Network,
    input_shape: Sequence[int] | None,
    output_shape: Sequence[int] | None,
    dimension: int | None,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]], Shape]:
    """A decoder's graph as the file writes it, its tensors, and its images' shape.

    Parameters
    ----------
    network : Network
    input_shape, output_shape : sequence of int, optional
        As in :func:`brenier.export`.
    dimension : int, optional
        Of the points, where there are any.
    """
    given = None if input_shape is None else tuple(int(extent) for extent in input_shape)
    told = network.input_shape or ((dimension,) if dimension else None)
    builder = Builder(given or told, network.name)
    output = _build(network, builder)
    if not isinstance(output, Activation):
        raise ExportError("the first layer does not tell what a code looks like; give input_shape=(C, H, W)")
    if output_shape is not None:
        output = builder.reshape("output_shape", output, [int(extent) for extent in output_shape])
    if len(output.shape) != 3:
        raise ExportError(
            f"the {network.name} makes {list(output.shape)}; want images [C, H, W]: give output_shape"
        )
    if not builder.nodes:
        raise ExportError(f"the {network.name} has no operator")
    made, tensors = builder.finish(output)
    return made, tensors, output.shape


def encoder_graph(
    network: Network, image: Shape, dimension: int
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The graph and the tensors of an encoder of images ``[*image]`` to codes of so many values."""
    builder = Builder(image, network.name, "x")
    output = _build(network, builder)
    if not isinstance(output, Activation) or not builder.nodes:
        raise ExportError(f"the {network.name} has no operator")
    if math.prod(output.shape) != dimension:
        raise ExportError(
            f"the {network.name} makes {list(output.shape)} of images {list(image)}; "
            f"want codes of {dimension} values, as the decoder reads"
        )
    return builder.finish(output)


def _build(network: Network, builder: Builder) -> Activation | Unknown:
    output, faults = network.build(builder)
    if faults:
        raise ExportError(
            f"the {network.name} cannot be exported:\n" + "\n".join(f"  {fault}" for fault in faults),
            tuple(faults),
        )
    return output


def compare(
    network: Network,
    run: Callable[[NDArray[np.float32]], Any],
    x: NDArray[np.float32],
    shape: Shape,
    share: float,
    width: float | None = None,
) -> None:
    """Holds what the engine's ``run`` makes of x ``[n, ...]`` against what the network's own library makes
    of it, given as ``[n, *shape]``. They may differ by a share of the width of what it makes; None:
    that of what it makes here."""
    if network.run is None:
        return
    want = network.run(x.reshape(len(x), -1), shape).reshape(len(x), -1)
    tolerance = share * (float(max(np.ptp(want), np.abs(want).max())) if width is None else width)
    difference = float(np.abs(run(x).reshape(want.shape) - want).max())
    if not difference <= tolerance:
        raise ExportError(
            f"the exported {network.name} differs from {network.peer} by {difference:.3g}, more than "
            f"{tolerance:.3g}; does it depend on anything but its input and the weights?"
        )


def _state_dict(name: str, source: Any, layers: Layers, prefix: str) -> Network:
    if not isinstance(source, Mapping):
        raise TypeError(f"{name}: want a state dict with layers, got {type(source).__name__}")
    parsed = layer_list.parse(layers)
    state = _state(source, prefix)
    return Network(name, layer_list.input_shape(parsed), lambda b: layer_list.build(parsed, state, b))


def _state(source: Mapping[str, Any], prefix: str) -> dict[str, NDArray[Any]]:
    """The state dict with its prefix taken off, as arrays."""
    dotted = f"{prefix}." if prefix else ""
    keys = [key for key in source if key.startswith(dotted)] or list(source)
    strip = len(dotted) if all(key.startswith(dotted) for key in keys) else 0
    return {key[strip:]: _as_array(source[key]) for key in keys}


def _as_array(value: Any) -> NDArray[Any]:
    torch = sys.modules.get("torch")  # a torch tensor cannot come from anywhere else
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:
            value = value.float()
    return np.asarray(value)


def _onnx(name: str, source: Any) -> Network:
    try:
        from . import onnx_model
    except ImportError as error:
        raise ExportError(
            "the onnx package is needed to read an ONNX model; install it, with onnxruntime if you can"
        ) from error

    model = onnx_model.read(source)
    return Network(
        name,
        model.input.shape,
        lambda b: onnx_model.build(model, b),
        lambda z, shape: onnx_model.run(model, z, shape),
        "the ONNX model",
        model.half,
    )


def _torch(name: str, source: Any) -> Network:
    try:
        from . import exported_program, torch_module
    except ImportError as error:
        raise ExportError(
            "torch is needed to export a module; install it, or pass a state dict and layers=str(module), "
            "or an ONNX model"
        ) from error
    import torch

    if isinstance(source, torch.nn.Module):
        traced = torch_module.trace(source)
        return Network(
            name,
            torch_module.input_shape(source, traced),
            lambda b: exported_program.build_module(source, traced, b),
            lambda z, shape: torch_module.run(source, z, shape),
            "the module",
        )
    if isinstance(source, (str, os.PathLike)):
        source = exported_program.load(source)
    elif not exported_program.is_one(source):
        raise TypeError(
            f"{name}: want a torch.nn.Module, a torch.export.ExportedProgram, an ONNX model or a state dict, "
            f"got {type(source).__name__}"
        )
    program = exported_program.read(source)
    return Network(
        name,
        program.input.shape,
        lambda b: exported_program.build(program, b),
        lambda z, shape: exported_program.run(program, z, shape),
        "the program",
        program.dtype in (torch.float16, torch.bfloat16),
    )
