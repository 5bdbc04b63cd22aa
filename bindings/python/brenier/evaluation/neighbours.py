"""Nearest neighbours by brute force, in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ENTRIES = 1 << 23  # float64 distances held at once: 64 MB


def blocks(a: NDArray[Any], b: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Squared distances of rows of a ``[n, f]`` to those of b ``[m, f]``, ``[rows, m]`` at a time.

    By |a|^2 + |b|^2 - 2 <a,b> in float64, after b's mean is taken from both: the expansion loses the
    digits that a common offset takes.
    """
    centre = b.mean(axis=0, dtype=np.float64)
    b = b - centre
    squares = np.einsum("ij,ij->i", b, b)
    step = max(1, _ENTRIES // max(1, len(b)))
    for at in range(0, len(a), step):
        part = a[at : at + step] - centre
        distances = np.einsum("ij,ij->i", part, part)[:, None] + squares - 2 * (part @ b.T)
        yield slice(at, at + len(part)), np.maximum(distances, 0, out=distances)


def radii(a: NDArray[Any], k: int) -> NDArray[np.float64]:
    """Squared distance of each row to its k-th nearest other row, ``[n]``; k is below n."""
    squared = np.empty(len(a))
    for rows, distances in blocks(a, a):
        own = np.arange(rows.start, rows.stop)
        distances[own - rows.start, own] = np.inf
        squared[rows] = np.partition(distances, k - 1, axis=1)[:, k - 1]
    return squared


def nearest(
    a: NDArray[Any], b: NDArray[Any], others: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The row of b nearest to each row of a and its distance, ``[n]`` both.

    The distance is summed from the differences, so that an exact copy is at 0. With ``others``, a is b
    and a row is not its own neighbour.
    """
    index = np.empty(len(a), np.int64)
    for rows, distances in blocks(a, b):
        if others:
            own = np.arange(rows.start, rows.stop)
            distances[own - rows.start, own] = np.inf
        index[rows] = distances.argmin(axis=1)
    distance = np.empty(len(a))
    step = max(1, _ENTRIES // max(1, a.shape[1]))
    for at in range(0, len(a), step):
        difference = a[at : at + step].astype(np.float64) - b[index[at : at + step]]
        distance[at : at + step] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return index, distance
