"""A network from a ``torch.nn.Module``, by way of ``torch.fx``."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.fx
from numpy.typing import NDArray
from torch.utils._pytree import tree_flatten

from ..errors import ExportError
from .functional import FUNCTIONS, Batch, apply
from .graph import Activation, Builder, Constant, Unknown, Unsupported
from .layers import LAYERS, UNTOLD, code_shape, parameters

_TORCH = os.path.dirname(torch.__file__)
# The frame of a stack trace where the operator was called: up to PyTorch 1.13 they stand from the inside out.
_INNERMOST = 0 if torch.__version__.startswith("1.") else -1
_IGNORED_METHODS = {"float", "to", "cpu", "cuda", "half", "double"}


@dataclass(frozen=True)
class Traced:
    """A module's operators in order, as it runs in evaluation mode; or why torch.fx cannot trace it."""

    graph: torch.fx.Graph | None
    failure: str = ""


def trace(module: torch.nn.Module) -> Traced:
    tracer = torch.fx.Tracer()
    tracer.record_stack_traces = True
    with evaluating(module):
        try:
            return Traced(tracer.trace(module))
        except Exception as error:
            return Traced(None, str(error))


def input_shape(module: torch.nn.Module, traced: Traced) -> tuple[int, ...] | None:
    """What the first layer that tells reads; None if none does. Where the order of the layers is not known,
    it is that in which the module has them."""
    if traced.graph is None:
        layers = [layer for layer in module.modules() if not list(layer.children()) and layer is not module]
    else:
        called = (str(node.target) for node in traced.graph.nodes if node.op == "call_module")
        layers = [module.get_submodule(path) for path in called]
    for layer in layers:
        kind = _kind(layer)
        shape = code_shape(kind, _arguments(kind, layer)) if kind else None
        if shape is not None or kind in (*UNTOLD, None):
            return shape
    return None


def build(
    module: torch.nn.Module, graph: torch.fx.Graph, builder: Builder
) -> tuple[Activation | Unknown, list[str]]:
    """Adds every operator; the output, and what is not supported, each with its place."""
    interpreter = _Interpreter(module, builder)
    output = interpreter.run(graph)
    if not isinstance(output, (Activation, Unknown)):
        raise ExportError(f"the {builder.network} returns {type(output).__name__}; want one tensor")
    return output, interpreter.faults


