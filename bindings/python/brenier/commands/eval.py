"""Measures what a model makes: masses, transport and singular set; with --data the Frechet distance,
precision, recall, density, coverage and novelty; with --labels or --classifier, modes.

DATA is a folder of images, or an .npy, .npz (FILE.npz:NAME) or IDX file, also gzipped, of images or codes.
Images are bytes, or floats in the model's range; a folder's are cropped and scaled to the model's.
NETWORK is a file that torch.jit.save wrote, MODULE:NAME, where Python imports a torch module or a function
from arrays to arrays, or inception, which takes clean-fid and its weights.

Examples:
  brenier eval digits.safetensors
  brenier eval digits.safetensors --data t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz
  brenier eval faces.safetensors --data test/ --labels test/ --features net.pt --training train/
  brenier eval digits.safetensors --data-features test.npy --features mynet:embed --json
  brenier eval --data-features test.npy --sample-features made.npy
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from typing import Any

from .. import datasets
from ..evaluation import Evaluation, compare, evaluate
from ..model import load
from . import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="needless if the samples' features are saved")
    add("--data", metavar="DATA", help="what samples are compared with, best not what was trained on")
    add("--training", metavar="DATA", help="what the model was trained on, for novelty")
    add(
        "--labels",
        metavar="LABELS",
        help="classes of the data: an .npy, .npz or IDX file, or the folder, in which each class has one",
    )
    add("--features", metavar="NETWORK", help="compare in its features; else the encoder's or the values")
    add("--classifier", metavar="NETWORK", help="tells classes; else the label of the nearest data")
    add("--data-features", metavar="FILE", help="features [n,f] in place of --data")
    add("--training-features", metavar="FILE", help="features [n,f] in place of --training")
    add("--sample-features", metavar="FILE", help="features [n,f] in place of MODEL")
    add("-n", "--samples", type=int, default=10_000, help="samples to make (10000)")
    add("--seed", type=int, default=0, help="seed of the noise (0)")
    add("-k", type=int, default=5, help="neighbours of precision and its kin (5)")
    add("--mode", choices=("cell", "simplex", "pair"), help="default: the model's own")
    add("--theta", type=float, help="quantile of the angles, 0 .. 1; default: its own")
    add("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    has_data = arguments.data is not None or arguments.data_features is not None
    for flag in ("labels", "classifier", "training", "training_features", "sample_features"):
        if getattr(arguments, flag) is not None and not has_data:
            raise UsageError(f"--{flag.replace('_', '-')} goes with --data or --data-features")
    if (arguments.model is None) == (arguments.sample_features is None):
        raise UsageError("want MODEL, or --sample-features in its place")
    for flag in ("data", "training"):
        if getattr(arguments, flag) is not None and getattr(arguments, f"{flag}_features") is not None:
            raise UsageError(f"want --{flag} or --{flag}-features, not both")
    result = _of_features(arguments) if arguments.model is None else _of_model(arguments)
    print(json.dumps(_finite(result.report)) if arguments.json else result)
    return 0


def _of_model(arguments: argparse.Namespace) -> Evaluation:
    if os.getcwd() not in sys.path:  # MODULE:NAME may lie here
        sys.path.insert(0, os.getcwd())
    with load(arguments.model) as model:
        return evaluate(
            model,
            arguments.data,
            training=arguments.training,
            labels=arguments.labels,
            features=arguments.features,
            classifier=arguments.classifier,
            data_features=arguments.data_features,
            training_features=arguments.training_features,
            samples=arguments.samples,
            seed=arguments.seed,
            k=arguments.k,
            mode=arguments.mode,
            theta=arguments.theta,
        )


def _of_features(arguments: argparse.Namespace) -> Evaluation:
    for flag in ("data", "training", "features", "classifier", "mode", "theta"):
        if getattr(arguments, flag) is not None:
            raise UsageError(f"--{flag} goes with MODEL; --sample-features is compared with saved features")
    old, labels = arguments.training_features, arguments.labels
    return Evaluation(
        compare(
            datasets.rows(arguments.data_features),
            datasets.rows(arguments.sample_features),
            training=None if old is None else datasets.rows(old),
            labels=None if labels is None else datasets.labels(labels),
            k=arguments.k,
            seed=arguments.seed,
        )
    )


def _finite(report: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """JSON has no infinity: a divergence that is one becomes null."""
    return {
        part: {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in numbers.items()}
        for part, numbers in report.items()
    }
