"""Calls into the library: statuses become exceptions, arrays become buffers."""

from __future__ import annotations

import ctypes
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import _ffi, _lib, errors

_DTYPES = {
    "float32": _ffi.F32,
    "float16": _ffi.F16,
    "uint8": _ffi.U8,
    "int64": _ffi.I64,
    "float64": _ffi.F64,
    "uint16": _ffi.U16,
}

StructT = TypeVar("StructT", bound=ctypes.Structure)


def call(name: str, *arguments: Any) -> None:
    """Calls a function that returns a status; the interpreter lock is free meanwhile.

    Raises
    ------
    Error
        The subclass for the status, with the library's sentence.
    """
    library = _lib.library()
    status = getattr(library, name)(*arguments)
    if status != errors.Status.OK:
        text = library.brenier_last_error().decode("utf-8", "replace")
        raise errors.from_status(status, text)


def new(kind: type[StructT]) -> StructT:
    """A struct with every member at its default but ``struct_size``."""
    struct = kind()
    struct.struct_size = ctypes.sizeof(kind)
    return struct


def initialised(kind: type[StructT], function: str) -> StructT:
    """A struct with the defaults that the library's ``_init`` function gives it."""
    struct = kind()
    getattr(_lib.library(), function)(ctypes.byref(struct))
    return struct


def buffer(array: NDArray[Any], layout: int = _ffi.NCHW) -> _ffi.Buffer:
    """Describes a C-contiguous array on the host. The array must outlive the call."""
    described = new(_ffi.Buffer)
    described.data = array.ctypes.data
    described.bytes = array.nbytes
    described.location = _ffi.HOST
    described.dtype = _DTYPES[np.dtype(array.dtype).name]
    described.layout = layout
    return described


def text(value: bytes | None) -> str:
    """A string that the library handed out."""
    return (value or b"").decode("utf-8", "replace")