def run(module: torch.nn.Module, z: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What PyTorch makes of rows ``z [n, d]``, given to the module as ``[n, *shape]``."""
    module = single(module)
    like = next(module.parameters(), torch.zeros(()))
    with evaluating(module), torch.no_grad():
        return tensor_of(
            module(torch.from_numpy(z.reshape(len(z), *shape)).to(device=like.device, dtype=like.dtype))
        )


def single(module: torch.nn.Module) -> torch.nn.Module:
    """The module; in single precision if it is in half, for which the CPU lacks half of the operators."""
    like = next(module.parameters(), torch.zeros(()))
    return copy.deepcopy(module).float() if like.dtype in (torch.float16, torch.bfloat16) else module


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every submodule gets its own mode back."""
    training = [m for m in module.modules() if m.training]
    module.eval()
    try:
        yield
    finally:
        for m in training:
            m.training = True


class _Interpreter:
    """Walks the traced graph; a value is an activation, a constant, or plain Python."""

    def __init__(self, module: torch.nn.Module, builder: Builder) -> None:
        self._module = module
        self._builder = builder
        self._values: dict[torch.fx.Node, Any] = {}
        self.faults: list[str] = []

    def run(self, graph: torch.fx.Graph) -> Any:
        output = None
        for node in graph.nodes:
            args = torch.fx.node.map_arg(node.args, self._values.__getitem__)
            kwargs = torch.fx.node.map_arg(node.kwargs, self._values.__getitem__)
            if node.op == "output":
                output = args[0]
                continue
            value: Any = Unknown()
            try:
                if not any(isinstance(v, Unknown) for v in flat([args, kwargs])):
                    value = self._value(node, args, kwargs)
                elif not self._exists(node):
                    raise Unsupported("a model file has no such operator")
            except Unsupported as error:
                self.faults.append(f"{self._where(node)}: {error}")
            self._values[node] = value
            if _works_in_place(self._module, node):
                # Whoever reads the input from here on sees what was written to it.
                self._values[node.args[0]] = value
        return output

    def _value(self, node: torch.fx.Node, args: Any, kwargs: Any) -> Any:
        if node.op == "placeholder":
            return self._placeholder(node, args)
        if node.op == "get_attr":
            return self._attribute(str(node.target))
        if node.op == "call_module":
            return self._layer(str(node.target), args, kwargs)
        if not any(isinstance(v, (Activation, Constant)) for v in flat([args, kwargs])):
            return self._plain(node, args, kwargs)
        name = _name(node)
        if node.op == "call_method" and name in _IGNORED_METHODS:
            return args[0]
        function = FUNCTIONS.get(name.rstrip("_"))
        if function is None:
            raise Unsupported("a model file has no such operator")
        return apply(function, self._builder, node.name, args, kwargs)

    def _exists(self, node: torch.fx.Node) -> bool:
        """Whether there is such an operator, of whatever arguments."""
        if node.op == "call_module":
            return _kind(self._module.get_submodule(str(node.target))) is not None
        if node.op == "call_function" and getattr(node.target, "__module__", "") in (
            "_operator",
            "builtins",
            "math",
        ):
            return True  # may be arithmetic on sizes
        return not node.op.startswith("call") or _name(node).rstrip("_") in {*FUNCTIONS, *_IGNORED_METHODS}

    def _placeholder(self, node: torch.fx.Node, default: Any) -> Any:
        if not self._values:
            return self._builder.input
        if default:
            return default[0]
        raise ExportError(f"the {self._builder.network} takes a second input, {node.name!r}; want one")

    def _attribute(self, target: str) -> Any:
        value: Any = self._module
        for name in target.split("."):
            value = getattr(value, name)
        return self._builder.constant(target, to_array(value)) if isinstance(value, torch.Tensor) else value

    def _layer(self, path: str, args: Any, kwargs: Any) -> Any:
        layer = self._module.get_submodule(path)
        kind = _kind(layer)
        if kind is None:
            raise Unsupported("a model file has no such operator")
        if kwargs or len(args) != 1 or not isinstance(args[0], Activation):
            raise Unsupported("called with more than one activation")

        def tensor(name: str) -> Constant:
            value = getattr(layer, name)
            if value is None:
                raise Unsupported(f"without {name}")
            return self._builder.constant(f"{path}.{name}", to_array(value))

        return LAYERS[kind](self._builder, path, args[0], tensor, **_arguments(kind, layer))

    def _plain(self, node: torch.fx.Node, args: Any, kwargs: Any) -> Any:
        """Arithmetic on sizes, without an activation."""
        if node.op != "call_function" or not callable(node.target):
            raise Unsupported("a method of something that is not an activation")
        if any(isinstance(v, Batch) for v in flat([args, kwargs])) and node.target.__name__ != "getitem":
            raise Unsupported("arithmetic with the batch's size")
        return node.target(*args, **kwargs)

    def _where(self, node: torch.fx.Node) -> str:
        if node.op == "call_module":
            return f"{node.target} ({type(self._module.get_submodule(str(node.target))).__name__})"
        return f"{node.name} ({_name(node)}{called_at(node.stack_trace)})"


def called_at(stack_trace: str | None) -> str:
    """The author's function, file and line; nothing where they are not known."""
    frames = [
        frame
        for frame in re.findall(r'File "([^"]+)", line (\d+), in (\w+)', stack_trace or "")
        if not frame[0].startswith(_TORCH)
    ]
    if not frames:
        return ""
    path, line, function = frames[_INNERMOST]
    return f" in {function}, {path}:{line}"


def _kind(layer: torch.nn.Module) -> str | None:
    """The PyTorch layer that this is, or was before somebody parametrised it."""
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("torch.nn.modules") and kind.__name__ in LAYERS:
            return kind.__name__
    return None


def _arguments(kind: str, layer: torch.nn.Module) -> dict[str, Any]:
    """A layer keeps its constructor's arguments as attributes of their names."""
    arguments = {name: getattr(layer, name) for name in parameters(kind) if hasattr(layer, name)}
    if "bias" in arguments:
        arguments["bias"] = arguments["bias"] is not None
    return arguments


def _works_in_place(module: torch.nn.Module, node: torch.fx.Node) -> bool:
    if not node.args or not isinstance(node.args[0], torch.fx.Node):
        return False
    if node.op == "call_module":
        return bool(getattr(module.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    name = _name(node)
    return (
        bool(node.kwargs.get("inplace"))
        or (name.endswith("_") and not name.endswith("__"))
        or name in ("iadd", "isub", "imul", "itruediv")
    )


def _name(node: torch.fx.Node) -> str:
    """Of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def tensor_of(returned: Any) -> NDArray[np.float32]:
    """The tensor that a module returned, by itself or as all of something."""
    leaves = [leaf for leaf in tree_flatten(returned)[0] if isinstance(leaf, torch.Tensor)]
    if len(leaves) != 1:
        raise ExportError(f"the module returns {type(returned).__name__}; want one tensor")
    return np.asarray(leaves[0].detach().cpu().float())


def to_array(tensor: torch.Tensor) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    return np.asarray(tensor if tensor.dtype == torch.float16 else tensor.float())


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from flat(item)
    elif isinstance(value, dict):
        yield from flat(list(value.values()))
    elif isinstance(value, slice):
        yield from flat([value.start, value.stop, value.step])
    else:
        yield value
