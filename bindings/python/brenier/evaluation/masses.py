"""What the map itself promises, measured anew: the masses of its cells, and how far its codes move."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .frechet import frechet

if TYPE_CHECKING:
    from ..model import Model

_BATCH = 8192


def masses(model: Model, samples: int | None = None, seed: int = 0) -> dict[str, float]:
    """The certificate of a model's masses, on fresh independent noise.

    Parameters
    ----------
    samples : int, optional
        B. Default: four a cell, at least 65,536 and at most 2**20.

    Returns
    -------
    dict
        ``chi2``: sum_i (m_i - nu_i)^2/nu_i without bias, sum_i (c_i^2 - c_i)/nu_i / (B (B-1)) - 1 of counts
        c_i; ``chi2_error``: its deviation were the masses exact, sqrt(2 N)/B; ``total_variation`` as seen,
        and ``total_variation_floor``, of exact masses; ``empty`` cells, and ``empty_expected`` of exact
        masses; ``w2_bound``: an upper bound of W2, not squared, of the counted masses to nu, from the
        product coupling of what is too much with what is missing. Near the floor it is the count's own noise.
    """
    nu = model.masses.astype(np.float64)
    nu /= nu.sum()
    n = samples or min(max(4 * len(nu), 1 << 16), 1 << 20)
    counts = np.zeros(len(nu), np.int64)
    for first in range(0, n, _BATCH):
        cells, _ = model.locate(model.noise(min(_BATCH, n - first), seed, first))
        counts += np.bincount(cells[:, 0], minlength=len(nu))
    seen = counts / n
    return {
        "samples": n,
        "chi2": float((counts * (counts - 1.0) / nu).sum() / (float(n) * (n - 1)) - 1),
        "chi2_error": math.sqrt(2 * len(nu)) / n,
        "total_variation": float(np.abs(seen - nu).sum() / 2),
        "total_variation_floor": float(np.sqrt(2 * nu * (1 - nu) / (math.pi * n)).sum() / 2),
        "empty": int((counts == 0).sum()),
        "empty_expected": float(((1 - nu) ** n).sum()),
        "w2_bound": math.sqrt(_moved(seen, nu, model.points)),
    }


def _moved(masses: NDArray[np.float64], nu: NDArray[np.float64], points: NDArray[Any]) -> float:
    """An upper bound of W2^2 between two masses on the same points [N,d], in O(N d): what both have stays,
    and each part of the rest goes to every missing part in proportion."""
    more, less = np.maximum(masses - nu, 0), np.maximum(nu - masses, 0)
    share = float(more.sum())
    if share == 0:
        return 0.0
    y = points.astype(np.float64)
    y -= nu @ y
    squares = np.einsum("ij,ij->i", y, y)
    less *= share / less.sum()
    return max(0.0, float((more + less) @ squares - 2 * ((more @ y) @ (less @ y)) / share))


def transport(model: Model, samples: int = 10_000, seed: int = 0, **extension: Any) -> dict[str, float]:
    """W2 between the codes that a model generates and those of its data, nu: from below and from above.

    Below: the Frechet distance of the codes' moments is at most W2^2 (Gelbrich 1990). Above: a code z(x)
    and the point T(x) of its cell come of the same noise, so that E|z - T|^2 is the price of a plan to the
    cells' masses; and these are within :func:`masses`' ``w2_bound`` of nu.

    Returns
    -------
    dict
        ``w2_lower``, ``w2_upper``, both not squared and up to sampling error, and without the masses'
        defect; ``w2_upper_error``; ``scale``: sqrt(sum nu |y - mean|^2), what W2 is to be compared with.
    """
    nu = model.masses.astype(np.float64)
    nu /= nu.sum()
    points = model.points.astype(np.float64)
    codes = np.empty((samples, points.shape[1]))
    own = np.empty_like(codes)
    for first in range(0, samples, _BATCH):
        rows = slice(first, min(first + _BATCH, samples))
        n = rows.stop - rows.start
        codes[rows] = model.codes(n, seed, first, **extension)
        own[rows] = points[model.locate(model.noise(n, seed, first))[0][:, 0]]
    moved = ((codes - own) ** 2).sum(axis=1)
    upper = math.sqrt(moved.mean())
    error = moved.std() / math.sqrt(samples) / (2 * upper) if upper else 0.0
    return {
        "w2_lower": math.sqrt(frechet(own, codes)),
        "w2_upper": upper,
        "w2_upper_error": float(error),
        "scale": math.sqrt(float(nu @ ((points - nu @ points) ** 2).sum(axis=1))),
    }
