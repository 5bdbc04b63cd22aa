"""Samples against data, in a space of features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidArgumentError
from .frechet import frechet_with_error
from .manifold import manifold
from .modes import modes, nearest_labels
from .novelty import novelty


def compare(
    data: ArrayLike,
    samples: ArrayLike,
    *,
    training: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    sample_labels: ArrayLike | None = None,
    k: int = 5,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Frechet distance, manifold and, where there is what they take, novelty and modes.

    Parameters
    ----------
    data, samples, training : array_like ``[n, f]``, ``[m, f]``, ``[t, f]``
        Features; ``training`` those of what the samples' model was trained on.
    labels, sample_labels : array_like ``[n]``, ``[m]``
        Classes of the data: whole numbers from 0, or names, which are numbered in their order. Classes of
        the samples: numbers. Default: that of the nearest row of data.
    k, seed : int
        Neighbours in :func:`manifold`; of the bootstrap in :func:`frechet_with_error`.

    Returns
    -------
    dict
        ``frechet``, ``manifold``, ``novelty``, ``modes``: what the functions of these names return, and in
        ``modes`` the ``names`` of the classes beside the shares of ``balance``.
    """
    real = _features("data", data)
    made = _features("samples", samples, real.shape[1])
    old = None if training is None else _features("training", training, real.shape[1])
    classes: dict[str, Any] = {}
    if labels is not None:
        truth, names = _numbered(labels)
        if truth.shape != (len(real),):
            raise InvalidArgumentError(f"labels: want [{len(real)}], a label a row, got {list(truth.shape)}")
        found = nearest_labels(real, truth, made) if sample_labels is None else sample_labels
        classes = modes(truth, found)
        if names:
            classes["balance"]["names"] = names
    report = {"frechet": frechet_with_error(real, made, seed=seed), "manifold": manifold(real, made, k)}
    if old is not None:
        report["novelty"] = novelty(old, made, real)
    if classes:
        report["modes"] = classes
    return report


def _numbered(labels: ArrayLike) -> tuple[NDArray[Any], list[str]]:
    array = np.asarray(labels)
    if array.dtype.kind != "U":
        return array, []
    names, numbers = np.unique(array, return_inverse=True)
    return numbers.reshape(array.shape), names.tolist()


def _features(name: str, value: ArrayLike, width: int | None = None) -> NDArray[Any]:
    array = np.asarray(value)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "uif" or not np.isfinite(array).all():
        raise InvalidArgumentError(
            f"features of {name}: want finite [n, f], got {list(array.shape)} {array.dtype}"
        )
    if width not in (None, array.shape[1]):
        raise InvalidArgumentError(
            f"features of {name}: want [n, {width}] as those of the data, got {list(array.shape)}"
        )
    return array
