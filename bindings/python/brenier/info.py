"""What models and engines say of themselves."""

from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass
from typing import Any

from . import _call, _ffi


@dataclass(frozen=True)
class EngineInfo:
    """Where a model runs.

    Attributes
    ----------
    device : str
        ``"cpu"`` or ``"cuda:0"``.
    device_name : str
        The processor's own name.
    path : str
        The instruction set in use: ``"avx512"``, ``"avx2"``, ``"portable"``, ``"sm_90a"``.
    threads : int
        Worker threads on the CPU; 0 on a CUDA device.
    note : str
        What is out of the ordinary, as why ``"auto"`` took the CPU; else ``""``.
    """

    device: str
    device_name: str
    path: str
    threads: int
    note: str


@dataclass(frozen=True)
class ModelInfo:
    """What a model is.

    Attributes
    ----------
    points : int
        N, the number of points and cells; 0 if the model has no map.
    dimension : int
        d, of noise and codes.
    has_centroids : bool
        Whether ``mode="simplex"`` can be asked for.
    channels, height, width : int
        Of an image; 0 if the model has no decoder.
    has_encoder : bool
        Whether it makes codes of images.
    low, high : float
        The range of an image's values.
    source : str
        The noise: ``"gaussian"``, N(0, I), or ``"uniform"``, on [-1/2, 1/2]^d.
    metadata : dict
        The file's metadata: ``graph``, ``encoder``, ``extension``, ``output``, ``fit``.
    kernels : list of dict
        Which kernel serves each part, where the device has several: ``{"part": .., "kernel": ..}``.
    notes : list of str
        On kernels that failed their self-check.
    engine : EngineInfo
        Where it runs.
    """

    points: int
    dimension: int
    has_centroids: bool
    channels: int
    height: int
    width: int
    has_encoder: bool
    low: float
    high: float
    source: str
    metadata: dict[str, Any]
    kernels: list[dict[str, str]]
    notes: list[str]
    engine: EngineInfo


def engine_info(engine: Any) -> EngineInfo:
    """Asks the library about an engine, given its handle."""
    properties = _call.new(_ffi.EngineProperties)
    _call.call("brenier_engine_info", engine, ctypes.byref(properties))
    return EngineInfo(
        device=_call.text(properties.device),
        device_name=_call.text(properties.device_name),
        path=_call.text(properties.path),
        threads=int(properties.threads),
        note=_call.text(properties.note),
    )


def model_info(model: Any, engine: EngineInfo) -> ModelInfo:
    """Asks the library about a model, given its handle."""
    properties = _call.new(_ffi.ModelProperties)
    _call.call("brenier_model_info", model, ctypes.byref(properties))
    chosen = json.loads(_call.text(properties.kernels) or '{"kernels": [], "notes": []}')
    return ModelInfo(
        points=int(properties.points),
        dimension=int(properties.dimension),
        has_centroids=bool(properties.has_centroids),
        channels=int(properties.channels),
        height=int(properties.height),
        width=int(properties.width),
        has_encoder=bool(properties.has_encoder),
        low=float(properties.low),
        high=float(properties.high),
        source=_call.text(properties.source),
        metadata=json.loads(_call.text(properties.metadata) or "{}"),
        kernels=chosen["kernels"],
        notes=chosen["notes"],
        engine=engine,
    )
