"""_ffi.py declares what brenier.h declares: every constant, struct, function, in the same order."""

from __future__ import annotations

import ctypes
import pathlib
import re
from typing import Any

import pytest

from brenier import Status, _ffi

HEADER = pathlib.Path(__file__).resolve().parents[3] / "capi" / "brenier.h"

SCALARS = {
    "size_t": ctypes.c_size_t,
    "int": ctypes.c_int,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "double": ctypes.c_double,
}
STRUCTS: dict[str, Any] = {
    "brenier_buffer": _ffi.Buffer,
    "brenier_engine_options": _ffi.EngineOptions,
    "brenier_engine_properties": _ffi.EngineProperties,
    "brenier_model_properties": _ffi.ModelProperties,
    "brenier_extension": _ffi.Extension,
    "brenier_octave": _ffi.Octave,
    "brenier_field_options": _ffi.FieldOptions,
    "brenier_job_options": _ffi.JobOptions,
    "brenier_fit_progress": _ffi.FitProgress,
    "brenier_fit_options": _ffi.FitOptions,
}
OPAQUE: dict[str, Any] = {
    "brenier_engine": _ffi.Engine,
    "brenier_model": _ffi.Model,
    "brenier_field": _ffi.Field,
    "brenier_job": _ffi.Job,
}
CALLBACKS: dict[str, Any] = {
    "brenier_progress_callback": _ffi.ProgressCallback,
    "brenier_job_callback": _ffi.JobCallback,
}


@pytest.fixture(scope="module")
def header() -> str:
    """The header without comments, preprocessor lines and line breaks."""
    text = re.sub(r"/\*.*?\*/", " ", HEADER.read_text(), flags=re.S)
    text = re.sub(r"\\\n", " ", text)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    return re.sub(r"\s+", " ", text)


def typedefs(header: str) -> dict[str, Any]:
    """brenier_status and its like: integers by another name."""
    return {name: SCALARS[kind] for kind, name in re.findall(r"typedef (\w+) (brenier_\w+);", header)}


def ctype(declared: str, header: str) -> Any:
    """The ctypes type of a C type, as _ffi.py is to spell it."""
    words = declared.replace("const ", "").replace("struct ", "").strip()
    base, stars = words.replace("*", "").strip(), words.count("*")
    if base == "char" and stars == 1:
        return ctypes.c_char_p
    if base == "void":
        return None if stars == 0 else ctypes.c_void_p
    if base in CALLBACKS:
        return CALLBACKS[base]
    kind: Any = {**SCALARS, **typedefs(header), **STRUCTS, **OPAQUE}[base]
    for _ in range(stars):
        kind = ctypes.POINTER(kind)
    return kind


def declaration(text: str, header: str) -> tuple[Any, str]:
    found = re.fullmatch(r"\s*(.*?)(\w+)\s*", text)
    assert found, text
    return ctype(found[1], header), found[2]


def test_version(header: str) -> None:
    text = HEADER.read_text()
    version = [
        re.search(rf"#define BRENIER_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR", "PATCH")
    ]  # type: ignore[index]
    assert tuple(map(int, version)) == _ffi.VERSION


def test_every_enumerator_has_its_value(header: str) -> None:
    values = {name: int(value) for name, value in re.findall(r"BRENIER_(\w+) = (\d+)", header)}
    assert len(values) == 43
    statuses = {name: value for name, value in values.items() if name in Status.__members__}
    assert statuses == {status.name: status.value for status in Status}
    for name, value in values.items():
        if name not in statuses:
            assert getattr(_ffi, name) == value, name


def test_every_struct_has_its_members(header: str) -> None:
    found = dict((name, body) for body, name in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", header))
    assert set(found) == set(STRUCTS)
    for name, body in found.items():
        members = [declaration(member, header) for member in body.split(";") if member.strip()]
        assert [(n, t) for t, n in members] == [(f[0], f[1]) for f in STRUCTS[name]._fields_], name


def test_the_callbacks(header: str) -> None:
    found = re.findall(r"typedef (\w+) \(\*(brenier_\w+)\)\((.*?)\);", header)
    assert {name for _, name, _ in found} == set(CALLBACKS)
    for result, name, arguments in found:
        kind = CALLBACKS[name]
        assert kind._restype_ is ctype(result, header)
        assert list(kind._argtypes_) == [declaration(a, header)[0] for a in arguments.split(",")]


def test_every_function_has_its_types(header: str) -> None:
    prototypes = re.findall(r"(?:^|[;}{]) ?((?:const )?\w+ \*?)(brenier_\w+)\(([^()]*)\)(?=;)", header)
    found = {}
    for result, name, arguments in prototypes:
        types = [] if arguments == "void" else [declaration(a, header)[0] for a in arguments.split(",")]
        found[name] = (ctype(result, header), types)
    assert len(found) == header.count("(") - header.count("(*") * 2
    assert found == _ffi.FUNCTIONS
