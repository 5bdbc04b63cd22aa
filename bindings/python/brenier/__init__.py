"""Optimal-transport generative models: noise to cells to codes to images.

A model file holds N points y_i in R^d (the codes of a data set), N heights h_i and a decoder. Noise x
goes to the power cell that holds it, the i with the highest score <x, y_i> + h_i; the points of that
cell and of its neighbours make a code z; the decoder makes z an image.

    import brenier

    with brenier.load("mnist.safetensors") as model:
        images = model.sample(64, seed=7)          # float32 [64, 1, 28, 28]

Sample i of a seed is the same whatever the batch, the thread count or the device.

The library does not survive a fork: use ``multiprocessing.get_context("spawn")``; in a forked child
every call raises :class:`ForkError`.
"""

from . import _ffi
from ._lib import library_path
from .engine import CudaOptions, JobOptions
from .errors import (
    BadModelError,
    BusyError,
    CancelledError,
    DeviceError,
    Error,
    ExpiredError,
    ExportError,
    FileError,
    ForkError,
    InternalError,
    InvalidArgumentError,
    InvalidHandleError,
    LibraryError,
    OutOfMemoryError,
    ShortBufferError,
    Status,
    UnsupportedError,
)
from .evaluation import Evaluation, evaluate
from .exporter import export
from .field import Field, Octave
from .fitting import Fit, FitProgress, fit
from .info import EngineInfo, ModelInfo
from .job import Job
from .model import Model, load, load_bytes
from .training import Trained, train

__version__ = ".".join(map(str, _ffi.VERSION))

__all__ = [
    "BadModelError",
    "BusyError",
    "CancelledError",
    "CudaOptions",
    "DeviceError",
    "EngineInfo",
    "Error",
    "Evaluation",
    "ExpiredError",
    "ExportError",
    "Field",
    "FileError",
    "Fit",
    "FitProgress",
    "ForkError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidHandleError",
    "Job",
    "JobOptions",
    "LibraryError",
    "Model",
    "ModelInfo",
    "Octave",
    "OutOfMemoryError",
    "ShortBufferError",
    "Status",
    "Trained",
    "UnsupportedError",
    "__version__",
    "evaluate",
    "export",
    "fit",
    "library_path",
    "load",
    "load_bytes",
    "train",
]
