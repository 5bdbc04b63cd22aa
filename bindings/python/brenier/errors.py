"""What goes wrong, as exceptions: one class, and a subclass for each status of the library."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """``brenier_status`` of brenier.h."""

    OK = 0
    INVALID_ARGUMENT = 1
    INVALID_HANDLE = 2
    SHORT_BUFFER = 3
    BAD_MODEL = 4
    IO = 5
    UNSUPPORTED = 6
    OUT_OF_MEMORY = 7
    DEVICE = 8
    CANCELLED = 9
    INTERNAL = 10
    BUSY = 11
    EXPIRED = 12


class Error(Exception):
    """Any failure of brenier. The text is one sentence: what is wrong, where, and what to do.

    Attributes
    ----------
    status : Status or None
        The library's status; None if the fault has none, because no function of the library was
        concerned.
    """

    status: Status | None = None


class InvalidArgumentError(Error, ValueError):
    """A size, a range, a dtype, a NaN in the input."""

    status = Status.INVALID_ARGUMENT


class InvalidHandleError(Error, ValueError):
    """An engine, a model or a job that was closed before."""

    status = Status.INVALID_HANDLE


class ShortBufferError(Error, BufferError):
    """The memory given is smaller than the result."""

    status = Status.SHORT_BUFFER


class BadModelError(Error, ValueError):
    """The model file is malformed."""

    status = Status.BAD_MODEL


class FileError(Error, OSError):
    """A file could not be read or written."""

    status = Status.IO


class UnsupportedError(Error):
    """The model lacks the part asked for, or the device the ability."""

    status = Status.UNSUPPORTED


class OutOfMemoryError(Error, MemoryError):
    """There is not enough memory."""

    status = Status.OUT_OF_MEMORY


class DeviceError(Error, RuntimeError):
    """There is no such device, or it failed."""

    status = Status.DEVICE


class CancelledError(Error):
    """A progress callback asked to stop, or a job was cancelled."""

    status = Status.CANCELLED


class InternalError(Error, RuntimeError):
    """A defect of the library. The engine refuses further work."""

    status = Status.INTERNAL


class BusyError(Error, TimeoutError):
    """Not now: the engine holds as many jobs as it may, or the job has not ended in the time given."""

    status = Status.BUSY


class ExpiredError(Error):
    """The job's deadline passed before all of it was begun."""

    status = Status.EXPIRED


class LibraryError(Error, ImportError):
    """The shared library was not found, could not be loaded, or is of another version."""


class ForkError(Error, RuntimeError):
    """The library was called in a forked child of the process that loaded it."""


class ExportError(Error, ValueError):
    """A decoder cannot be written as a model file.

    Attributes
    ----------
    faults : tuple of str
        Every operator that a model file does not have, and where it is; empty if the export failed
        for another reason.
    """

    def __init__(self, text: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.faults = faults


_BY_STATUS: dict[int, type[Error]] = {
    kind.status: kind
    for kind in (
        InvalidArgumentError,
        InvalidHandleError,
        ShortBufferError,
        BadModelError,
        FileError,
        UnsupportedError,
        OutOfMemoryError,
        DeviceError,
        CancelledError,
        InternalError,
        BusyError,
        ExpiredError,
    )
    if kind.status is not None
}


def from_status(status: int, text: str) -> Error:
    """The exception for a status that is not OK, and the library's sentence for it."""
    kind = _BY_STATUS.get(status)
    if kind is None:
        return Error(f"{text} (status {status}, which this version of the package does not know)")
    return kind(text)
