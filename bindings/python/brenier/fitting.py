"""Fit: from points to heights, so that each cell has its mass."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Callable, Literal, TextIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arrays, _call, _ffi
from .engine import CudaOptions, shared
from .errors import CancelledError, InvalidArgumentError
from .model import Model


@dataclass(frozen=True)
class FitProgress:
    """How far a fit is.

    Attributes
    ----------
    samples, samples_max : int
        Drawn so far, and at most.
    chi_squared : float
        sum_i (m_i - nu_i)^2 / nu_i on samples that the fit never saw; NaN until first measured.
    empty : int
        Cells that those samples missed beyond what chance misses; -1 until first measured.
    seconds : float
        Since the start; of a fit taken up again, with the time before.
    energy : float
        E[max_i <x,y_i> + h_i] - sum_i nu_i h_i on those samples; NaN until first measured.
    seconds_left : float
        A prediction, the certificate included; NaN while there is none.
    tested, to_test : int
        Samples of the certificate so far, and that it takes; both 0 until it begins.
    """

    samples: int
    samples_max: int
    chi_squared: float
    empty: int
    seconds: float
    energy: float = math.nan
    seconds_left: float = math.nan
    tested: int = 0
    to_test: int = 0


class Fit:
    """The result of :func:`fit`: a map, as a :class:`Model` without further ado."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __repr__(self) -> str:
        return f"<brenier.Fit: {self._model.info.points} points, d = {self._model.info.dimension}>"

    @property
    def model(self) -> Model:
        """The map, ready for ``noise``, ``locate``, ``codes`` and, given a decoder, ``sample``."""
        return self._model

    @property
    def points(self) -> NDArray[np.float32]:
        """The points y, ``[N, d]``, read-only."""
        return self._model.points

    @property
    def heights(self) -> NDArray[np.float32]:
        """The heights h, ``[N]``, read-only."""
        return self._model.heights

    @property
    def masses(self) -> NDArray[np.float32]:
        """The masses nu, ``[N]``, read-only; they sum to 1."""
        return self._model.masses

    @property
    def centroids(self) -> NDArray[np.float32]:
        """The mass centres c of the cells, ``[N, d]``, read-only."""
        return self._model.centroids

    @property
    def report(self) -> dict[str, Any]:
        """The certificate, on samples that the fit never saw.

        ``chi2`` and its standard error ``chi2_error``, the ``tolerance`` and whether it was ``met``
        (by two standard errors, and no cell empty but by chance); ``total_variation`` and what of it
        is the test's own noise, ``total_variation_floor``; ``empty`` cells among ``test_samples``,
        their number if every mass were exact, ``empty_expected``, and an upper bound of their mass,
        ``empty_mass``; ``largest_error`` of a mass, relative, ``largest_error_floor`` for exact
        masses, and the part that is certain, ``largest_error_certain``; the dual ``energy``;
        ``w2_lower`` and ``w2_upper``, bounds of W2^2 for the cost |x-y|^2; standard errors of all
        three as ``energy_error`` and so on; ``samples_to_halve``, what half of ``chi2`` would cost;
        ``centroid_error`` and ``angle_error``, of the mass centres and of the angles' quantiles;
        ``duplicates``, ``method``, ``samples`` and ``seconds`` that it took.

        ``history`` is how ``chi2`` fell: lists of ``samples``, ``chi2`` and ``chi2_error``, or of ``chi2``
        alone before each Newton step of an exact fit and after the last. ``relative_masses`` is a
        histogram of the cells by their mass over the test samples, relative to the one wanted: bins
        of one width from ``low`` to ``high``, their ``cells``, and the ``noise`` of exact masses.
        ``brenier info MODEL --plot FILE`` draws both.
        """
        report = self._model.info.metadata.get("fit", {})
        assert isinstance(report, dict)
        return report

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the map, and the decoder if :func:`fit` was given one, as a model file."""
        self._model.save(path)


_METHODS = {"auto": _ffi.FIT_AUTO, "sampled": _ffi.FIT_SAMPLED, "exact": _ffi.FIT_EXACT}


def fit(
    points: ArrayLike,
    masses: ArrayLike | None = None,
    source: Literal["gaussian", "uniform"] = "gaussian",
    tol: float = 1e-3,
    samples_max: int | None = None,
    seed: int = 0,
    progress: bool | Callable[[FitProgress], object] = True,
    *,
    start: ArrayLike | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    rebalance: bool = False,
    method: Literal["auto", "sampled", "exact"] = "auto",
    decoder: Model | None = None,
    device: str = "auto",
    threads: int | None = None,
    cuda: CudaOptions | None = None,
) -> Fit:
    """Finds heights so that the cell of point i has mass nu_i, and the cells' mass centres.

    Interrupting it (Ctrl-C) stops it within a fraction of a second.

    Parameters
    ----------
    points : array_like ``[N, d]``
        The codes of a data set; float32 and float16 are read as they are.
    masses : array_like ``[N]``, optional
        Each above 0; scaled to sum 1. Default: all equal.
    source : {"gaussian", "uniform"}
        N(0, I), or uniform on [-1/2, 1/2]^d.
    tol : float
        Stop at this chi-squared: sum_i (m_i - nu_i)^2 / nu_i on samples that the fit never saw.
    samples_max : int, optional
        Give up after this many samples. Default: chosen from N.
    seed : int
        The same seed and points give the same heights.
    progress : bool or callable
        True: a line on the standard error stream. A callable gets a :class:`FitProgress` a few
        times a second; if it returns a true value or raises, the fit stops.
    start : array_like ``[N]``, optional
        Heights to start from, as those of an earlier fit.
    checkpoint : path, optional
        A file that the fit's state is kept in, every 20 seconds and whole at any time. A fit that
        finds it there goes on from it to the same heights; it stays when the fit is done.
    rebalance : bool
        Where the samples run out first, lift the cells that are still empty.
    method : {"auto", "sampled", "exact"}
        Descent on fresh samples, in any dimension, or, in one and two, integrals over the cells
        themselves. "auto" takes the exact one on the line and, up to 200,000 points, in the plane.
        An exact fit draws no samples to find heights and keeps no state: "exact" refuses
        ``samples_max`` and ``checkpoint``, "auto" does without them where it is exact.
        The report of an exact fit has "mass_error", the largest error of a mass, integrated.
    decoder : Model, optional
        A model whose decoder goes into the result.
    device : str
        As in :func:`load`. Ignored with ``decoder``, whose device is used.
    threads : int, optional
        As in :func:`load`.
    cuda : CudaOptions, optional
        As in :func:`load`.

    Returns
    -------
    Fit
        Also when the tolerance was not met: see ``report``.

    Raises
    ------
    InvalidArgumentError
        A wrong shape; a value that is not finite, by its row; a mass that is not above 0.
    CancelledError
        The callable returned a true value. What it raises is passed on.

    Examples
    --------
    >>> result = brenier.fit(codes, tol=5e-3)                   # doctest: +SKIP
    >>> result.report["met"], result.report["chi2"]             # doctest: +SKIP
    (True, 0.0047)
    """
    points = _arrays.points(points)
    n, dimension = points.shape
    weights = None if masses is None else _arrays.vector("masses", masses, n)
    if not (tol > 0 and math.isfinite(tol)):
        raise InvalidArgumentError(f"tol: want a positive number, got {tol}")
    if method not in _METHODS:
        raise InvalidArgumentError(f"method: want one of {', '.join(_METHODS)}, got {method!r}")
    engine = decoder._engine if decoder is not None else shared(device, threads, cuda)

    watch = _Watch(_reporter(progress))
    options = _call.initialised(_ffi.FitOptions, "brenier_fit_options_init")
    options.source = source.encode()
    options.tolerance = tol
    options.samples_max = 0 if samples_max is None else _arrays.unsigned64("samples_max", samples_max)
    options.seed = _arrays.unsigned64("seed", seed)
    options.progress = _ffi.ProgressCallback(watch)
    heights = None if start is None else _arrays.vector("start", start, n)
    if heights is not None:
        options.start = ctypes.pointer(_call.buffer(heights))
    if checkpoint is not None:
        options.checkpoint = os.fsencode(checkpoint)
    options.rebalance = int(rebalance)
    options.method = _METHODS[method]
    if decoder is not None:
        options.decoder = decoder.pointer
    pointer = ctypes.POINTER(_ffi.Model)()
    try:
        with _interrupts_stop(watch):
            _call.call(
                "brenier_fit",
                engine.handle.pointer,
                ctypes.byref(_call.buffer(points)),
                n,
                dimension,
                None if weights is None else ctypes.byref(_call.buffer(weights)),
                ctypes.byref(options),
                ctypes.byref(pointer),
            )
    except CancelledError:
        if watch.raised is not None:
            raise watch.raised from None
        raise
    finally:
        watch.close()
    return Fit(Model(engine, pointer))


class _Watch:
    """The C callback. It runs on the thread that called fit."""

    def __init__(self, report: Callable[[FitProgress], object] | None) -> None:
        self._report = report
        self.raised: BaseException | None = None
        self.interrupted = False

    def __call__(self, _user: Any, progress: Any) -> int:
        if self._report is None or self.interrupted:
            return int(self.interrupted)
        now = progress.contents
        try:
            stop = self._report(
                FitProgress(
                    samples=int(now.samples),
                    samples_max=int(now.samples_max),
                    chi_squared=float(now.chi_squared),
                    empty=int(now.empty),
                    seconds=float(now.seconds),
                    energy=float(now.energy),
                    seconds_left=float(now.seconds_left),
                    tested=int(now.tested),
                    to_test=int(now.to_test),
                )
            )
        except BaseException as error:  # nothing may pass through the C frames; fit raises it
            self.raised = error
            return 1
        return 1 if stop or self.interrupted else 0

    def close(self) -> None:
        if isinstance(self._report, _Line):
            self._report.close()


@contextlib.contextmanager
def _interrupts_stop(watch: _Watch) -> Iterator[None]:
    """Makes Ctrl-C stop the fit, and then do what it does otherwise.

    Python runs a signal's handler between two instructions of the main thread: during a fit, in the
    callback, wherever that stands. The usual handler would raise there and the exception would be
    lost in ctypes, so for the time of the fit a handler that only takes note stands in for it.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    frames: list[FrameType | None] = []

    def take_note(_number: int, frame: FrameType | None) -> None:
        watch.interrupted = True
        frames.append(frame)

    signal.signal(signal.SIGINT, take_note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if frames:
            usual(signal.SIGINT, frames[0])  # raises KeyboardInterrupt unless the program chose another


class _Line:
    """One line on a stream: rewritten on a terminal, written now and then elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._last = -math.inf if self._live else 0.0

    def __call__(self, p: FitProgress) -> None:
        if not self._live and p.seconds - self._last < 10:
            return
        self._last = p.seconds
        measured = "" if math.isnan(p.chi_squared) else f", chi2 {p.chi_squared:.2e}, {p.empty} empty cells"
        left = "" if math.isnan(p.seconds_left) else f", about {p.seconds_left:.0f} s left"
        proof = f", certificate {p.tested:,} of {p.to_test:,}" if p.to_test else ""
        line = f"fit: {p.samples:,} samples, {p.seconds:.0f} s{measured}{proof}{left}"
        self._stream.write(f"\r\x1b[K{line}" if self._live else f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        if self._live and self._last > -math.inf:
            self._stream.write("\n")
            self._stream.flush()


def _reporter(progress: bool | Callable[[FitProgress], object]) -> Callable[[FitProgress], object] | None:
    if progress is True:
        return _Line(sys.stderr)
    if progress is False or progress is None:
        return None
    if not callable(progress):
        raise TypeError(f"progress: want True, False or a callable, got {type(progress).__name__}")
    return progress
