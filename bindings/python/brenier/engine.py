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

    Calls that are in flight in other threads end first; the library sees to that. What else is passed
    lives as long as the handle does.
    """

    def __init__(self, what: str, release: str, pointer: Any, *kept: object) -> None:
        self._what = what
        self._pointer = pointer
        self._finalizer = weakref.finalize(self, _release, release, pointer, *kept)

    @property
    def pointer(self) -> Any:
        if not self._finalizer.alive:
            raise InvalidHandleError(f"the {self._what} is closed; load it again")
        return self._pointer

    def close(self) -> None:
        self._finalizer()


def _release(function: str, pointer: Any, *kept: object) -> None:
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


@dataclass(frozen=True)
class JobOptions:
    """Who does the jobs of an engine, and how.

    Attributes
    ----------
    workers : int, optional
        Threads that do jobs. 0: none, jobs wait for :meth:`Model.run_jobs`. Default: as many as the
        engine has threads.
    niceness : int, optional
        0 .. 19: how far workers stand back behind the thread that loads the model; 20: they run only
        while a processor has nothing else to do, and stop at once for what has. Default: 10.
    processors : sequence of int
        The processors that workers may run on, each 0 .. 63; none: all.
    slice : float, optional
        Seconds of work between two looks at what is urgent or cancelled. Default: 0.002.
    limit : int, optional
        Jobs at a time, from submit to close. Default: 1024.
    """

    workers: int | None = None
    niceness: int | None = None
    processors: tuple[int, ...] = ()
    slice: float | None = None
    limit: int | None = None

    def fill(self, options: _ffi.EngineOptions) -> None:
        """Writes them to the library's struct, whose 0 is the default and -1 is none."""
        for name, value, least, most in (
            ("workers", self.workers, 0, 1024),
            ("niceness", self.niceness, 0, 20),
            ("limit", self.limit, 1, 65536),
        ):
            if value is not None and not least <= value <= most:
                raise InvalidArgumentError(f"{name}: want {least} .. {most}, got {value}")
        if self.slice is not None and not 10e-6 <= self.slice <= 1:
            raise InvalidArgumentError(f"slice: want 10e-6 .. 1 s, got {self.slice}")
        if not all(0 <= p < 64 for p in self.processors):
            raise InvalidArgumentError(f"processors: want each in 0 .. 63, got {list(self.processors)}")
        options.job_workers = 0 if self.workers is None else self.workers or -1
        options.job_niceness = 0 if self.niceness is None else self.niceness or -1
        options.job_processors = sum(1 << p for p in set(self.processors))
        options.job_slice_us = 0 if self.slice is None else round(self.slice * 1e6)
        options.job_limit = self.limit or 0


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
        The type of the networks' activations on a CUDA device. Every value of an image is within
        2e-3, 1.6e-2 or 1e-5 of the output's range of a float64 decode. ``"bfloat16"`` is for
        decoders whose activations leave float16's range; ``"float32"`` does without tensor cores.
        Default: ``"float16"``. The CPU always computes in float32.
    jobs : JobOptions, optional
        Who does jobs.
    """

    def __init__(
        self,
        device: str = "auto",
        threads: int | None = None,
        cuda: CudaOptions | None = None,
        precision: Precision | None = None,
        jobs: JobOptions | None = None,
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
        if jobs is not None:
            jobs.fill(options)
        pointer = ctypes.POINTER(_ffi.Engine)()
        _call.call("brenier_engine_create", ctypes.byref(options), ctypes.byref(pointer))
        self.handle = Handle("engine", "brenier_engine_destroy", pointer)

    @property
    def info(self) -> EngineInfo:
        """The device, as the library describes it."""
        return engine_info(self.handle.pointer)


_lock = threading.Lock()
_Key = tuple[str, int, "CudaOptions | None", "Precision | None", "JobOptions | None"]
_engines: weakref.WeakValueDictionary[_Key, Engine] = weakref.WeakValueDictionary()


def shared(
    device: str = "auto",
    threads: int | None = None,
    cuda: CudaOptions | None = None,
    precision: Precision | None = None,
    jobs: JobOptions | None = None,
) -> Engine:
    """The engine of that device and those options; it lives as long as somebody refers to it."""
    if not isinstance(device, str):
        raise TypeError(f"device: want a string such as 'cpu', got {type(device).__name__}")
    key = (device, threads or 0, cuda, precision, jobs)
    with _lock:
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = Engine(device, threads, cuda, precision, jobs)
        return engine
