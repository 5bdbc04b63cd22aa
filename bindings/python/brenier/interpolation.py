"""Ways from one code to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidArgumentError, UnsupportedError
from .evaluation.neighbours import nearest

if TYPE_CHECKING:
    from .model import Model

Along = Literal["map", "line"]

_MOST_CELLS = 32  # that locate gives; extend takes as many of them as the setting asks for


def between(
    model: Model, a: NDArray[np.float32], b: NDArray[np.float32], steps: int, along: str, **extension: Any
) -> NDArray[np.float32]:
    """``steps`` codes from each row of a to that of b, both ``[n, d]``: ``[n, steps, d]``, the ends
    included. :meth:`Model.interpolate_codes` has the definition."""
    t = np.linspace(0, 1, steps)[:, None]
    if along == "line":
        return _line(a, b, t).astype(np.float32)
    if along != "map":
        raise InvalidArgumentError(f"along: want map or line, got {along!r}")
    if not model.info.has_centroids:
        lacks = "mass centres" if model.info.points else "map"
        raise UnsupportedError(f"the model has no {lacks} to go along; fit its points, or give along='line'")
    points, centroids = model.points, model.centroids
    n, d = a.shape
    starts, ends = (centroids[nearest(codes, points)[0]] for codes in (a, b))
    x = _line(starts, ends, t).astype(np.float32).reshape(-1, d)
    cells, _ = model.locate(x, min(_MOST_CELLS, model.info.points))
    made = model.extend(x, cells, **extension).reshape(n, steps, d).astype(np.float64)
    return (made + _line(a - made[:, 0], b - made[:, -1], t)).astype(np.float32)


def _line(a: NDArray[Any], b: NDArray[Any], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1-t) a + t b for rows of a and b ``[n, d]`` and t ``[steps, 1]``: ``[n, steps, d]``."""
    return np.asarray((1 - t) * a[:, None].astype(np.float64) + t * b[:, None].astype(np.float64))
