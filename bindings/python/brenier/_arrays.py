"""What callers pass, as the arrays that the library reads and writes.

Inputs are taken as they are where dtype and layout allow, and converted where they do not.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .errors import InvalidArgumentError

_UINT64_MAX = 2**64 - 1
_UINT32_MAX = 2**32 - 1
_INT64_MAX = 2**63 - 1


def _converted(name: str, value: ArrayLike, dtype: np.dtype[Any], kinds: str) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in kinds and array.size:
        raise InvalidArgumentError(f"{name}: want numbers that fit {dtype}, got {array.dtype}")
    with np.errstate(
        over="ignore"
    ):  # what overflows becomes an infinity, which the library refuses by its row
        return np.require(array, dtype=dtype, requirements=["C_CONTIGUOUS", "ALIGNED"])


def rows(name: str, value: ArrayLike, dimension: int) -> NDArray[np.float32]:
    """Noise, codes or points as float32 ``[n, dimension]``, C-contiguous."""
    array = _converted(name, value, np.dtype(np.float32), "fiub")
    if array.ndim != 2 or array.shape[1] != dimension:
        hint = f"; one row is {name}[None, :]" if array.shape == (dimension,) else ""
        raise InvalidArgumentError(f"{name}: want [n, {dimension}], got {list(array.shape)}{hint}")
    return array


def images(name: str, value: ArrayLike, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Images ``[n, *shape]`` as uint8, float16 or float32, C-contiguous; other floats become float32."""
    array = np.asarray(value)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise InvalidArgumentError(f"{name}: want uint8, or floats in the output's range, got {array.dtype}")
    kept = array.dtype if array.dtype.name in ("uint8", "float16") else np.dtype(np.float32)
    array = _converted(name, array, kept.newbyteorder("="), "fu")
    if array.ndim != 4 or array.shape[1:] != shape:
        hint = f"; one image is {name}[None]" if array.shape == shape else ""
        raise InvalidArgumentError(
            f"{name}: want [n, {', '.join(map(str, shape))}], got {list(array.shape)}{hint}"
        )
    return array


def cells(name: str, value: ArrayLike, n: int) -> NDArray[np.int64]:
    """Cells as int64 ``[n, k]``, C-contiguous; ``[n]`` is taken as k = 1."""
    array = _converted(name, value, np.dtype(np.int64), "iu")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[0] != n:
        raise InvalidArgumentError(f"{name}: want [{n}, k], as locate returns them, got {list(array.shape)}")
    return array


def points(value: ArrayLike) -> NDArray[Any]:
    """Points as float32 or float16 ``[N, d]``, C-contiguous; float16 stays what it is."""
    array = np.asarray(value)
    half = array.dtype == np.float16
    array = _converted("points", array, np.dtype(np.float16 if half else np.float32), "fiub")
    if array.ndim != 2 or 0 in array.shape:
        raise InvalidArgumentError(f"points: want [N, d] with N and d of 1 or more, got {list(array.shape)}")
    return array


def vector(name: str, value: ArrayLike, length: int) -> NDArray[np.float32]:
    """One float32 for each point: heights or masses ``[N]``."""
    array = _converted(name, value, np.dtype(np.float32), "fiub")
    if array.shape != (length,):
        raise InvalidArgumentError(f"{name}: want [{length}], one a point, got {list(array.shape)}")
    return array


def output(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """The array that a call writes: ``out`` if it is fit for it, else a new one."""
    want = np.dtype(dtype)
    if out is None:
        return np.empty(shape, want)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: want a numpy array, got {type(out).__name__}")
    if out.shape != shape or out.dtype != want:
        raise InvalidArgumentError(
            f"out: want {want} {list(shape)}, got {out.dtype} {list(out.shape)}; pass an array of that "
            "shape, and its dtype and layout as arguments"
        )
    flags = out.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable):
        raise InvalidArgumentError("out: want a C-contiguous, aligned array that can be written")
    return out


def count(name: str, value: int, least: int = 0) -> int:
    """A whole number of samples or cells."""
    number = operator.index(value)
    if number < least or number > _UINT32_MAX:
        raise InvalidArgumentError(f"{name}: want {least} .. {_UINT32_MAX}, got {number}")
    return number


def unsigned64(name: str, value: int) -> int:
    """A seed or a sample's index."""
    number = operator.index(value)
    if not 0 <= number <= _UINT64_MAX:
        raise InvalidArgumentError(f"{name}: want 0 .. 2**64 - 1, got {number}")
    return number


def signed64(name: str, value: int) -> int:
    """A place in a plane."""
    number = operator.index(value)
    if not -_INT64_MAX - 1 <= number <= _INT64_MAX:
        raise InvalidArgumentError(f"{name}: want -2**63 .. 2**63 - 1, got {number}")
    return number
