"""A network from a ``torch.export.ExportedProgram``, or from a module by way of ``torch.export``.

The graph is of ATen's operators; :mod:`.aten` makes nodes of them. What does not depend on the code is
computed by PyTorch on the way, so that only operators on activations remain.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ExportError, FileError
from . import torch_module
from .aten import ATEN
from .functional import BATCH, Batch, apply
from .graph import Activation, Builder, Shape, Unknown, Unsupported
from .model_input import ModelInput
from .torch_module import called_at, flat, to_array

# The operators whose second argument is a shape, the batch first.
_SHAPED = frozenset(["view", "reshape", "_unsafe_view", "expand"])


@dataclass(frozen=True)
class Program:
    """An exported program of one input and one output.

    Attributes
    ----------
    exported : torch.export.ExportedProgram
        As it was given.
    input : ModelInput
        Its one input.
    dtype : torch.dtype
        Of the input as the program takes it.
    """

    exported: Any
    input: ModelInput
    dtype: torch.dtype


def is_one(source: Any) -> bool:
    """Whether it is what ``torch.export.export`` makes."""
    return hasattr(torch, "export") and isinstance(source, torch.export.ExportedProgram)


def load(path: str | os.PathLike[str]) -> Any:
    """The program of a file that ``torch.export.save`` made.

    Raises
    ------
    FileError
        There is no such file.
    ExportError
        It is no such program; or this PyTorch has no ``torch.export``.
    """
    _available()
    name = os.fspath(path)
    try:
        with open(name, "rb"):
            pass
    except OSError as error:
        raise FileError(f"{name}: could not be read: {error.strerror or error}") from error
    try:
        return torch.export.load(name)
    except Exception as error:
        raise ExportError(f"{name}: not a program that torch.export saved: {_sentence(error)}") from error


def read(exported: Any) -> Program:
    """Checks that a program has one input and one output.

    Raises
    ------
    ExportError
        It has more inputs than one, or more outputs.
    """
    signature = exported.graph_signature
    inputs, outputs = signature.user_inputs, signature.user_outputs
    if len(inputs) != 1:
        names = ", ".join(map(str, inputs)) or "none"
        raise ExportError(f"the program takes {len(inputs)} inputs, {names}; want one")
    if len(outputs) != 1:
        raise ExportError(f"the program returns {len(outputs)} values; want one tensor")
    value = next(node for node in exported.graph.nodes if node.name == inputs[0]).meta["val"]
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.ndim < 2:
        raise ExportError(f"the program reads {inputs[0]} as {value}; want floating-point [n, ...]")
    # An extent that any number fits has a letter, whatever its type.
    batch, *extents = (int(str(extent)) if str(extent).isdigit() else None for extent in value.shape)
    return Program(exported, ModelInput(inputs[0], tuple(extents), batch), value.dtype)


def build(program: Program, builder: Builder) -> tuple[Activation | Unknown, list[str]]:
    """Adds every operator; the output, and what is not supported, each with its place."""
    program.input.check(builder.input)
    walk = _Walk(program, builder)
    with torch.no_grad():
        output = walk.run()
    if not isinstance(output, (Activation, Unknown)):
        raise ExportError("the program's output does not depend on its input")
    return output, walk.faults


def run(program: Program, z: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """What PyTorch makes of rows ``z [n, d]``, given to the program as ``[n, *shape]``."""
    module = program.exported.module()
    tensors = [*program.exported.state_dict.values(), *program.exported.constants.values()]
    device = next((t.device for t in tensors if isinstance(t, torch.Tensor)), torch.device("cpu"))

    def evaluate(rows: NDArray[np.float32]) -> NDArray[Any]:
        with torch.no_grad():
            return torch_module.tensor_of(module(torch.from_numpy(rows).to(device, program.dtype)))

    return program.input.run(evaluate, z, shape)


def build_module(
    module: torch.nn.Module, traced: torch_module.Traced, builder: Builder
) -> tuple[Activation | Unknown, list[str]]:
    """The same of a module: by its traced graph, or where that cannot, by ``torch.export``."""
    faults: list[str] = []
    if traced.graph is not None:
        output, faults = torch_module.build(module, traced.graph, builder)
        if not faults:
            return output, faults
    if not isinstance(builder.input, Activation):
        return Unknown(), faults
    try:
        program = _export(module, builder.input.shape)
        builder.clear()
        output, others = build(program, builder)
    except ExportError as error:
        if traced.graph is None:
            raise ExportError(
                f"the {builder.network} cannot be traced by torch.fx: {traced.failure}; {error}"
            ) from None
        return Unknown(), faults
    if traced.graph is not None and others:
        return Unknown(), faults  # whose places are the author's own names
    return output, others


def _export(module: torch.nn.Module, shape: Shape) -> Program:
    """The module's program for any batch, or for two if it tells them apart."""
    _available()
    module = torch_module.single(module)
    first = next(module.parameters(), torch.zeros(()))
    example = torch.zeros(2, *shape, device=first.device, dtype=first.dtype)
    batch = ({0: getattr(torch.export.Dim, "AUTO", None) or torch.export.Dim("n")},)
    try:
        with torch_module.evaluating(module), torch.no_grad():
            exported = torch.export.export(module, (example,), dynamic_shapes=batch, strict=False)
    except Exception as error:
        raise ExportError(
            f"nor can it by torch.export, of [n, {', '.join(map(str, shape))}]: {_sentence(error)}; "
            "its forward must not depend on the values of its input"
        ) from error
    return read(exported)


