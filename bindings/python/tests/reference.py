"""The stages in numpy, written from their definitions and not from the engine's sources."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
from numpy.typing import NDArray


def philox(counter: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Philox4x32-10 of counters [n, 4] (Salmon, Moraes, Dror, Shaw, SC 2011)."""
    c = [counter[:, i].astype(np.uint64) for i in range(4)]
    k0, k1 = key
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (b >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            b & low,
            (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            a & low,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1).astype(np.uint32)


def noise(
    n: int, d: int, seed: int, first: int = 0, source: str = "gaussian", stream: int = 0
) -> NDArray[np.float64]:
    """Dimension i of a sample is word i % 4 of block i // 4 under the seed, u = (word + 1/2) / 2^32."""
    blocks = -(-d // 4)
    index = np.array([first + i for i in range(n)], np.uint64).repeat(blocks)
    counter = np.zeros((n * blocks, 4), np.uint32)
    counter[:, 0], counter[:, 1] = index & np.uint64(0xFFFFFFFF), index >> np.uint64(32)
    counter[:, 2], counter[:, 3] = np.tile(np.arange(blocks), n), stream
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(n, 4 * blocks)[:, :d]
    u = (words + 0.5) / 2.0**32
    if source == "uniform":
        return np.asarray(u - 0.5)
    return np.vectorize(statistics.NormalDist().inv_cdf)(u)


def scores(x: Any, points: Any, heights: Any) -> NDArray[np.float64]:
    """<x, y_i> + h_i in float64, [n, N]."""
    x, points, heights = (np.asarray(a, np.float64) for a in (x, points, heights))
    return np.asarray(x @ points.T + heights)


def cosine(a: Any, b: Any) -> float:
    """Of the angle between the plane normals (a, -1) and (b, -1)."""
    a, b = np.append(np.float64(a), -1), np.append(np.float64(b), -1)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def extend(
    x: Any,
    cells: Any,
    points: Any,
    centroids: Any,
    mode: str,
    limit: float,
    blend: float = 0.5,
) -> NDArray[np.float64]:
    """Codes; ``limit`` is the largest angle to the best cell's plane, in radians."""
    points, centroids = np.float64(points), np.float64(centroids)
    codes = []
    for row, found in zip(np.float64(x), np.asarray(cells)):
        kept = [found[0]] + [j for j in found[1:] if np.arccos(cosine(points[found[0]], points[j])) <= limit]
        if mode == "cell" or len(kept) == 1:
            codes.append(points[kept[0]])
        elif mode == "pair":
            codes.append((1 - blend) * points[kept[0]] + blend * points[kept[1]])
        else:
            weights = 1 / np.linalg.norm(row - centroids[kept], axis=1)
            codes.append(weights @ points[kept] / weights.sum())
    return np.array(codes)
