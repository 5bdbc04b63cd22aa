"""brenier.h for ctypes: every constant, struct and function, declared as the header declares it.

A test parses the header and compares. Nothing here calls the library; see ``_call.py``.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

VERSION = (0, 1, 0)

# ---- Enumerations ------------------------------------------------------------------------------

F32, F16, U8, I64, F64, U16 = range(6)
NCHW, NHWC = range(2)
HOST, CUDA_DEVICE = range(2)
PRECISION_DEFAULT, PRECISION_F16, PRECISION_BF16, PRECISION_F32 = range(4)
FIT_AUTO, FIT_SAMPLED, FIT_EXACT = range(3)
MODE_DEFAULT, MODE_CELL, MODE_SIMPLEX, MODE_PAIR = range(4)
ANGLE_DEFAULT, ANGLE_QUANTILE, ANGLE_RADIANS = range(3)
JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_CANCELLED, JOB_EXPIRED, JOB_FAILED = range(6)

# ---- Types -------------------------------------------------------------------------------------

Status = c_int32
DType = c_int32
Layout = c_int32
Location = c_int32
Precision = c_int32
FitMethod = c_int32
Mode = c_int32
Angle = c_int32
JobState = c_int32


class Engine(ctypes.Structure):
    """Opaque: only ever behind a pointer, which is a token and not an address."""


class Model(ctypes.Structure):
    """Opaque, as :class:`Engine` is."""


class Field(ctypes.Structure):
    """Opaque, as :class:`Engine` is."""


class Job(ctypes.Structure):
    """Opaque, as :class:`Engine` is."""


class Buffer(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("data", c_void_p),
        ("bytes", c_size_t),
        ("location", Location),
        ("dtype", DType),
        ("layout", Layout),
    ]


class EngineOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("device", c_char_p),
        ("threads", c_int32),
        ("cuda_context", c_void_p),
        ("cuda_stream", c_void_p),
        ("cuda_memory", c_size_t),
        ("precision", Precision),
        ("job_processors", c_uint64),
        ("job_workers", c_int32),
        ("job_niceness", c_int32),
        ("job_slice_us", c_uint32),
        ("job_limit", c_uint32),
    ]


class EngineProperties(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("device", c_char_p),
        ("device_name", c_char_p),
        ("path", c_char_p),
        ("threads", c_int32),
        ("note", c_char_p),
    ]


class ModelProperties(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("points", c_int64),
        ("dimension", c_int32),
        ("has_centroids", c_int32),
        ("channels", c_int32),
        ("height", c_int32),
        ("width", c_int32),
        ("low", c_double),
        ("high", c_double),
        ("source", c_char_p),
        ("metadata", c_char_p),
        ("kernels", c_char_p),
        ("has_encoder", c_int32),
    ]


class Extension(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("mode", Mode),
        ("k", c_uint32),
        ("angle", Angle),
        ("theta", c_double),
        ("blend", c_double),
    ]


class Octave(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("scale", c_uint32),
        ("amplitude", c_double),
        ("modulation", c_double),
    ]


class FieldOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("octaves", POINTER(Octave)),
        ("n_octaves", c_size_t),
        ("channel", c_uint32),
        ("channels", c_uint32),
        ("offset", c_double),
        ("scale", c_double),
        ("cache_bytes", c_int64),
        ("row_pitch", c_size_t),
    ]


JobCallback = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Job), Status)


class JobOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("priority", c_int32),
        ("deadline_us", c_uint64),
        ("ended", JobCallback),
        ("user", c_void_p),
    ]


class FitProgress(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("samples", c_uint64),
        ("samples_max", c_uint64),
        ("chi_squared", c_double),
        ("empty", c_int64),
        ("seconds", c_double),
        ("energy", c_double),
        ("seconds_left", c_double),
        ("tested", c_uint64),
        ("to_test", c_uint64),
    ]


ProgressCallback = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(FitProgress))


class FitOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("source", c_char_p),
        ("tolerance", c_double),
        ("samples_max", c_uint64),
        ("seed", c_uint64),
        ("progress", ProgressCallback),
        ("user", c_void_p),
        ("decoder", POINTER(Model)),
        ("start", POINTER(Buffer)),
        ("checkpoint", c_char_p),
        ("rebalance", c_uint32),
        ("method", FitMethod),
    ]


# ---- Functions: name -> (result, arguments) ----------------------------------------------------

_engine = POINTER(Engine)
_model = POINTER(Model)
_field = POINTER(Field)
_buffer = POINTER(Buffer)
_extension = POINTER(Extension)
_job = POINTER(Job)
_job_options = POINTER(JobOptions)

FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "brenier_status_name": (c_char_p, [Status]),
    "brenier_last_error": (c_char_p, []),
    "brenier_version": (c_uint32, []),
    "brenier_version_string": (c_char_p, []),
    "brenier_engine_options_init": (None, [POINTER(EngineOptions)]),
    "brenier_engine_create": (Status, [POINTER(EngineOptions), POINTER(_engine)]),
    "brenier_engine_destroy": (Status, [_engine]),
    "brenier_engine_info": (Status, [_engine, POINTER(EngineProperties)]),
    "brenier_model_open": (Status, [_engine, c_char_p, POINTER(_model)]),
    "brenier_model_open_memory": (Status, [_engine, c_void_p, c_size_t, POINTER(_model)]),
    "brenier_model_close": (Status, [_model]),
    "brenier_model_measure_images": (Status, [_model, c_size_t]),
    "brenier_model_save": (Status, [_model, c_char_p]),
    "brenier_model_info": (Status, [_model, POINTER(ModelProperties)]),
    "brenier_model_tensor": (Status, [_model, c_char_p, _buffer]),
    "brenier_noise": (Status, [_model, c_uint64, c_uint64, c_size_t, _buffer]),
    "brenier_locate": (Status, [_model, _buffer, c_size_t, c_uint32, _buffer, _buffer]),
    "brenier_extension_init": (None, [_extension]),
    "brenier_extend": (
        Status,
        [_model, _buffer, _buffer, c_size_t, c_uint32, _extension, _buffer],
    ),
    "brenier_codes": (Status, [_model, c_uint64, c_uint64, c_size_t, _extension, _buffer]),
    "brenier_decode": (Status, [_model, _buffer, c_size_t, _buffer]),
    "brenier_encode": (Status, [_model, _buffer, c_size_t, _buffer]),
    "brenier_generate": (Status, [_model, c_uint64, c_uint64, c_size_t, _extension, _buffer]),
    "brenier_potential": (Status, [_model, _buffer, c_size_t, _buffer, _buffer]),
    "brenier_field_options_init": (None, [POINTER(FieldOptions)]),
    "brenier_field_create": (Status, [_model, POINTER(FieldOptions), POINTER(_field)]),
    "brenier_field_destroy": (Status, [_field]),
    "brenier_field_read": (
        Status,
        [_field, c_uint64, c_int64, c_int64, c_uint32, c_uint32, c_uint32, _buffer],
    ),
    "brenier_job_options_init": (None, [_job_options]),
    "brenier_submit_generate": (
        Status,
        [_model, c_uint64, c_uint64, c_size_t, _extension, _buffer, _job_options, POINTER(_job)],
    ),
    "brenier_submit_decode": (Status, [_model, _buffer, c_size_t, _buffer, _job_options, POINTER(_job)]),
    "brenier_submit_locate": (
        Status,
        [_model, _buffer, c_size_t, c_uint32, _buffer, _buffer, _job_options, POINTER(_job)],
    ),
    "brenier_submit_field_read": (
        Status,
        [
            *(_field, c_uint64, c_int64, c_int64, c_uint32, c_uint32, c_uint32, _buffer),
            *(_job_options, POINTER(_job)),
        ],
    ),
    "brenier_poll": (Status, [_job, POINTER(JobState)]),
    "brenier_wait": (Status, [_job, c_uint64]),
    "brenier_cancel": (Status, [_job]),
    "brenier_job_close": (Status, [_job]),
    "brenier_run": (Status, [_engine, c_uint64, POINTER(c_size_t)]),
    "brenier_fit_options_init": (None, [POINTER(FitOptions)]),
    "brenier_fit": (
        Status,
        [_engine, _buffer, c_size_t, c_size_t, _buffer, POINTER(FitOptions), POINTER(_model)],
    ),
}


def declare(library: ctypes.CDLL) -> None:
    """Gives every function of the library its result and argument types."""
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
