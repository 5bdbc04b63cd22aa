"""A model: noise to cells to codes to images."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arrays, _call, _ffi, interpolation, job
from .engine import CudaOptions, Engine, Handle, JobOptions, Precision, shared
from .errors import InvalidArgumentError, UnsupportedError
from .field import Field, FieldDType, OctaveLike
from .field import options as field_options
from .info import ModelInfo, model_info
from .interpolation import Along
from .job import Job

Mode = Literal["cell", "simplex", "pair"]
ImageDType = Literal["float32", "float16", "uint8"]
Layout = Literal["NCHW", "NHWC"]

_MODES = {"cell": _ffi.MODE_CELL, "simplex": _ffi.MODE_SIMPLEX, "pair": _ffi.MODE_PAIR}
_LAYOUTS = {"NCHW": _ffi.NCHW, "NHWC": _ffi.NHWC}
_IMAGE_DTYPES = ("float32", "float16", "uint8")


class Model:
    """A map, a decoder or both, on a device. Made by :func:`load` and :func:`fit`.

    Any method may be called from any thread, many at once. The interpreter lock is free during the
    work. Arrays are row-major: noise and codes ``[n, d]`` float32, cells ``[n, k]`` int64. Inputs
    that are C-contiguous and of that dtype are read where they are; others are converted first.

    Sample i of a seed is the same whatever ``n``, ``first``, the device or the thread count, so
    ``model.sample(8)[5]`` is ``model.sample(1, first=5)[0]``.

    A model is closed by :meth:`close`, at the end of a ``with`` block, or when nobody refers to it.

    Notes
    -----
    **fork**: the library's threads do not survive a fork. In a forked child every method raises
    :class:`ForkError`; use ``multiprocessing.get_context("spawn")`` and load the model in the child.
    """

    def __init__(self, engine: Engine, pointer: Any) -> None:
        self._engine = engine
        self._handle = Handle("model", "brenier_model_close", pointer)
        self._info = model_info(self._handle.pointer, engine.info)

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        i = self._info
        parts = [f"{i.points} points" if i.points else "no map", f"d = {i.dimension}"]
        parts.append(f"images [{i.channels}, {i.height}, {i.width}]" if i.channels else "no decoder")
        return f"<brenier.Model: {', '.join(parts)}, on {i.engine.device}>"

    def close(self) -> None:
        """Waits for calls in flight and gives the memory back. A second call does nothing."""
        self._handle.close()

    @property
    def pointer(self) -> Any:
        """The library's handle, for calls of its C interface; not to be closed."""
        return self._handle.pointer

    @property
    def info(self) -> ModelInfo:
        """What the model is and where it runs."""
        return self._info

    # ---- the map's tensors -----------------------------------------------------------------------

    @cached_property
    def points(self) -> NDArray[np.float32]:
        """The points y, ``[N, d]``, read-only."""
        return self._tensor("ot.points", self._info.dimension)

    @cached_property
    def heights(self) -> NDArray[np.float32]:
        """The heights h, ``[N]``, read-only, in the units of <x, y>."""
        return self._tensor("ot.heights")

    @cached_property
    def masses(self) -> NDArray[np.float32]:
        """The masses nu that the cells were fitted to, ``[N]``, read-only; all 1/N if the file names none."""
        try:
            return self._tensor("ot.masses")
        except UnsupportedError:
            if not self._info.points:
                raise
            equal = np.full(self._info.points, 1 / self._info.points, np.float32)
            equal.flags.writeable = False
            return equal

    @cached_property
    def centroids(self) -> NDArray[np.float32]:
        """The mass centres c of the cells, ``[N, d]``, read-only."""
        return self._tensor("ot.centroids", self._info.dimension)

    # ---- what is known of the images -------------------------------------------------------------

    @property
    def image_mean(self) -> NDArray[np.float32]:
        """The mean of the model's images, ``[C, H, W]``, read-only.

        Raises
        ------
        UnsupportedError
            The file does not have it, and neither :meth:`measure_images` nor a field has taken it.
        """
        return self._copy("output.mean", self._image_shape("NCHW"))

    @property
    def image_deviation(self) -> NDArray[np.float32]:
        """The standard deviation of the model's images, pixel by pixel, ``[C, H, W]``, read-only.

        Raises
        ------
        UnsupportedError
            As :attr:`image_mean`.
        """
        return self._copy("output.deviation", self._image_shape("NCHW"))

    def measure_images(self, n: int = 2048) -> None:
        """Takes the mean and the standard deviation of ``n`` of the model's images, pixel by pixel.

        Fields made from now on use them, and :meth:`save` keeps them. :func:`export` and :func:`fit` with a
        decoder do this themselves. The same model and ``n`` give the same numbers.

        Raises
        ------
        UnsupportedError
            The model has no map or no decoder.
        BadModelError
            The decoder makes images that are not finite.
        """
        _call.call("brenier_model_measure_images", self.pointer, _arrays.count("n", n, 1))

    def _tensor(self, name: str, *columns: int) -> NDArray[np.float32]:
        return self._copy(name, (self._info.points, *columns))

    def _copy(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        array = np.empty(shape, np.float32)
        _call.call("brenier_model_tensor", self.pointer, name.encode(), ctypes.byref(_call.buffer(array)))
        array.flags.writeable = False
        return array

    # ---- the stages, in the order of the data ----------------------------------------------------

    def noise(
        self, n: int, seed: int = 0, first: int = 0, *, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Noise x of samples ``first .. first + n - 1`` of ``seed``, from the model's source.

        Parameters
        ----------
        n : int
            Samples, 0 or more.
        seed, first : int
            0 .. 2**64 - 1.
        out : array, optional
            ``[n, d]`` float32 to write to.

        Returns
        -------
        array ``[n, d]`` float32
        """
        n = _arrays.count("n", n)
        x = _arrays.output(out, (n, self._info.dimension), np.float32)
        _call.call(
            "brenier_noise",
            self.pointer,
            _arrays.unsigned64("seed", seed),
            _arrays.unsigned64("first", first),
            n,
            ctypes.byref(_call.buffer(x)),
        )
        return x

    def locate(self, x: ArrayLike, k: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k cells of highest score <x, y_i> + h_i for each row, best first, ties by the lowest index.

        Parameters
        ----------
        x : array_like ``[n, d]``
            Finite.
        k : int
            1 .. min(32, N).

        Returns
        -------
        cells : array ``[n, k]`` int64
        scores : array ``[n, k]`` float64
            Exact: an fma chain over the dimensions in float64 that starts at h_i.

        Raises
        ------
        InvalidArgumentError
            A wrong shape or k; a NaN or infinity, by its row.
        UnsupportedError
            The model has no map.
        """
        x = _arrays.rows("x", x, self._info.dimension)
        n, k = x.shape[0], _arrays.count("k", k, 1)
        # A k that the model cannot have must not first ask for n times k of memory.
        columns = min(k, max(self._info.points, 1))
        cells, scores = np.empty((n, columns), np.int64), np.empty((n, columns), np.float64)
        _call.call(
            "brenier_locate",
            self.pointer,
            ctypes.byref(_call.buffer(x)),
            n,
            k,
            ctypes.byref(_call.buffer(cells)),
            ctypes.byref(_call.buffer(scores)),
        )
        return cells, scores

    def extend(
        self,
        x: ArrayLike,
        cells: ArrayLike,
        *,
        mode: Mode | None = None,
        theta: float | None = None,
        theta_radians: float | None = None,
        k: int | None = None,
        blend: float | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Codes z from noise and the cells that :meth:`locate` found for it.

        Parameters
        ----------
        x : array_like ``[n, d]``
            Finite.
        cells : array_like ``[n, k]``
            Best first; the first ``k`` of a row are used.
        mode, theta, theta_radians, k, blend
            As in :meth:`sample`.
        out : array, optional
            ``[n, d]`` float32 to write to.

        Returns
        -------
        array ``[n, d]`` float32
        """
        x = _arrays.rows("x", x, self._info.dimension)
        cells = _arrays.cells("cells", cells, x.shape[0])
        z = _arrays.output(out, x.shape, np.float32)
        extension = _extension(mode, theta, theta_radians, k, blend)
        _call.call(
            "brenier_extend",
            self.pointer,
            ctypes.byref(_call.buffer(x)),
            ctypes.byref(_call.buffer(cells)),
            x.shape[0],
            cells.shape[1],
            ctypes.byref(extension),
            ctypes.byref(_call.buffer(z)),
        )
        return z

    def codes(
        self,
        n: int,
        seed: int = 0,
        first: int = 0,
        *,
        mode: Mode | None = None,
        theta: float | None = None,
        theta_radians: float | None = None,
        k: int | None = None,
        blend: float | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Codes z of samples ``first .. first + n - 1`` of ``seed``: noise, locate and extend in one.

        Parameters are those of :meth:`sample`; ``out`` is ``[n, d]`` float32.

        Returns
        -------
        array ``[n, d]`` float32
        """
        n = _arrays.count("n", n)
        z = _arrays.output(out, (n, self._info.dimension), np.float32)
        extension = _extension(mode, theta, theta_radians, k, blend)
        _call.call(
            "brenier_codes",
            self.pointer,
            _arrays.unsigned64("seed", seed),
            _arrays.unsigned64("first", first),
            n,
            ctypes.byref(extension),
            ctypes.byref(_call.buffer(z)),
        )
        return z

    def decode(
        self,
        z: ArrayLike,
        *,
        dtype: ImageDType = "float32",
        layout: Layout = "NCHW",
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Images of codes.

        Parameters
        ----------
        z : array_like ``[n, d]``
            Finite.
        dtype, layout, out
            As in :meth:`sample`.

        Returns
        -------
        array ``[n, C, H, W]`` or ``[n, H, W, C]``
        """
        z = _arrays.rows("z", z, self._info.dimension)
        images = self._images(z.shape[0], dtype, layout, out)
        _call.call(
            "brenier_decode",
            self.pointer,
            ctypes.byref(_call.buffer(z)),
            z.shape[0],
            ctypes.byref(_call.buffer(images, _LAYOUTS[layout])),
        )
        return images

    def encode(
        self, images: ArrayLike, *, layout: Layout = "NCHW", out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Codes of images, by the model's encoder: the way back from :meth:`decode`.

        Parameters
        ----------
        images : array_like ``[n, C, H, W]`` or ``[n, H, W, C]``
            As :meth:`decode` makes them: ``uint8``, 0 .. 255 for the output's range, or finite floats in
            that range.
        layout : {"NCHW", "NHWC"}
        out : array, optional
            ``[n, d]`` float32 to write to.

        Returns
        -------
        array ``[n, d]`` float32

        Raises
        ------
        InvalidArgumentError
            A wrong shape or dtype; a NaN or infinity, by its image.
        UnsupportedError
            The model has no encoder.
        """
        array = self._given("images", images, layout)
        z = _arrays.output(out, (len(array), self._info.dimension), np.float32)
        _call.call(
            "brenier_encode",
            self.pointer,
            ctypes.byref(_call.buffer(array, _LAYOUTS[layout])),
            len(array),
            ctypes.byref(_call.buffer(z)),
        )
        return z

    def reconstruct(
        self,
        images: ArrayLike,
        *,
        dtype: ImageDType | None = None,
        layout: Layout = "NCHW",
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """What of images their codes keep: :meth:`decode` of :meth:`encode`.

        Parameters
        ----------
        images, layout
            As in :meth:`encode`.
        dtype, out
            As in :meth:`sample`; left at None, ``dtype`` is that of ``images``.

        Returns
        -------
        array of the images' shape
        """
        array = self._given("images", images, layout)
        z = self.encode(array, layout=layout)
        return self.decode(z, dtype=_dtype(dtype, array), layout=layout, out=out)

    def interpolate(
        self,
        a: ArrayLike,
        b: ArrayLike,
        steps: int,
        *,
        along: Along = "map",
        mode: Mode | None = None,
        theta: float | None = None,
        theta_radians: float | None = None,
        k: int | None = None,
        blend: float | None = None,
        dtype: ImageDType | None = None,
        layout: Layout = "NCHW",
    ) -> NDArray[Any]:
        """Images on the way from each of ``a`` to that of ``b``: :meth:`decode` of
        :meth:`interpolate_codes` of :meth:`encode`. The first and last are the reconstructions.

        Parameters
        ----------
        a, b, layout
            As ``images`` in :meth:`encode`, as many in b as in a.
        steps, along, mode, theta, theta_radians, k, blend
            As in :meth:`interpolate_codes`.
        dtype
            As in :meth:`sample`; left at None, that of ``a``.

        Returns
        -------
        array ``[n, steps, C, H, W]`` or ``[n, steps, H, W, C]``

        Examples
        --------
        >>> model.interpolate(images[:8], images[8:16], 9).shape      # doctest: +SKIP
        (8, 9, 1, 28, 28)
        """
        first, last = self._given("a", a, layout), self._given("b", b, layout)
        ends = self.encode(first, layout=layout), self.encode(last, layout=layout)
        z = self.interpolate_codes(
            *ends, steps, along=along, mode=mode, theta=theta, theta_radians=theta_radians, k=k, blend=blend
        )
        flat = z.reshape(-1, z.shape[2])
        images = self.decode(flat, dtype=_dtype(dtype, first), layout=layout)
        return images.reshape(*z.shape[:2], *images.shape[1:])

    def interpolate_codes(
        self,
        a: ArrayLike,
        b: ArrayLike,
        steps: int,
        *,
        along: Along = "map",
        mode: Mode | None = None,
        theta: float | None = None,
        theta_radians: float | None = None,
        k: int | None = None,
        blend: float | None = None,
    ) -> NDArray[np.float32]:
        """Codes on the way from each row of ``a`` to that of ``b``, at equal steps, the ends included.

        ``along="line"`` is z(t) = (1-t) a + t b, which may lead through codes that no data are near.

        ``along="map"`` goes where the model generates. Let y_i and y_j be the points nearest to a and b, and
        c_i and c_j the mass centres of their cells, which lie in them, for cells are convex: noise that
        the map sends to y_i and y_j. The way runs straight through the noise, x(t) = (1-t) c_i + t c_j, and
        with G(x) for the code that the model makes of noise x (:meth:`locate`, then :meth:`extend`)

            z(t) = G(x(t)) + (1-t) (a - G(c_i)) + t (b - G(c_j)).

        So the ends are a and b, and what they have beside the points fades from one into the other; for
        codes of data the model was fitted to that is nothing. Because the Brenier potential is convex,
        T = grad u meets every cell of the way once and <T(x(t)), c_j - c_i> never falls. Where the way
        crosses the singular set, z jumps: it does not pass between modes. docs/theory.md has more.

        Parameters
        ----------
        a, b : array_like ``[n, d]``
            Finite.
        steps : int
            2 or more.
        along : {"map", "line"}
        mode, theta, theta_radians, k, blend
            Of G, as in :meth:`sample`.

        Returns
        -------
        array ``[n, steps, d]`` float32

        Raises
        ------
        UnsupportedError
            ``along="map"``, and the model has no map or no mass centres.
        """
        first = _arrays.rows("a", a, self._info.dimension)
        last = _arrays.rows("b", b, self._info.dimension)
        if len(first) != len(last):
            raise InvalidArgumentError(f"b: want as many as a, {len(first)}, got {len(last)}")
        if not (np.isfinite(first).all() and np.isfinite(last).all()):
            raise InvalidArgumentError("a, b: want finite codes")
        return interpolation.between(
            self, first, last, _arrays.count("steps", steps, 2), along, mode=mode, theta=theta,
            theta_radians=theta_radians, k=k, blend=blend,
        )  # fmt: skip

    def sample(
        self,
        n: int,
        seed: int = 0,
        first: int = 0,
        *,
        mode: Mode | None = None,
        theta: float | None = None,
        theta_radians: float | None = None,
        k: int | None = None,
        blend: float | None = None,
        dtype: ImageDType = "float32",
        layout: Layout = "NCHW",
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Images of samples ``first .. first + n - 1`` of ``seed``: every stage in one.

        Whatever is left at None is the model's own setting.

        Parameters
        ----------
        n : int
            Samples, 0 or more.
        seed, first : int
            0 .. 2**64 - 1.
        mode : {"cell", "simplex", "pair"}, optional
            ``"cell"``: the point of the noise's cell. ``"simplex"``: the points of the k best cells,
            weighted by the inverse distance to their mass centres. ``"pair"``: the cell's point and
            the best neighbour's, blended.
        theta : float, optional
            In 0 .. 1, a quantile of the angles between neighbouring cells: neighbours at a larger
            angle lie across the singular set of the map and are left out. 1 leaves none out.
        theta_radians : float, optional
            The same limit as an angle, 0 .. pi. Only one of the two can be given.
        k : int, optional
            Cells considered, the best one included, 1 .. min(32, N).
        blend : float, optional
            Share of the neighbour in ``"pair"``, 0 .. 1; 0.5 by default.
        dtype : {"float32", "float16", "uint8"}
            ``uint8`` maps the output's range to 0 .. 255.
        layout : {"NCHW", "NHWC"}
        out : array, optional
            To write to, of the result's shape and dtype, C-contiguous.

        Returns
        -------
        array ``[n, C, H, W]`` or ``[n, H, W, C]``

        Raises
        ------
        InvalidArgumentError
            A size or range that is wrong.
        UnsupportedError
            The model has no decoder or no map, or lacks what the mode needs.

        Examples
        --------
        >>> model = brenier.load("mnist.safetensors")              # doctest: +SKIP
        >>> model.sample(16, seed=7, dtype="uint8").shape          # doctest: +SKIP
        (16, 1, 28, 28)
        """
        n = _arrays.count("n", n)
        images = self._images(n, dtype, layout, out)
        extension = _extension(mode, theta, theta_radians, k, blend)
        _call.call(
            "brenier_generate",
            self.pointer,
            _arrays.unsigned64("seed", seed),
            _arrays.unsigned64("first", first),
            n,
            ctypes.byref(extension),
            ctypes.byref(_call.buffer(images, _LAYOUTS[layout])),
        )
        return images

    def potential(self, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The potentials at each row of x.

        Parameters
        ----------
        x : array_like ``[n, d]``
            Finite.

        Returns
        -------
        brenier : array ``[n]`` float64
            u(x) = max_i <x, y_i> + h_i, convex.
        kantorovich : array ``[n]`` float64
            |x|^2 / 2 - u(x).
        """
        x = _arrays.rows("x", x, self._info.dimension)
        brenier, kantorovich = np.empty(x.shape[0]), np.empty(x.shape[0])
        _call.call(
            "brenier_potential",
            self.pointer,
            ctypes.byref(_call.buffer(x)),
            x.shape[0],
            ctypes.byref(_call.buffer(brenier)),
            ctypes.byref(_call.buffer(kantorovich)),
        )
        return brenier, kantorovich

    @cached_property
    def point_potentials(self) -> NDArray[np.float64]:
        """The dual potential at the points, psi_i = |y_i|^2 / 2 + h_i, ``[N]``, read-only.

        With phi the Kantorovich potential of :meth:`potential`, phi(x) + psi_i <= |x - y_i|^2 / 2 for all x
        and i, with equality where x is in cell i; and for fitted heights
        E[phi(x)] + sum_i nu_i psi_i = W2^2 / 2.
        """
        y = self.points.astype(np.float64)
        psi = np.einsum("ij,ij->i", y, y) / 2 + self.heights
        psi.flags.writeable = False
        return np.asarray(psi)

    def discriminator(self, z: ArrayLike) -> NDArray[np.float64]:
        """The optimal discriminator of codes, in closed form from the heights that generate them.

        psi(z) = |z|^2 / 2 + max_i h_i - R |z - y_i|, R a radius that holds the source (all but 1e-9 of a
        Gaussian's mass, by concentration). Together with phi of :meth:`potential`, the discriminator of
        noise, it is a Kantorovich pair for the cost |x - z|^2 / 2: phi(x) + psi(z) <= |x - z|^2 / 2 for
        |x| <= R and every z, with equality at the map's own (x, T(x)); and the gradient of
        |x|^2 / 2 - phi is the generator T (Lei, Su, Cui, Yau and Gu, "A geometric view of optimal
        transportation and generative model", 2019). At a point whose cell is not empty it is
        :attr:`point_potentials`. Off the points the dual problem leaves psi open; this is the least
        extension with h's slope bounded by R (McShane 1934; derived in docs/theory.md).

        Parameters
        ----------
        z : array_like ``[n, d]``
            Finite. Takes n N d operations of NumPy.

        Returns
        -------
        array ``[n]`` float64, in the units of |x|^2
        """
        codes = _arrays.rows("z", z, self._info.dimension).astype(np.float64)
        if not np.isfinite(codes).all():
            raise InvalidArgumentError("z: want finite codes")
        d = self._info.dimension
        radius = np.sqrt(d) / 2 if self._info.source == "uniform" else np.sqrt(d) + np.sqrt(2 * np.log(1e9))
        points, heights = self.points.astype(np.float64), self.heights.astype(np.float64)
        value = np.empty(len(codes))
        step = max(1, (1 << 22) // (len(points) * d))
        for at in range(0, len(codes), step):
            part = codes[at : at + step]
            distance = np.sqrt(((part[:, None] - points) ** 2).sum(axis=2))
            value[at : at + step] = (heights - radius * distance).max(axis=1)
        return np.asarray(value + np.einsum("ij,ij->i", codes, codes) / 2)

    # ---- the unbounded plane ---------------------------------------------------------------------

    def field(
        self,
        octaves: Sequence[OctaveLike] | None = None,
        *,
        seed: int = 0,
        channel: int = 0,
        channels: int | None = None,
        offset: float = 0.0,
        scale: float | None = None,
        cache_bytes: int | None = None,
        dtype: FieldDType = "float32",
        layout: Literal["NHWC", "NCHW"] = "NHWC",
    ) -> Field:
        """An unbounded plane of the model's images, whose height and width must be even.

        Parameters
        ----------
        octaves : sequence of Octave, or of its tuples ``(scale, amplitude, modulation)``, optional
            From coarse to fine, at most 16. Default: one of scale 1.
        seed : int
            0 .. 2**64 - 1: which of the planes :class:`Field` reads unless told.
        channel, channels : int
            The first of the image's channels that is read, and how many; default: all.
        offset, scale : float
            A value is ``offset + scale * (sum of the octaves)``. Default: floats are the sum as it is, of
            zero mean and, for one octave of amplitude 1, unit deviation; integers have the mean in the
            middle of their range and four deviations to either end.
        cache_bytes : int, optional
            Memory for tiles to be used again; 0: none. Default: 64 MiB. It changes no pixel.
        dtype : {"float32", "float16", "uint8", "uint16"}
        layout : {"NHWC", "NCHW"}
            Where more than one channel is read.

        Raises
        ------
        InvalidArgumentError
            An option that cannot be, by its name.
        UnsupportedError
            The model has no map or no decoder, or its images are of odd size.

        Examples
        --------
        >>> world = model.field([(8, 1), (1, 0.2, 1)], seed=7)     # doctest: +SKIP
        >>> world[-256:256, 10**12 : 10**12 + 512].shape           # doctest: +SKIP
        (512, 512)
        """
        o = field_options(octaves, channel, channels, offset, scale, cache_bytes)
        seed = _arrays.unsigned64("seed", seed)
        pointer = ctypes.POINTER(_ffi.Field)()
        _call.call("brenier_field_create", self.pointer, ctypes.byref(o), ctypes.byref(pointer))
        count = self._info.channels - channel if channels is None else channels
        return Field(self, pointer, seed, count, dtype, layout)

    # ---- jobs ------------------------------------------------------------------------------------

    def submit_sample(
        self,
        n: int,
        seed: int = 0,
        first: int = 0,
        *,
        mode: Mode | None = None,
        theta: float | None = None,
        theta_radians: float | None = None,
        k: int | None = None,
        blend: float | None = None,
        dtype: ImageDType = "float32",
        layout: Layout = "NCHW",
        out: NDArray[Any] | None = None,
        priority: int = 0,
        deadline: float | None = None,
    ) -> Job[NDArray[Any]]:
        """:meth:`sample` as a job, done by workers of the engine while the caller goes on.

        Parameters
        ----------
        n, seed, first, mode, theta, theta_radians, k, blend, dtype, layout, out
            As in :meth:`sample`, with n of 1 or more. Nobody else may use ``out`` until the job ends.
        priority : int
            Higher is more urgent.
        deadline : float, optional
            Seconds from now after which nothing more of the job is begun.

        Raises
        ------
        BusyError
            The engine holds as many jobs as it may; see :class:`JobOptions`.

        Examples
        --------
        >>> jobs = [model.submit_sample(4, seed=s) for s in range(8)]     # doctest: +SKIP
        >>> pictures = [job.result() for job in jobs]                     # doctest: +SKIP
        """
        n = _arrays.count("n", n)
        images = self._images(n, dtype, layout, out)
        extension = _extension(mode, theta, theta_radians, k, blend)
        options = job.options(priority, deadline)

        def submit(handle: Any) -> None:
            _call.call(
                "brenier_submit_generate",
                self.pointer,
                _arrays.unsigned64("seed", seed),
                _arrays.unsigned64("first", first),
                n,
                ctypes.byref(extension),
                ctypes.byref(_call.buffer(images, _LAYOUTS[layout])),
                ctypes.byref(options),
                handle,
            )

        return Job(submit, images, self)

    def submit_decode(
        self,
        z: ArrayLike,
        *,
        dtype: ImageDType = "float32",
        layout: Layout = "NCHW",
        out: NDArray[Any] | None = None,
        priority: int = 0,
        deadline: float | None = None,
    ) -> Job[NDArray[Any]]:
        """:meth:`decode` as a job; ``priority``, ``deadline`` and errors as of :meth:`submit_sample`.

        A ``z`` that is read where it is must not change until the job ends; a NaN or infinity in it is
        an error of the job and not of this call.
        """
        codes = _arrays.rows("z", z, self._info.dimension)
        images = self._images(codes.shape[0], dtype, layout, out)
        options = job.options(priority, deadline)

        def submit(handle: Any) -> None:
            _call.call(
                "brenier_submit_decode",
                self.pointer,
                ctypes.byref(_call.buffer(codes)),
                codes.shape[0],
                ctypes.byref(_call.buffer(images, _LAYOUTS[layout])),
                ctypes.byref(options),
                handle,
            )

        return Job(submit, images, self, codes)

    def submit_locate(
        self, x: ArrayLike, k: int = 1, *, priority: int = 0, deadline: float | None = None
    ) -> Job[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """:meth:`locate` as a job; ``x`` as ``z``, the rest as of :meth:`submit_sample`, n of 1 or more."""
        noise = _arrays.rows("x", x, self._info.dimension)
        n, k = noise.shape[0], _arrays.count("k", k, 1)
        columns = min(k, max(self._info.points, 1))  # as in locate
        cells, scores = np.empty((n, columns), np.int64), np.empty((n, columns), np.float64)
        options = job.options(priority, deadline)

        def submit(handle: Any) -> None:
            _call.call(
                "brenier_submit_locate",
                self.pointer,
                ctypes.byref(_call.buffer(noise)),
                n,
                k,
                ctypes.byref(_call.buffer(cells)),
                ctypes.byref(_call.buffer(scores)),
                ctypes.byref(options),
                handle,
            )

        return Job(submit, (cells, scores), self, noise)

    def run_jobs(self, budget: float) -> int:
        """Does jobs of this model's engine on the calling thread for about `budget` seconds, and less
        where there are none. Returns how many have not ended. With ``JobOptions(workers=0)`` nobody else
        does them."""
        left = ctypes.c_size_t()
        _call.call(
            "brenier_run", self._engine.handle.pointer, job.microseconds("budget", budget), ctypes.byref(left)
        )
        return left.value

    # ---- files -----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file: whole, or not at all.

        The mean and the deviation of the images are in it where they are known.

        Raises
        ------
        FileError
            The folder does not exist, the disk is full, and so on.
        """
        _call.call("brenier_model_save", self.pointer, os.fsencode(path))

    def _images(self, n: int, dtype: str, layout: str, out: NDArray[Any] | None) -> NDArray[Any]:
        i = self._info
        if not i.channels:
            raise UnsupportedError("the model has no decoder; export one, or ask for codes")
        name = np.dtype(dtype).name
        if name not in _IMAGE_DTYPES:
            raise InvalidArgumentError(f"dtype: want one of {', '.join(_IMAGE_DTYPES)}, got {name}")
        return _arrays.output(out, (n, *self._image_shape(layout)), name)

    def _given(self, name: str, images: ArrayLike, layout: str) -> NDArray[Any]:
        """Images to encode."""
        if not self._info.has_encoder:
            raise UnsupportedError(
                "the model has no encoder; export one with the decoder, or encode the images elsewhere"
            )
        return _arrays.images(name, images, self._image_shape(layout))

    def _image_shape(self, layout: str) -> tuple[int, int, int]:
        i = self._info
        if layout not in _LAYOUTS:
            raise InvalidArgumentError(f"layout: want NCHW or NHWC, got {layout!r}")
        return (i.channels, i.height, i.width) if layout == "NCHW" else (i.height, i.width, i.channels)


def _dtype(asked: ImageDType | None, images: NDArray[Any]) -> Any:
    return images.dtype.name if asked is None else asked


def _extension(
    mode: str | None,
    theta: float | None,
    theta_radians: float | None,
    k: int | None,
    blend: float | None,
) -> _ffi.Extension:
    """The settings as the library's struct; what is None keeps the library's default."""
    extension = _call.initialised(_ffi.Extension, "brenier_extension_init")
    if mode is not None:
        if mode not in _MODES:
            raise InvalidArgumentError(f"mode: want one of {', '.join(_MODES)}, got {mode!r}")
        extension.mode = _MODES[mode]
    if k is not None:
        extension.k = _arrays.count("k", k, 1)
    if theta is not None and theta_radians is not None:
        raise InvalidArgumentError("theta and theta_radians are one limit in two units; give one")
    if theta is not None:
        extension.angle, extension.theta = _ffi.ANGLE_QUANTILE, theta
    if theta_radians is not None:
        extension.angle, extension.theta = _ffi.ANGLE_RADIANS, theta_radians
    if blend is not None:
        extension.blend = blend
    return extension


def load(
    path: str | os.PathLike[str],
    device: str = "auto",
    threads: int | None = None,
    *,
    cuda: CudaOptions | None = None,
    precision: Precision | None = None,
    jobs: JobOptions | None = None,
) -> Model:
    """Reads, checks and prepares a model file. The file is not needed afterwards.

    Parameters
    ----------
    path : str or path-like
        A brenier model file.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. ``"auto"`` is what the environment's
        ``BRENIER_DEVICE`` says, or the best there is.
    threads : int, optional
        Worker threads on the CPU. Default: ``BRENIER_THREADS``, or all processors. Models of one
        device and thread count share their threads.
    cuda : CudaOptions, optional
        How a CUDA device is used.
    precision : {"float16", "bfloat16", "float32"}, optional
        The type of the networks' activations on a CUDA device. Every value of an image is within
        2e-3, 1.6e-2 or 1e-5 of the output's range of a float64 decode, and of a code of an image within
        the same of the codes' range of a float64 encoding. ``"bfloat16"`` is for
        decoders whose activations leave float16's range; ``"float32"`` does without tensor cores.
        Default: ``"float16"``. The CPU always computes in float32.
    jobs : JobOptions, optional
        Who does jobs, and how; see :meth:`Model.submit_sample`.

    Raises
    ------
    FileError
        The file could not be read.
    BadModelError
        It is malformed; the text names the tensor or node.
    DeviceError
        There is no such device.

    Examples
    --------
    >>> with brenier.load("terrain.safetensors", device="cpu") as model:   # doctest: +SKIP
    ...     tiles = model.sample(4, seed=1)
    """
    engine = shared(device, threads, cuda, precision, jobs)
    pointer = ctypes.POINTER(_ffi.Model)()
    _call.call("brenier_model_open", engine.handle.pointer, os.fsencode(path), ctypes.byref(pointer))
    return Model(engine, pointer)


def load_bytes(
    data: bytes | bytearray | memoryview,
    device: str = "auto",
    threads: int | None = None,
    *,
    cuda: CudaOptions | None = None,
    precision: Precision | None = None,
    jobs: JobOptions | None = None,
) -> Model:
    """:func:`load` for a model file in memory, which is not needed afterwards."""
    engine = shared(device, threads, cuda, precision, jobs)
    view = np.frombuffer(data, np.uint8)
    pointer = ctypes.POINTER(_ffi.Model)()
    _call.call(
        "brenier_model_open_memory",
        engine.handle.pointer,
        view.ctypes.data,
        view.nbytes,
        ctypes.byref(pointer),
    )
    return Model(engine, pointer)
