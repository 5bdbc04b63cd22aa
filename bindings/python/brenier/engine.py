"""A device and the threads that work on it; models of one device share one."""

from __future__ import annotations

import ctypes
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Literal

from . import _call, _ffi, _lib
from .errors import InvalidArgumentError, InvalidHandleError
from .info import EngineInfo, engine_info

Precision = Literal["float16", "bfloat16", "float32"]

_PRECISIONS = {
    "float16": _ffi.PRECISION_F16,
    "bfloat16": _ffi.PRECISION_BF16,
    "float32": _ffi.PRECISION_F32,
}


class Handle:
    """A handle of the library, given back once: by :meth:`close`, or when nobody refers to it.

    Calls that are in flight in other threads end first; the library sees to that.
    """

    def __init__(self, what: str, release: str, pointer: Any) -> None:
        self._what = what
        self._pointer = pointer
        self._finalizer = weakref.finalize(self, _release, release, pointer)

    @property
    def pointer(self) -> Any:
        if not self._finalizer.alive:
            raise InvalidHandleError(f"the {self._what} is closed; load it again")
        return self._pointer

    def close(self) -> None:
        self._finalizer()


def _release(function: str, pointer: Any) -> None:
    # A forked child has a copy of the handle and no right to it.
    if _lib.usable():
        getattr(_lib.library(), function)(pointer)


@dataclass(frozen=True)
class CudaOptions:
    """How a CUDA device is used; the CPU ignores it.

    Attributes
    ----------
    context : int
        A CUcontext of that device, as a number, which must outlive the models. 0: the device's
        primary context, which the CUDA runtime, and so PyTorch, uses too.
    stream : int
        A CUstream, as a number, that all work is ordered in. 0: streams of the library's own.
    memory : int
        Bytes that may be allocated on the device. 0: what is free, less a reserve.
    """

    context: int = 0
    stream: int = 0
    memory: int = 0


class Engine:
    """One device. Safe to use from many threads.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. ``"auto"`` is what the environment's
        ``BRENIER_DEVICE`` says, or the best there is.
    threads : int, optional
        Worker threads on the CPU. Default: ``BRENIER_THREADS``, or all processors.
    cuda : CudaOptions, optional
        How a CUDA device is used.
    precision : {"float16", "bfloat16", "float32"}, optional
        The type of a decoder's activations on a CUDA device. Every value of an image is within
        2e-3, 1.6e-2 or 1e-5 of the output's range of a float64 decode. ``"bfloat16"`` is for
        decoders whose activations leave float16's range; ``"float32"`` does without tensor cores.
        Default: ``"float16"``. The CPU always computes in float32.
    """

    def __init__(
        self,
        device: str = "auto",
        threads: int | None = None,
        cuda: CudaOptions | None = None,
        precision: Precision | None = None,
    ) -> None:
        options = _call.initialised(_ffi.EngineOptions, "brenier_engine_options_init")
        options.device = None if device == "auto" else device.encode()
        options.threads = threads or 0
        if cuda is not None:
            options.cuda_context = cuda.context or None
            options.cuda_stream = cuda.stream or None
            options.cuda_memory = cuda.memory
        if precision is not None:
            if precision not in _PRECISIONS:
                raise InvalidArgumentError(
                    f"precision: want one of {', '.join(_PRECISIONS)}, got {precision!r}"
                )
            options.precision = _PRECISIONS[precision]
        pointer = ctypes.POINTER(_ffi.Engine)()
        _call.call("brenier_engine_create", ctypes.byref(options), ctypes.byref(pointer))
        self.handle = Handle("engine", "brenier_engine_destroy", pointer)

    @property
    def info(self) -> EngineInfo:
        """The device, as the library describes it."""
        return engine_info(self.handle.pointer)


_lock = threading.Lock()
_Key = tuple[str, int, "CudaOptions | None", "Precision | None"]
_engines: weakref.WeakValueDictionary[_Key, Engine] = weakref.WeakValueDictionary()


def shared(
    device: str = "auto",
    threads: int | None = None,
    cuda: CudaOptions | None = None,
    precision: Precision | None = None,
) -> Engine:
    """The engine of that device and those options; it lives as long as somebody refers to it."""
    if not isinstance(device, str):
        raise TypeError(f"device: want a string such as 'cpu', got {type(device).__name__}")
    key = (device, threads or 0, cuda, precision)
    with _lock:
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = Engine(device, threads, cuda, precision)
        return engine
