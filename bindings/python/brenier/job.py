"""Jobs: work that goes on while the caller does something else."""

from __future__ import annotations

import ctypes
import time
from types import TracebackType
from typing import Any, Callable, Generic, Literal, TypeVar

from . import _call, _ffi
from .engine import Handle
from .errors import BusyError, Error, InvalidArgumentError, InvalidHandleError

ResultT = TypeVar("ResultT")

State = Literal["queued", "running", "done", "cancelled", "expired", "failed"]
_STATES: tuple[State, ...] = ("queued", "running", "done", "cancelled", "expired", "failed")

# How long a wait is away from the interpreter, which then looks for Ctrl-C.
_WAIT_US = 100_000


def options(priority: int, deadline: float | None) -> _ffi.JobOptions:
    """When a job is done, as the library's struct."""
    struct = _call.initialised(_ffi.JobOptions, "brenier_job_options_init")
    if not -(2**31) <= priority < 2**31:
        raise InvalidArgumentError(f"priority: want a number of 32 bits, got {priority}")
    struct.priority = priority
    if deadline is not None:
        struct.deadline_us = max(microseconds("deadline", deadline), 1)
    return struct


class Job(Generic[ResultT]):
    """Work that was submitted to a model or a field; like :class:`concurrent.futures.Future` in its manners.

    The job holds on to its model or field and to the arrays that it reads and writes until it has ended, so
    none of them needs to be kept. One that nobody refers to any more is cancelled, and so is one that
    is closed, by :meth:`close` or at the end of a ``with`` block, before it has ended.
    """

    def __init__(
        self, submit: Callable[[Any], None], result: ResultT, owner: object, *arrays: object
    ) -> None:
        pointer = ctypes.POINTER(_ffi.Job)()
        submit(ctypes.byref(pointer))
        self._handle = Handle("job", "brenier_job_close", pointer, owner, result, *arrays)
        self._result = result

    def __enter__(self) -> Job[ResultT]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            return f"<brenier.Job: {self.poll()}>"
        except InvalidHandleError:
            return "<brenier.Job: closed>"

    def poll(self) -> State:
        """Where the job is, without waiting."""
        state = _ffi.JobState()
        _call.call("brenier_poll", self._handle.pointer, ctypes.byref(state))
        return _STATES[state.value]

    def done(self) -> bool:
        """Whether the job has ended, well or not."""
        return _STATES.index(self.poll()) >= _ffi.JOB_DONE

    def running(self) -> bool:
        """Whether some of it has been begun, and it has not ended."""
        return self.poll() == "running"

    def cancelled(self) -> bool:
        """Whether it ended because somebody asked for that."""
        return self.poll() == "cancelled"

    def cancel(self) -> None:
        """Asks the job to end, and does not wait. What is being done goes on for a slice, some 2 ms; a
        job in its last slice is done all the same."""
        _call.call("brenier_cancel", self._handle.pointer)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits, at most `timeout` seconds, and returns whether the job has ended, well or not."""
        return not isinstance(self.exception(timeout), BusyError)

    def exception(self, timeout: float | None = None) -> Error | None:
        """Waits as :meth:`result` does, and returns what it would raise, or None."""
        left = None if timeout is None else microseconds("timeout", timeout)
        started = time.monotonic()
        while True:
            step = _WAIT_US if left is None else min(left, _WAIT_US)
            try:
                _call.call("brenier_wait", self._handle.pointer, step)
            except BusyError as busy:
                if left is not None and (time.monotonic() - started) * 1e6 >= left:
                    return busy
            except InvalidHandleError:
                raise
            except Error as error:
                return error
            else:
                return None

    def result(self, timeout: float | None = None) -> ResultT:
        """Waits, at most `timeout` seconds, and returns the arrays.

        Raises
        ------
        BusyError
            The job has not ended in this time. It goes on, and can be asked again.
        CancelledError
            It was cancelled, by itself or with its model or field.
        ExpiredError
            Its deadline passed.
        Error
            What the method that waits would have raised.
        """
        error = self.exception(timeout)
        try:
            if error is not None:
                raise error
            return self._result
        finally:
            del error  # or it and this frame would keep each other, and the arrays, alive

    def close(self) -> None:
        """Cancels the job if it has not ended, waits for that, and lets go of its arrays. A second call
        does nothing."""
        self._handle.close()


def microseconds(name: str, seconds: float) -> int:
    """A time as the library takes it."""
    if not seconds >= 0:  # nor NaN
        raise InvalidArgumentError(f"{name}: want seconds of 0 or more, got {seconds!r}")
    return int(min(seconds * 1e6, 2.0**63))
