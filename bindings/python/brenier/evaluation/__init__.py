"""What a model makes, measured against data. NumPy is all it needs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from ..errors import InvalidArgumentError
from .compare import compare
from .frechet import frechet
from .manifold import manifold
from .masses import masses, transport
from .modes import mixture, modes
from .networks import as_classes, as_features, network
from .novelty import novelty
from .singular import singular_set

if TYPE_CHECKING:
    from ..model import Model

__all__ = [
    "Evaluation",
    "compare",
    "evaluate",
    "frechet",
    "manifold",
    "masses",
    "mixture",
    "modes",
    "novelty",
    "singular_set",
    "transport",
]

_BATCH = 256
_LISTED = 20  # classes up to which a table has their shares
_PIXELS = 4096  # the most numbers a row of a covariance may have before it takes many minutes


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
            lines += _balance_lines(numbers.get("balance", {"data": []}))
        return "\n".join(lines)


def _balance_lines(balance: dict[str, list[Any]]) -> list[str]:
    """The classes' shares, where they are few."""
    shares, names = balance["data"], balance.get("names", [])
    if len(shares) > _LISTED:
        return []
    names = [*names, *range(len(names), len(shares))]
    return [
        f"{'':<10} {f'class {name}':<22} {made:.4f}, of data {share:.4f}"
        for name, made, share in zip(names, balance.get("samples", []), shares)
    ]


def evaluate(
    model: Model,
    data: Any = None,
    *,
    training: Any = None,
    labels: Any = None,
    features: Any = None,
    classifier: Any = None,
    data_features: Any = None,
    training_features: Any = None,
    samples: int = 10_000,
    seed: int = 0,
    k: int = 5,
    **extension: Any,
) -> Evaluation:
    """Measures a model: its masses, transport and singular set, and its samples against data.

    Parameters
    ----------
    data : array_like or path, optional
        Codes ``[n, d]``, or images ``[n, C, H, W]``, bytes or floats in the model's range; samples are made
        in kind. Best data that the model was not trained on. A path is that of an .npy, .npz or IDX file,
        or of a folder of images, which are cropped to the middle square and scaled if the model's are
        square.
    training : array_like or path, optional
        What it was trained on, in kind. Default: for codes, the model's points; else no novelty.
    labels : array_like ``[n]`` or path, optional
        Classes of the data, whole numbers from 0 or names. Of a folder, the names of the folders in it.
    features : callable, torch.nn.Module, path or str, optional
        From images or codes ``[m, ...]`` to ``[m, f]``, 256 rows at most at a time: a function of arrays, a
        torch module, the file of one that ``torch.jit.save`` wrote, ``"MODULE:NAME"``, which is imported,
        or ``"inception"``, which takes clean-fid and its weights. Default: of images the model's encoder,
        if it has one, else the values themselves.
    classifier : likewise, optional
        From images or codes to labels ``[m]``, or to scores ``[m, classes]``, of which the highest counts.
        Without ``labels`` it classifies the data too. Default: the label of the nearest row of data.
    data_features, training_features : array_like ``[n, f]`` or path, optional
        Features that were saved, in place of ``data`` and ``training``.
    samples, seed : int
        Samples to make, and of which seed.
    k : int
        Neighbours in :func:`manifold`.
    **extension
        As in :meth:`brenier.Model.sample`: mode, theta and so on.

    Raises
    ------
    InvalidArgumentError, FileError
        Data that is not the model's kind, a file that cannot be read.
    UnsupportedError
        A package is missing that ``features`` or a folder takes.
    """
    if samples < 2:
        raise InvalidArgumentError(f"samples: want 2 or more, got {samples}")
    for name, given, saved in (("data", data, data_features), ("training", training, training_features)):
        if given is not None and saved is not None:
            raise InvalidArgumentError(f"{name}: give it or its features, not both")
    if data is None and data_features is None:
        for name, given in (
            ("training", training),
            ("training_features", training_features),
            ("labels", labels),
        ):
            if given is not None:
                raise InvalidArgumentError(f"{name}: takes data to compare with")
    # What is wrong with the data shows before anything long begins.
    real, old = _read("data", data, model), _read("training", training, model)
    kinds = {rows.ndim == 2 for rows in (real, old) if rows is not None} or {not model.info.channels}
    if len(kinds) > 1:
        raise InvalidArgumentError("training: want images for images, codes for codes")
    (as_codes,) = kinds
    truth = datasets.labels(labels) if isinstance(labels, (str, os.PathLike)) else labels
    if truth is not None and real is not None and np.shape(truth) != (len(real),):
        raise InvalidArgumentError(f"labels: want [{len(real)}], a label a row, got {list(np.shape(truth))}")
    if classifier is not None and truth is None and real is None:
        raise InvalidArgumentError("classifier: takes data to classify, or labels of the data")
    if features is None and not as_codes and model.info.has_encoder:
        features = model.encode
    views = _views(features, classifier, model)
    if features is None and real is not None and not as_codes and real[0].size > _PIXELS:
        raise InvalidArgumentError(
            f"data: images of {real[0].size:,} numbers have too large a covariance; give features"
        )
    of_data, of_training = _rows(data_features), _rows(training_features)

    report: dict[str, dict[str, Any]] = {"masses": masses(model, seed=seed)}
    report["transport"] = transport(model, samples, seed, **extension)
    theta = _theta(model, extension)
    if theta is not None and model.info.points > 1:
        report["singular"] = singular_set(model, theta, samples, seed)
    if real is None and of_data is None:
        return Evaluation(report)

    if real is not None:
        of_data, *classes = _seen(_batches(real, model), views)
        truth = classes[0] if truth is None and classes else truth
    if old is not None:
        (of_training,) = _seen(_batches(old, model), views[:1])
    of_samples, *found = _seen(_made(model, as_codes, samples, seed, extension), views)
    assert of_data is not None
    report |= compare(
        of_data,
        of_samples,
        training=of_training,
        labels=truth,
        sample_labels=found[0] if found else None,
        k=k,
        seed=seed,
    )
    if as_codes and of_training is None and real is not None:
        (points,) = _seen(_batches(model.points, model), views[:1])
        report["novelty"] = novelty(points, of_samples)
    return Evaluation(report)


