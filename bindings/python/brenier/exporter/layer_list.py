"""A decoder from a state dict and the list of its layers, as PyTorch prints them."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError
from .functional import pair
from .graph import Activation, Builder, Constant, Unknown, Unsupported
from .layers import LAYERS, UNTOLD, code_shape, parameters

LayerLike = Union[str, tuple[Any, ...]]
Layers = Union[str, Sequence[LayerLike]]


@dataclass(frozen=True)
class Layer:
    """One layer: its place in the state dict, its class, and its constructor's arguments by name."""

    path: str
    kind: str
    arguments: Mapping[str, Any]


def parse(layers: Layers) -> list[Layer]:
    """The layers of a list, in order.

    Parameters
    ----------
    layers : str or sequence
        What ``str(module)`` prints of a ``Sequential``, nested ones included; or a line for each
        layer (empty lines and those from ``#`` are skipped); or a sequence of such lines and of
        tuples ``(name, keyword arguments)``. A line may start with the layer's key in the state
        dict, ``(3): ReLU()``; without it the key is its position.
    """
    parsed: list[Layer] = []
    prefix: list[str] = []
    position = [0]
    for entry in layers.splitlines() if isinstance(layers, str) else layers:
        if not isinstance(entry, str):
            key, kind, arguments = _tuple(entry, str(position[-1]))
            parsed.append(Layer(".".join([*prefix, key]), kind, arguments))
            position[-1] += 1
            continue
        for line in entry.splitlines():
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line == ")":
                if len(position) == 1:
                    raise ExportError(f"layers: a bracket closes in {entry!r} that was not opened")
                position.pop()
                prefix = prefix[: len(position) - 1]
                continue
            key, text = _key(line, str(position[-1]))
            if text == "Sequential(":
                # The outermost Sequential is the decoder itself, whose key is the prefix.
                outermost = len(position) == 1 and not parsed and text == line
                position[-1] += 1
                position.append(0)
                prefix.append("" if outermost else key)
                continue
            kind, arguments = _call(text)
            parsed.append(Layer(".".join(filter(None, [*prefix, key])), kind, arguments))
            position[-1] += 1
    if len(position) != 1:
        raise ExportError("layers: a Sequential( is not closed")
    if not parsed:
        raise ExportError("layers: the list is empty")
    return parsed


def input_shape(layers: Sequence[Layer]) -> tuple[int, ...] | None:
    """What the first layer that tells reads; None if none does."""
    for layer in layers:
        shape = code_shape(layer.kind, layer.arguments)
        if shape is not None or layer.kind in UNTOLD:
            return shape
    return None


def build(
    layers: Sequence[Layer], state: Mapping[str, NDArray[Any]], builder: Builder
) -> tuple[Activation | Unknown, list[str]]:
    """Adds every layer; the output, and what is not supported, each with its place."""
    faults: list[str] = []
    x = builder.input
    for layer in layers:
        try:
            if layer.kind not in LAYERS:
                raise Unsupported("a model file has no such operator")
            if isinstance(x, Activation):
                x = LAYERS[layer.kind](
                    builder, layer.path, x, _tensors(layer, state, builder), **layer.arguments
                )
        except Unsupported as error:
            faults.append(f"{layer.path} ({layer.kind}): {error}")
            x = Unknown()
    return x, faults


def _tensors(layer: Layer, state: Mapping[str, NDArray[Any]], builder: Builder) -> Any:
    def tensor(name: str) -> Constant:
        key = f"{layer.path}.{name}"
        if key not in state:
            near = sorted(k for k in state if k.startswith(f"{layer.path}."))
            raise ExportError(
                f"{key}: {layer.kind} needs it and the state dict has none; "
                f"it has {near or sorted(state)[:8]}"
            )
        values = np.asarray(state[key])
        _check_shape(key, layer, name, values)
        return builder.constant(key, values)

    return tensor


def _check_shape(key: str, layer: Layer, name: str, values: NDArray[Any]) -> None:
    """A list that names other sizes than the weights have is a wrong list."""
    a = layer.arguments
    groups = a.get("groups", 1)
    wanted: tuple[int, ...]
    if layer.kind == "Linear":
        wanted = (a["out_features"], a["in_features"]) if name == "weight" else (a["out_features"],)
    elif layer.kind in ("Conv2d", "ConvTranspose2d"):
        out, per_group = a["out_channels"], a["in_channels"] // groups
        if layer.kind == "ConvTranspose2d":
            out, per_group = a["in_channels"], a["out_channels"] // groups
        wanted = (out, per_group, *pair(a["kernel_size"])) if name == "weight" else (a["out_channels"],)
    else:
        wanted = (a.get("num_features", a.get("num_channels", a.get("num_parameters", 1))),)
    if values.shape != wanted:
        raise ExportError(
            f"{key}: the layer list says {list(wanted)}, the state dict has {list(values.shape)}"
        )


def _tuple(entry: Any, position: str) -> tuple[str, str, dict[str, Any]]:
    if not isinstance(entry, tuple) or not entry or not isinstance(entry[0], str) or len(entry) > 2:
        raise ExportError(f"layers: want a line such as 'ReLU()' or (name, arguments), got {entry!r}")
    key, kind = _key(entry[0], position)
    arguments = entry[1] if len(entry) == 2 else {}
    if not isinstance(arguments, Mapping):
        raise ExportError(f"layers: {kind}: want the arguments as a dict, got {arguments!r}")
    return key, kind, dict(arguments)


def _key(line: str, position: str) -> tuple[str, str]:
    found = re.match(r"\(([\w.]+)\):\s*(.*)$", line)
    return (found[1], found[2]) if found else (position, line)


def _call(text: str) -> tuple[str, dict[str, Any]]:
    """``Conv2d(3, 8, kernel_size=(3, 3), padding=same)`` as a name and named arguments."""
    try:
        call: ast.expr | None = ast.parse(text if text.endswith(")") else f"{text}()", mode="eval").body
    except SyntaxError:
        call = None
    if not isinstance(call, ast.Call):
        raise ExportError(f"layers: want a layer as PyTorch prints it, such as ReLU(), got {text!r}")
    kind = ast.unparse(call.func).rpartition(".")[2]
    if kind not in LAYERS:
        return kind, {}
    names = parameters(kind)
    if kind == "Identity":
        return kind, {}
    if len(call.args) > len(names) or any(k.arg not in names for k in call.keywords):
        raise ExportError(f"layers: {text!r}: the arguments of {kind} are {', '.join(names)}")
    arguments = {name: _value(argument) for name, argument in zip(names, call.args)}
    arguments.update({str(k.arg): _value(k.value) for k in call.keywords})
    return kind, arguments


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return node.id  # PyTorch prints padding=same without quotes
    if isinstance(node, ast.Call) and len(node.args) == 1:
        return _value(node.args[0])  # torch.Size([8, 7, 7])
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ExportError(f"layers: want a number, a tuple or a word, got {ast.unparse(node)!r}") from None