def _available() -> None:
    if not hasattr(torch, "export"):
        raise ExportError(f"torch.export comes with PyTorch 2.1; this is {torch.__version__}")


class _Walk:
    """The graph's values in order: an activation, a tensor where no input depends on the code, a number or
    the batch's size, or a tuple of these."""

    def __init__(self, program: Program, builder: Builder) -> None:
        self._program = program
        self._builder = builder
        self._values: dict[Any, Any] = {}
        self._names: dict[Any, str] = {}  # of tensors as the module has them
        self._targets = {spec.arg.name: spec.target for spec in program.exported.graph_signature.input_specs}
        self.faults: list[str] = []

    def run(self) -> Any:
        graph, signature = self._program.exported.graph, self._program.exported.graph_signature
        returned = next(node for node in graph.nodes if node.name == signature.user_outputs[0])
        needed = _needed([returned, *(node for node in graph.nodes if _works_in_place(node))])
        for node in graph.nodes:
            if node not in needed:
                continue
            try:
                value = self._value(node)
            except Unsupported as error:
                self.faults.append(f"{_where(node)}: {error}")
                value = Unknown()
            self._values[node] = value
            if _works_in_place(node):
                # Whoever reads the input from here on sees what was written to it.
                self._values[node.args[0]] = value
                self._names[node.args[0]] = node.name
        return self._values[returned]

    def _value(self, node: Any) -> Any:
        if node.op == "placeholder":
            return self._placeholder(node)
        if node.op != "call_function":  # a graph that an operator of control flow calls
            return Unknown()
        inputs = [self._values[other] for other in node.all_input_nodes]
        name = _name(node)
        if any(isinstance(value, Unknown) for value in inputs):
            if not _is_plain(node) and name not in ATEN:
                raise Unsupported("a model file has no such operator")
            return Unknown()
        if not any(isinstance(value, Activation) for value in flat(inputs)):
            return self._computed(node)
        if _is_plain(node):  # one of several tensors that an operator made
            return node.target(*self._arguments(node.args))
        if name not in ATEN:
            raise Unsupported("a model file has no such operator")
        args = list(self._arguments(node.args, self._constant))
        kwargs = self._arguments(node.kwargs, self._constant)
        if name in _SHAPED and args[1] and args[1][0] == self._program.input.batch:
            args[1] = [BATCH, *args[1][1:]]
        return apply(ATEN[name], self._builder, node.name, args, kwargs)

    def _placeholder(self, node: Any) -> Any:
        if node.name == self._program.input.name:
            return self._builder.input
        target = self._names[node] = self._targets[node.name]
        held = self._program.exported
        return held.state_dict[target] if target in held.state_dict else held.constants[target]

    def _computed(self, node: Any) -> Any:
        """What PyTorch makes of tensors and numbers."""
        args, kwargs = list(self._arguments(node.args)), self._arguments(node.kwargs)
        if any(isinstance(value, Batch) for value in flat([args, kwargs])):
            raise Unsupported("arithmetic with the batch's size, or a tensor of it")
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise Unsupported("is random")
        if _works_in_place(node):
            args[0] = args[0].clone()  # the module's own stays as it is
        return node.target(*args, **kwargs)

    def _constant(self, node: Any) -> Any:
        value = self._values[node]
        if not isinstance(value, torch.Tensor):
            return value
        return self._builder.constant(self._names.get(node, node.name), to_array(value))

    def _arguments(self, arguments: Any, value: Any = None) -> Any:
        return torch.fx.node.map_arg(arguments, value or self._values.__getitem__)


def _needed(nodes: Sequence[Any]) -> set[Any]:
    """The nodes and all that they are made of: not the assertions that PyTorch puts among them."""
    found, waiting = set(), list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def _name(node: Any) -> str:
    """Of an operator, without its overload and whether it works in place; of a function."""
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target._schema.name).partition("::")[2].rstrip("_")
    return str(getattr(node.target, "__name__", node.target))


def _is_plain(node: Any) -> bool:
    """Whether it calls a function of Python, and not an operator."""
    return not isinstance(node.target, torch._ops.OperatorBase)


def _works_in_place(node: Any) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.name.endswith("_")


def _where(node: Any) -> str:
    """The module that called the operator, where there is one; the operator; the author's line."""
    modules = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
    return f"{modules[-1] if modules else node.name} ({_name(node)}{called_at(node.meta.get('stack_trace'))})"


def _sentence(error: BaseException) -> str:
    """The first line that says something, of what PyTorch says in many."""
    lines: Iterator[str] = (line.strip() for line in str(error).split("\n"))
    return next(filter(None, lines), type(error).__name__).rstrip(".")
