"""Are samples new, or copies of what the model was trained on?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .neighbours import nearest

_QUANTILE = 0.05


def novelty(
    training: NDArray[Any], samples: NDArray[Any], heldout: NDArray[Any] | None = None
) -> dict[str, float]:
    """Distances of samples ``[m, f]`` to the training set ``[n, f]``, beside those of data that is new.

    New data is ``heldout`` ``[h, f]``; without it each training row stands for itself, at the distance of
    its nearest other row.

    Returns
    -------
    dict
        ``copies``: share of samples that are a training row, bit for bit. ``closer``: share nearer to the
        training set than the 5 % quantile of new data: 0.05 if samples are as new as new data, more if
        they copy. ``farther``: the probability that a sample is farther than new data is, ties half: 0.5
        if alike, 1 if samples lie off the data (Mann and Whitney's statistic). ``*_error``: standard
        errors. ``distance``, ``distance_of_new``: the medians.
    """
    _, mine = nearest(samples, training)
    _, theirs = nearest(training, training, others=True) if heldout is None else nearest(heldout, training)
    limit = np.quantile(theirs, _QUANTILE)
    closer = float((mine < limit).mean())
    ordered = np.sort(theirs)
    below, upto = np.searchsorted(ordered, mine, "left"), np.searchsorted(ordered, mine, "right")
    farther = float((below + upto).mean() / 2 / len(ordered))
    m, h = len(mine), len(theirs)
    # The quantile is itself a sample's: its share has the variance q (1-q)/h.
    spread = closer * (1 - closer) / m + _QUANTILE * (1 - _QUANTILE) / h
    return {
        "copies": float((mine == 0).mean()),
        "closer": closer,
        "closer_error": math.sqrt(spread),
        "farther": farther,
        "farther_error": math.sqrt((m + h + 1) / (12 * m * h)),
        "distance": float(np.median(mine)),
        "distance_of_new": float(np.median(theirs)),
    }
