"""Networks that users bring, to see images or codes as features or as classes."""

from __future__ import annotations

import importlib
import operator
import os
import sys
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FileError, InvalidArgumentError, UnsupportedError
from .inception import inception

if TYPE_CHECKING:
    from ..info import ModelInfo

Function = Callable[[NDArray[Any]], ArrayLike]


def network(name: str, source: Any, info: ModelInfo) -> Function:
    """A function of rows ``[m, ...]``.

    Parameters
    ----------
    name : str
        What it is for, in messages.
    source : callable, torch.nn.Module, path or str
        A function from arrays to arrays; a torch module; the file of one that ``torch.jit.save`` wrote;
        ``"MODULE:NAME"``, where Python imports a function or a torch module; or ``"inception"``.
    info : ModelInfo
        Of the model whose images it sees. A network from a file runs on the same device.

    Raises
    ------
    FileError
        No such file, or another kind of file.
    InvalidArgumentError
        A name that cannot be imported, or of something else.
    UnsupportedError
        A package is missing.
    """
    if isinstance(source, (str, os.PathLike)):
        text = os.fspath(source)
        if os.path.exists(text):
            source = _scripted(name, text, info.engine.device)
        elif text == "inception":
            source = inception(info)
        else:
            source = _imported(name, text)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.nn.Module):
        return _on_arrays(name, source)
    if not callable(source):
        raise InvalidArgumentError(f"{name}: want a function or a torch module, got {type(source).__name__}")
    function: Function = source
    return function


def as_features(name: str, value: Any, count: int) -> NDArray[Any]:
    """What a function made of so many rows, as ``[count, f]``."""
    array = _array(value)
    if array.ndim < 2 or len(array) != count or array.dtype.kind not in "uif":
        raise InvalidArgumentError(
            f"{name}: want numbers [{count}, f] of {count} rows, got {list(array.shape)} {array.dtype}"
        )
    return array.reshape(count, -1)


def as_classes(name: str, value: Any, count: int) -> NDArray[np.int64]:
    """What a classifier made of so many rows, as labels ``[count]``: of scores ``[count, classes]`` the
    highest."""
    array = _array(value)
    if array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] > 0:
        array = array.argmax(axis=1)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise InvalidArgumentError(
            f"{name}: want whole numbers [{count}] or scores [{count}, classes] of {count} rows, got "
            f"{list(array.shape)} {array.dtype}"
        )
    return array.astype(np.int64)


def _array(value: Any) -> NDArray[Any]:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _scripted(name: str, path: str, device: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UnsupportedError(
            f"{name}: {path}: a torch module needs PyTorch: {error}; pip install 'brenier[torch]' has it"
        ) from error
    jit: Any = torch.jit
    try:
        return jit.load(path, map_location=device if torch.cuda.is_available() else "cpu")
    except (RuntimeError, ValueError, OSError) as error:
        raise FileError(
            f"{name}: {path}: no module that torch.jit.save wrote; what torch.save wrote can be loaded by "
            "a module of Python and named as MODULE:NAME"
        ) from error


def _imported(name: str, text: str) -> Any:
    module, _, attribute = text.partition(":")
    if not module or not attribute:
        raise FileError(f"{name}: {text}: no such file, nor is it MODULE:NAME or inception")
    try:
        return operator.attrgetter(attribute)(importlib.import_module(module))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{name}: {text}: cannot be imported: {error}") from error


def _on_arrays(name: str, module: Any) -> Function:
    import torch

    def run(rows: NDArray[Any]) -> Any:
        place = next((t.device for t in (*module.parameters(), *module.buffers())), torch.device("cpu"))
        training = getattr(module, "training", False)
        if training:
            module.eval()
        try:
            with torch.inference_mode():
                made = module(torch.from_numpy(np.array(rows, np.float32)).to(place))
        except (RuntimeError, TypeError, ValueError) as error:
            why = str(error).strip().splitlines()[-1:]
            raise InvalidArgumentError(
                f"{name}: the network fails on rows {list(rows.shape)}: {''.join(why)}"
            ) from error
        finally:
            if training:
                module.train()
        if not isinstance(made, torch.Tensor):
            raise InvalidArgumentError(f"{name}: want a network of one tensor, got {type(made).__name__}")
        return made.float().cpu().numpy() if made.is_floating_point() else made.cpu().numpy()

    return run
