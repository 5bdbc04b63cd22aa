"""The Frechet distance of two sets of features, by their means and covariances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArgumentError


def frechet(a: NDArray[Any], b: NDArray[Any]) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2) of features ``[n, f]`` and ``[m, f]``.

    That is W2^2 of the Gaussians with these moments (Dowson and Landau 1982), and no two distributions
    with these moments are nearer (Gelbrich 1990). The root's trace is summed from the eigenvalues of a
    symmetric matrix, so that a singular covariance does no harm. Heusel et al. (NeurIPS 2017) take
    Inception's features.
    """
    for name, rows in (("data", a), ("samples", b)):
        if len(rows) < 2:
            raise InvalidArgumentError(f"{name}: a covariance takes two rows or more, got {len(rows)}")
    (mean_a, cov_a), (mean_b, cov_b) = _moments(a), _moments(b)
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ cov_b @ root)
    difference = mean_a - mean_b
    trace = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(np.maximum(product, 0)).sum()
    return float(difference @ difference + max(trace, 0.0))


def _moments(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    return mean, centred.T @ centred / (len(rows) - 1)


def frechet_with_error(
    data: NDArray[Any], samples: NDArray[Any], resamples: int = 8, seed: int = 0
) -> dict[str, float]:
    """The distance, with what is known of its error.

    ``frechet_error`` is the deviation over bootstrap resamples of both sets (0 resamples: left out).
    ``frechet_floor`` is the distance of one random half of the data to the other: it is not 0, and no
    model is asked for less. The estimate is biased upwards by some f^2/n, so compare equal numbers alone.
    """
    random = np.random.default_rng(seed)
    result = {"frechet": frechet(data, samples)}
    if resamples > 1:
        drawn = [
            frechet(
                data[random.integers(len(data), size=len(data))],
                samples[random.integers(len(samples), size=len(samples))],
            )
            for _ in range(resamples)
        ]
        result["frechet_error"] = float(np.std(drawn, ddof=1))
    if len(data) >= 4:
        order = random.permutation(len(data))
        half = len(data) // 2
        result["frechet_floor"] = frechet(data[order[:half]], data[order[half:]])
    return result
