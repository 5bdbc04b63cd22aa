"""What a model makes, measured against data. NumPy is all it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidArgumentError
from .frechet import frechet, frechet_with_error
from .manifold import manifold
from .masses import masses, transport
from .modes import mixture, modes, nearest_labels
from .novelty import novelty
from .singular import singular_set

if TYPE_CHECKING:
    from ..model import Model

__all__ = [
    "Evaluation", "evaluate", "frechet", "manifold", "masses", "mixture", "modes", "novelty",
    "singular_set", "transport",
]


@dataclass(frozen=True)
class Evaluation:
    """The result of :func:`evaluate`: ``report`` has a dict for each part that was measured."""

    report: dict[str, dict[str, Any]]

    def __str__(self) -> str:
        lines = []
        for part, numbers in self.report.items():
            for name, value in numbers.items():
                if name.endswith("_error") or not isinstance(value, (int, float)):
                    continue
                error = numbers.get(f"{name}_error")
                off = "" if error is None else f" +- {error:.2g}"
                lines.append(f"{part:<10} {name:<22} {value:.6g}{off}")
                part = ""
        return "\n".join(lines)


def evaluate(
    model: Model,
    data: ArrayLike | None = None,
    *,
    training: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    features: Callable[[NDArray[Any]], ArrayLike] | None = None,
    classifier: Callable[[NDArray[Any]], ArrayLike] | None = None,
    samples: int = 10_000,
    seed: int = 0,
    k: int = 5,
    **extension: Any,
) -> Evaluation:
    """Measures a model: its masses, transport and singular set, and its samples against data.

    Parameters
    ----------
    data : array_like, optional
        Codes ``[n, d]``, or images ``[n, C, H, W]`` in the model's range; samples are made in kind. Best
        data that the model was not trained on.
    training : array_like, optional
        What it was trained on, in kind. Default: for codes, the model's points; else no novelty.
    labels : array_like ``[n]``, optional
        Classes of the data, whole numbers from 0.
    features : callable, optional
        From images or codes ``[m, ...]`` to ``[m, f]``. Default: they themselves, flattened.
    classifier : callable, optional
        From images or codes to labels ``[m]``. Default: the label of the nearest row of data.
    samples, seed : int
        Samples to make, and of which seed.
    k : int
        Neighbours in :func:`manifold`.
    **extension
        As in :meth:`brenier.Model.sample`: mode, theta and so on.
    """
    if samples < 2:
        raise InvalidArgumentError(f"samples: want 2 or more, got {samples}")
    report: dict[str, dict[str, Any]] = {"masses": masses(model, seed=seed)}
    report["transport"] = transport(model, samples, seed, **extension)
    table = model.info.metadata.get("extension", {})
    cosines = table.get("cosines")
    if cosines and model.info.points > 1:
        quantile = table.get("quantile", 0.25)
        theta = math.acos(float(np.interp(quantile, np.linspace(0, 1, len(cosines)), cosines)))
        report["singular"] = singular_set(model, theta, samples, seed)
    if data is None:
        return Evaluation(report)
    real = np.asarray(data)
    as_codes = real.ndim == 2
    want = (model.info.dimension,) if as_codes else (model.info.channels, model.info.height, model.info.width)
    if real.shape[1:] != want or not len(real) or not np.isfinite(real).all():
        raise InvalidArgumentError(f"data: want finite rows of {list(want)}, got {list(real.shape)}")
    made = (model.codes if as_codes else model.sample)(samples, seed, **extension)
    space = features or (lambda rows: rows.reshape(len(rows), -1))
    of_data, of_samples = _features("data", space(real)), _features("samples", space(made))
    report["frechet"] = frechet_with_error(of_data, of_samples, seed=seed)
    report["manifold"] = manifold(of_data, of_samples, k)
    if training is not None:
        report["novelty"] = novelty(_features("training", space(np.asarray(training))), of_samples, of_data)
    elif as_codes:
        report["novelty"] = novelty(_features("training", space(model.points)), of_samples)
    if labels is not None:
        truth = np.asarray(labels)
        if truth.shape != (len(real),):
            raise InvalidArgumentError(f"labels: want [{len(real)}], a label a row, got {list(truth.shape)}")
        found = nearest_labels(of_data, truth, of_samples) if classifier is None else classifier(made)
        report["modes"] = modes(truth, found)
    return Evaluation(report)


def _features(name: str, value: ArrayLike) -> NDArray[Any]:
    array = np.asarray(value)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise InvalidArgumentError(f"features of {name}: want finite [n, f], got {list(array.shape)}")
    return array
