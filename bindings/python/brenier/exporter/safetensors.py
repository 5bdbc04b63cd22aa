"""Writes safetensors files: a header's length, a JSON header, the tensors' data."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError

_DTYPES = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32"}


def header(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """The length, eight bytes little-endian, and the JSON, padded so that the data is aligned to 8."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, array in tensors.items():
        entries[name] = {
            "dtype": _DTYPES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(entries, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str],
    check: Callable[[str], None],
) -> None:
    """Writes a file by way of a temporary one beside it, which ``check`` is given before it is
    renamed: at ``path`` there is the whole, checked file, or what was there before.

    Raises
    ------
    FileError
        The folder does not exist, the disk is full, and so on.
    """
    with replacing(os.fspath(path)) as temporary:
        with open(temporary, "wb") as file:
            file.write(header(tensors, metadata))
            for array in tensors.values():
                file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
            file.flush()
            os.fsync(file.fileno())
        check(temporary)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    folder, name = os.path.split(os.path.abspath(path))
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
        os.close(handle)
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # as a file made by open(); mkstemp's is the owner's alone
        os.replace(temporary, path)
        temporary = ""
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path}: could not be written: {error.strerror or error}") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
