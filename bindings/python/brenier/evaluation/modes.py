"""Mode coverage: which classes samples fall into, and how evenly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidArgumentError
from .neighbours import nearest


def nearest_labels(
    data: NDArray[Any], labels: NDArray[np.int64], samples: NDArray[Any]
) -> NDArray[np.int64]:
    """The label of the nearest row of data, for each sample: a classifier where none is given."""
    index, _ = nearest(samples, data)
    return labels[index]


def modes(labels: ArrayLike, sample_labels: ArrayLike) -> dict[str, Any]:
    """Classes of samples ``[m]`` against those of data ``[n]``: whole numbers from 0.

    Returns
    -------
    dict
        ``modes``: classes of the data; ``covered``: those that a sample is of; ``kl``: sum_c p_c log(p_c/q_c)
        of the samples' shares p over the data's q, in nats, infinite if samples have a class that data has
        not; ``kl_floor``: what samples from q itself show on average, (classes - 1)/(2 m), to first order;
        ``total_variation`` of the shares; ``balance``: the shares by class, ``data`` and ``samples``.
    """
    real, made = _labels("labels", labels), _labels("sample_labels", sample_labels)
    classes = int(max(real.max(), made.max())) + 1
    q = np.bincount(real, minlength=classes) / len(real)
    p = np.bincount(made, minlength=classes) / len(made)
    held = p > 0
    unknown = bool((q[held] == 0).any())
    kl = math.inf if unknown else float((p[held] * np.log(p[held] / q[held])).sum())
    known = int((q > 0).sum())
    return {
        "modes": known,
        "covered": int((held & (q > 0)).sum()),
        "kl": max(kl, 0.0),
        "kl_floor": (known - 1) / (2 * len(made)),
        "total_variation": float(np.abs(p - q).sum() / 2),
        "balance": {"data": q.tolist(), "samples": p.tolist()},
    }


def _labels(name: str, value: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(value)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu" or array.min() < 0:
        raise InvalidArgumentError(
            f"{name}: want [n] whole numbers of 0 or more, got {array.dtype} {list(array.shape)}"
        )
    return array.astype(np.int64)


def mixture(
    samples: ArrayLike, centres: ArrayLike, deviation: float, within: float = 3.0
) -> dict[str, float]:
    """Samples ``[m, d]`` against a mixture of equal round Gaussians at ``centres`` ``[c, d]``.

    A sample is of high quality within ``within`` deviations of a centre; that centre is covered.
    ``high_quality`` is their share, ``covered`` the number of such centres, ``kl`` that of the shares of
    high-quality samples over equal ones, in nats. In the plane the mixture itself has a share of
    1 - exp(-within^2/2): 98.9 % at 3.
    """
    points, middles = np.asarray(samples, np.float64), np.asarray(centres, np.float64)
    index, distance = nearest(points, middles)
    good = index[distance <= within * deviation]
    p = np.bincount(good, minlength=len(middles)) / max(1, len(good))
    held = p > 0
    return {
        "high_quality": len(good) / len(points),
        "covered": int(held.sum()),
        "kl": float((p[held] * np.log(p[held] * len(middles))).sum()) if len(good) else math.inf,
    }
