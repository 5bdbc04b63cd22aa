"""Reads and writes safetensors by hand, so that no test depends on the exporter's own writer."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

_DTYPES = {"float32": "F32", "float16": "F16", "int64": "I64"}


def write(
    path: pathlib.Path, tensors: dict[str, Any], metadata: dict[str, Any] | None = None
) -> pathlib.Path:
    """A safetensors file with brenier's metadata; what is not a string is written as JSON."""
    entries: dict[str, Any] = {
        "__metadata__": {
            "format": "brenier",
            "version": "1",
            "source": "gaussian",
            **{k: v if isinstance(v, str) else json.dumps(v) for k, v in (metadata or {}).items()},
        }
    }
    data = b""
    for name, values in tensors.items():
        raw = np.asarray(values, order="C")
        entries[name] = {
            "dtype": _DTYPES[raw.dtype.name],
            "shape": raw.shape,
            "data_offsets": [len(data), len(data) + raw.nbytes],
        }
        data += raw.tobytes()
    header = json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def read(path: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors and the metadata, its JSON entries parsed."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    entries = json.loads(raw[8:start])
    metadata = entries.pop("__metadata__", {})
    for key in ("graph", "encoder", "extension", "output", "fit"):
        if key in metadata:
            metadata[key] = json.loads(metadata[key])
    dtypes = {v: k for k, v in _DTYPES.items()}
    tensors = {}
    for name, e in entries.items():
        begin, end = (start + offset for offset in e["data_offsets"])
        tensors[name] = np.frombuffer(raw[begin:end], dtypes[e["dtype"]]).reshape(e["shape"])
    return tensors, metadata
