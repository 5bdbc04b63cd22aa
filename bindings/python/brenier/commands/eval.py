"""Measures what a model makes against data: masses, transport, singular set; with --data the Frechet
distance, precision, recall, density, coverage, novelty and, with --labels, modes.

    brenier eval digits.safetensors
    brenier eval digits.safetensors --data test_codes.npy --labels test_labels.npy --json
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import numpy as np

from ..evaluation import evaluate
from ..model import load
from . import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--data", metavar="FILE", help="codes [n,d] or images [n,C,H,W], a .npy file")
    parser.add_argument("--training", metavar="FILE", help="what it was trained on, in kind, a .npy file")
    parser.add_argument("--labels", metavar="FILE", help="classes of the data [n], a .npy file")
    parser.add_argument("-n", "--samples", type=int, default=10_000, help="samples to make (10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (0)")
    parser.add_argument("-k", type=int, default=5, help="neighbours of precision and its kin (5)")
    parser.add_argument("--mode", choices=("cell", "simplex", "pair"), help="default: the model's own")
    parser.add_argument("--theta", type=float, help="quantile of the angles, 0 .. 1; default: its own")
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    if arguments.data is None and (arguments.labels or arguments.training):
        raise UsageError("--labels and --training go with --data")
    with load(arguments.model) as model:
        result = evaluate(
            model,
            _read("--data", arguments.data),
            training=_read("--training", arguments.training),
            labels=_read("--labels", arguments.labels),
            samples=arguments.samples,
            seed=arguments.seed,
            k=arguments.k,
            mode=arguments.mode,
            theta=arguments.theta,
        )
    print(json.dumps(_finite(result.report)) if arguments.json else result)
    return 0


def _finite(report: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """JSON has no infinity: a divergence that is one becomes null."""
    return {
        part: {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in numbers.items()}
        for part, numbers in report.items()
    }


def _read(flag: str, path: str | None) -> Any:
    if path is None:
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UsageError(f"{flag} {path}: not a .npy file: {error}") from None
