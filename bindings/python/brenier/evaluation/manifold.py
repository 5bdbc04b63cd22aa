"""Precision, recall, density and coverage: two sets of features by their nearest neighbours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArgumentError
from .neighbours import blocks, radii


def manifold(data: NDArray[Any], samples: NDArray[Any], k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage of samples ``[m, f]`` against data ``[n, f]``.

    A ball around each row reaches to its k-th nearest other row of the same set. ``precision``: share of
    samples within a ball of the data; ``recall``: share of the data within a ball of the samples
    (Kynkaanniemi et al., "Improved precision and recall metric", NeurIPS 2019). ``density``: balls of the
    data that hold a sample, on average, over k; ``coverage``: share of the data's balls that hold a sample
    (Naeem et al., "Reliable fidelity and diversity metrics", ICML 2020). The four ``*_error`` are standard
    errors as if the other set were given: of a share sqrt(p (1 - p) / n).

    Raises
    ------
    InvalidArgumentError
        k is not below both numbers of rows.
    """
    if not 1 <= k < min(len(data), len(samples)):
        raise InvalidArgumentError(
            f"k: want 1 or more and fewer than the rows (data {len(data)}, samples {len(samples)}), got {k}"
        )
    data_radii, sample_radii = radii(data, k), radii(samples, k)
    hits = np.zeros(len(samples), np.int64)  # of each sample, balls of the data that it is in
    recalled, covered = np.empty(len(data), bool), np.empty(len(data), bool)
    for rows, distances in blocks(data, samples):
        inside = distances < data_radii[rows, None]
        hits += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = (distances < sample_radii).any(axis=1)
    shares = {"precision": hits > 0, "recall": recalled, "coverage": covered}
    result: dict[str, float] = {}
    for name, indicator in shares.items():
        p = float(indicator.mean())
        result[name], result[f"{name}_error"] = p, math.sqrt(p * (1 - p) / len(indicator))
    result["density"] = float(hits.mean() / k)
    result["density_error"] = float(hits.std() / k / math.sqrt(len(hits)))
    return result