View = Callable[[NDArray[Any]], NDArray[Any]]


def _views(features: Any, classifier: Any, model: Model) -> list[View]:
    """What rows are seen as: features and, if there is a classifier, classes."""
    space = None if features is None else network("features", features, model.info)
    judge = None if classifier is None else network("classifier", classifier, model.info)
    views: list[View] = [
        lambda rows: as_features("features", rows if space is None else space(rows), len(rows))
    ]
    if judge is not None:
        views.append(lambda rows: as_classes("classifier", judge(rows), len(rows)))
    return views


def _seen(batches: Iterator[NDArray[Any]], views: list[View]) -> list[NDArray[Any]]:
    parts = [[view(batch) for view in views] for batch in batches]
    return [np.concatenate(part) for part in zip(*parts)]


def _batches(rows: NDArray[Any], model: Model) -> Iterator[NDArray[Any]]:
    """Some rows at a time, images as floats in the model's range."""
    low, high = model.info.low, model.info.high
    for at in range(0, len(rows), _BATCH):
        part = rows[at : at + _BATCH]
        if part.ndim == 4 and part.dtype == np.uint8:
            part = (low + (high - low) / 255 * part).astype(np.float32)
        yield part


def _made(
    model: Model, as_codes: bool, samples: int, seed: int, extension: dict[str, Any]
) -> Iterator[NDArray[Any]]:
    make = model.codes if as_codes else model.sample
    for at in range(0, samples, _BATCH):
        yield make(min(_BATCH, samples - at), seed, at, **extension)


def _theta(model: Model, extension: dict[str, Any]) -> float | None:
    """The angle above which neighbours are cut, in radians, if the model has the angles' quantiles."""
    if extension.get("theta_radians") is not None:
        return float(extension["theta_radians"])
    table = model.info.metadata.get("extension", {})
    cosines = table.get("cosines")
    if not cosines:
        return None
    quantile = extension.get("theta")
    quantile = table.get("quantile", 0.25) if quantile is None else quantile
    return math.acos(float(np.interp(quantile, np.linspace(0, 1, len(cosines)), cosines)))


def _read(name: str, source: Any, model: Model) -> NDArray[Any] | None:
    """Codes ``[n, d]``, or images ``[n, C, H, W]`` as bytes or as floats in the model's range."""
    if source is None:
        return None
    info = model.info
    form = datasets.Form(values=(info.low, info.high))
    if info.channels:
        sides = (info.height, info.height), (info.width, info.width)
        form = datasets.Form((info.channels,), *sides, form.values)
    if isinstance(source, (str, os.PathLike)):
        scaled = info.channels > 0 and info.height == info.width and os.path.isdir(source)
        array = datasets.images_or_rows(source, form, info.height if scaled else None)
        name = f"{name} {os.fspath(source)}"
    else:
        array = np.asarray(source)
        if array.ndim != 2:
            array = datasets.images(array, form)
    if array.ndim != 2 and not info.channels:
        raise InvalidArgumentError(f"{name}: images, but the model has no decoder; give codes [n, d]")
    if array.ndim == 2 and array.shape[1] != info.dimension:
        raise InvalidArgumentError(f"{name}: want codes of {info.dimension} numbers, got {list(array.shape)}")
    if not len(array) or not np.isfinite(array).all():
        raise InvalidArgumentError(f"{name}: want finite rows, and one at least")
    return array


def _rows(source: Any) -> NDArray[Any] | None:
    if source is None:
        return None
    return datasets.rows(source) if isinstance(source, (str, os.PathLike)) else np.asarray(source)
