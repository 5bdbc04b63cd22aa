"""An unbounded plane of a model's images."""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from . import _arrays, _call, _ffi, job
from .engine import Handle
from .errors import InvalidArgumentError
from .job import Job

if TYPE_CHECKING:
    from .model import Model

FieldDType = Literal["float32", "float16", "uint8", "uint16"]

_DTYPES = ("float32", "float16", "uint8", "uint16")
_LAYOUTS = {"NHWC": _ffi.NHWC, "NCHW": _ffi.NCHW}


class Octave(NamedTuple):
    """A layer of a field.

    Attributes
    ----------
    scale : int
        The field's pixels in one of its own, along an axis: a power of two up to 65536. Between its
        pixels it is read by bicubic interpolation.
    amplitude : float
        Its standard deviation, in units of the field's ``scale``; not 0.
    modulation : float
        In 0 .. 1: how far the slope of the octave before it decides on its amplitude.
    """

    scale: int = 1
    amplitude: float = 1.0
    modulation: float = 0.0


OctaveLike = Union[Octave, tuple[int], tuple[int, float], tuple[int, float, float]]


class Field:
    """An unbounded plane of a model's images, made by :meth:`Model.field`.

    ``field[y0:y1, x0:x1]`` are its pixels, at any place: negative ones too, for the plane has no end
    to count from. A step of 2, 4, 8, .. reads that level: ``field[0:4096:8, 0:4096:8]`` are 512 x 512
    means of 8 x 8 pixels, at the price of 512 x 512.

    A pixel depends on the model, the options, the seed and its place alone, bit for bit on one device:
    not on how a region is cut into reads, nor on their order, the threads or the cache. Any method may
    be called from any thread, many at once; the interpreter lock is free during the work.
    """

    def __init__(
        self, model: Model, pointer: Any, seed: int, channels: int, dtype: FieldDType, layout: str
    ) -> None:
        self._model = model  # which must not be closed before its field because nobody refers to it
        self._handle = Handle("field", "brenier_field_destroy", pointer)
        self._seed, self._channels, self._dtype, self._layout = seed, channels, dtype, layout

    def __enter__(self) -> Field:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        channels = f", {self._channels} channels" if self._channels > 1 else ""
        return f"<brenier.Field: seed {self._seed}, {self._dtype}{channels}, of {self._model!r}>"

    def close(self) -> None:
        """Cancels the field's jobs, waits for them and for the reads in flight, and gives the memory back. A
        second call does nothing."""
        self._handle.close()

    @property
    def pointer(self) -> Any:
        """The library's handle, for calls of its C interface; not to be closed."""
        return self._handle.pointer

    def __getitem__(self, place: tuple[slice, slice]) -> NDArray[Any]:
        if not (isinstance(place, tuple) and len(place) == 2 and all(isinstance(s, slice) for s in place)):
            raise TypeError("field: want two slices, field[y0:y1, x0:x1]")
        (y, height, step), (x, width, step_x) = _span("rows", place[0]), _span("columns", place[1])
        if step != step_x:
            raise InvalidArgumentError(f"field: want one step for rows and columns, got {step} and {step_x}")
        return self.read(x, y, width, height, level=step.bit_length() - 1)

    def read(
        self,
        x: int,
        y: int,
        width: int,
        height: int,
        *,
        level: int = 0,
        seed: int | None = None,
        dtype: FieldDType | None = None,
        layout: Literal["NHWC", "NCHW"] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """The pixels of columns ``x .. x + width - 1`` and rows ``y .. y + height - 1`` of a level.

        Parameters
        ----------
        x, y : int
            In the level's pixels: pixel (x, y) of level l is the mean of those of level 0 from
            (x 2**l, y 2**l) to the next one's. They must lie within -2**62 .. 2**62 - 1 of level 0.
        width, height : int
            1 or more.
        level : int
            0 .. 30. A pixel costs about the same at every level. Octaves of a scale below 2**level are
            estimated from the tiles' codes; the first read of such a level makes the estimate, which
            takes some seconds on a CPU.
        seed, dtype, layout
            Those of the field, unless given.
        out : array, optional
            To write to, of the result's shape and dtype, C-contiguous.

        Returns
        -------
        array ``[height, width]`` of one channel, else ``[height, width, C]`` or ``[C, height, width]``
            Integers are the value rounded and clamped.

        Raises
        ------
        InvalidArgumentError
            A size, a level or a place that cannot be.
        """
        pixels, arguments = self._request(x, y, width, height, level, seed, dtype, layout, out)
        _call.call("brenier_field_read", self.pointer, *arguments)
        return pixels

    def submit_read(
        self,
        x: int,
        y: int,
        width: int,
        height: int,
        *,
        level: int = 0,
        seed: int | None = None,
        dtype: FieldDType | None = None,
        layout: Literal["NHWC", "NCHW"] | None = None,
        out: NDArray[Any] | None = None,
        priority: int = 0,
        deadline: float | None = None,
    ) -> Job[NDArray[Any]]:
        """:meth:`read` as a job, done by workers of the engine while the caller goes on; ``priority``,
        ``deadline`` and errors as of :meth:`Model.submit_sample`.

        Nobody else may use ``out`` until the job ends.

        Examples
        --------
        >>> jobs = [world.submit_read(256 * i, 0, 256, 256) for i in range(8)]     # doctest: +SKIP
        >>> chunks = [job.result() for job in jobs]                                # doctest: +SKIP
        """
        pixels, arguments = self._request(x, y, width, height, level, seed, dtype, layout, out)
        options = job.options(priority, deadline)

        def submit(handle: Any) -> None:
            _call.call("brenier_submit_field_read", self.pointer, *arguments, ctypes.byref(options), handle)

        return Job(submit, pixels, self)

    def _request(
        self,
        x: int,
        y: int,
        width: int,
        height: int,
        level: int,
        seed: int | None,
        dtype: FieldDType | None,
        layout: Literal["NHWC", "NCHW"] | None,
        out: NDArray[Any] | None,
    ) -> tuple[NDArray[Any], tuple[Any, ...]]:
        """The array that a read writes to, and the library's arguments after the field."""
        name = np.dtype(self._dtype if dtype is None else dtype).name
        if name not in _DTYPES:
            raise InvalidArgumentError(f"dtype: want one of {', '.join(_DTYPES)}, got {name}")
        layout_name = self._layout if layout is None else layout
        if layout_name not in _LAYOUTS:
            raise InvalidArgumentError(f"layout: want NHWC or NCHW, got {layout_name!r}")
        width, height = _arrays.count("width", width, 1), _arrays.count("height", height, 1)
        shape: tuple[int, ...] = (height, width)
        if self._channels > 1 and layout_name == "NHWC":
            shape = (*shape, self._channels)
        elif self._channels > 1:
            shape = (self._channels, *shape)
        pixels = _arrays.output(out, shape, name)
        return pixels, (
            self._seed if seed is None else _arrays.unsigned64("seed", seed),
            _arrays.signed64("x", x),
            _arrays.signed64("y", y),
            width,
            height,
            _arrays.count("level", level),
            ctypes.byref(_call.buffer(pixels, _LAYOUTS[layout_name])),
        )


def _span(name: str, part: slice) -> tuple[int, int, int]:
    """First pixel of the level, their number, and the step of a slice."""
    if part.start is None or part.stop is None:
        raise InvalidArgumentError(f"{name}: want a first and a last place, for the plane has no end")
    start, stop = operator.index(part.start), operator.index(part.stop)
    step = 1 if part.step is None else operator.index(part.step)
    if step < 1 or step & (step - 1):
        raise InvalidArgumentError(f"{name}: want a step of 1, 2, 4, .., got {step}")
    if start % step or stop % step:
        raise InvalidArgumentError(
            f"{name}: want places that are multiples of the step, got {start}:{stop}:{step}"
        )
    return start // step, (stop - start) // step, step


def options(
    octaves: Sequence[OctaveLike] | None,
    channel: int,
    channels: int | None,
    offset: float,
    scale: float | None,
    cache_bytes: int | None,
) -> _ffi.FieldOptions:
    """The settings as the library's struct."""
    o = _call.initialised(_ffi.FieldOptions, "brenier_field_options_init")
    if octaves is not None:
        layers = [Octave(*octave) for octave in octaves]
        if not layers:
            raise InvalidArgumentError("octaves: want at least one")
        array = (_ffi.Octave * len(layers))()
        for struct, layer in zip(array, layers):
            if layer.scale == 0 or layer.amplitude == 0:  # which the library takes for 1
                raise InvalidArgumentError(
                    f"octaves: want a scale and an amplitude other than 0, got {layer}"
                )
            struct.struct_size = ctypes.sizeof(_ffi.Octave)
            struct.scale = _arrays.count("octaves: scale", layer.scale)
            struct.amplitude, struct.modulation = layer.amplitude, layer.modulation
        o.octaves, o.n_octaves = array, len(layers)
    o.channel = _arrays.count("channel", channel)
    o.channels = 0 if channels is None else _arrays.count("channels", channels, 1)
    o.offset, o.scale = offset, 0 if scale is None else scale
    if cache_bytes is not None:
        o.cache_bytes = _arrays.signed64("cache_bytes", cache_bytes) or -1
    return o
