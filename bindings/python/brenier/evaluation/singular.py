"""The singular set of a map, where its gradient jumps, as noise meets it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from ..model import Model


def singular_set(
    model: Model, theta: float, samples: int = 10_000, seed: int = 0, k: int = 8
) -> dict[str, Any]:
    """How much of the source has neighbours across the singular set.

    The angle to a neighbour is that between the plane normals (y_i, -1) and (y_j, -1), i being the sample's
    cell and j another of its ``k`` best; above ``theta`` radians it is cut.

    Returns
    -------
    dict
        ``touched``: share of noise with a neighbour that is cut; ``alone``: with all of them cut, so that
        the code is a point of the data; ``cut``: share of neighbours; standard errors of the shares as
        ``*_error``; ``angles``: a histogram of 60 bins from 0 to pi, as shares.
    """
    k = min(k, model.info.points)
    if k < 2:
        raise InvalidArgumentError("singular set: want 2 cells or more")
    cells, _ = model.locate(model.noise(samples, seed), k)
    normals = np.concatenate([model.points.astype(np.float64), np.full((len(model.points), 1), -1.0)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cosines = np.stack(
        [np.einsum("ij,ij->i", normals[cells[:, 0]], normals[cells[:, j]]) for j in range(1, k)], axis=1
    )
    angles = np.arccos(np.clip(cosines, -1, 1))
    across = angles > theta
    result: dict[str, Any] = {"theta": theta, "k": k}
    for name, values in (("touched", across.any(1)), ("alone", across.all(1)), ("cut", across.mean(1))):
        result[name] = float(values.mean())
        result[f"{name}_error"] = float(values.std() / math.sqrt(samples))
    counts, _ = np.histogram(angles, bins=60, range=(0, math.pi))
    result["angles"] = (counts / angles.size).tolist()
    return result
