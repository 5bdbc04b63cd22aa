"""Finds the shared library, loads it once, and checks that it fits this package."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from pathlib import Path

from . import _ffi
from .errors import ForkError, LibraryError

_NAMES = {"win32": "brenier.dll", "darwin": "libbrenier.dylib"}
NAME = _NAMES.get(sys.platform, "libbrenier.so")

_lock = threading.Lock()
_library: ctypes.CDLL | None = None
_path: Path | None = None
_pid = 0


def library() -> ctypes.CDLL:
    """The loaded library, its functions declared.

    Raises
    ------
    LibraryError
        It was not found, could not be loaded, or is of another version.
    ForkError
        This process was forked from one that had loaded it.
    """
    if _library is None:
        with _lock:
            if _library is None:
                _load()
    if _pid != os.getpid():
        raise ForkError(
            f"brenier was loaded in process {_pid} and this is its forked child {os.getpid()}, where "
            "the library's threads do not exist; start children anew, with "
            'multiprocessing.get_context("spawn"), and load the model in them'
        )
    assert _library is not None
    return _library


def library_path() -> Path:
    """The file that :func:`library` was loaded from."""
    library()
    assert _path is not None
    return _path


def usable() -> bool:
    """Whether the library is loaded and this process may call it."""
    return _library is not None and _pid == os.getpid()


def candidates() -> list[Path]:
    """The files that are tried, in order.

    ``BRENIER_LIBRARY`` stands alone when it is set: a library that was asked for by name and does
    not load must not be replaced by another one in silence.
    """
    chosen = os.environ.get("BRENIER_LIBRARY")
    if chosen:
        return [Path(chosen)]
    return [Path(__file__).resolve().parent / "lib" / NAME]


def _load() -> None:
    global _library, _path, _pid
    tried: list[str] = []
    for path in candidates():
        try:
            # A name without a folder would be looked for on the system's search path.
            loaded = ctypes.CDLL(os.fspath(path.absolute()))
        except OSError as error:
            tried.append(f"  {path}: {error if path.exists() else 'no such file'}")
            continue
        _check_version(loaded, path)
        _ffi.declare(loaded)
        _library, _path, _pid = loaded, path.absolute(), os.getpid()
        return
    raise LibraryError(
        "the brenier library could not be loaded; tried\n"
        + "\n".join(tried)
        + "\nInstall the wheel of this platform, or set BRENIER_LIBRARY to the library's file"
    )


def _check_version(loaded: ctypes.CDLL, path: Path) -> None:
    """Refuses a library whose interface differs; see ``brenier_version`` in brenier.h."""
    try:
        loaded.brenier_version.restype = ctypes.c_uint32
        version = int(loaded.brenier_version())
    except AttributeError:
        raise LibraryError(f"{path}: not a brenier library: it has no brenier_version") from None
    major, minor, patch = version // 1_000_000, version // 1000 % 1000, version % 1000
    want = _ffi.VERSION
    if major != want[0] or (major == 0 and minor != want[1]):
        raise LibraryError(
            f"{path}: this package was made for version {want[0]}.{want[1]} of the library, which is "
            f"{major}.{minor}.{patch}; install a library and a package of one version"
        )
