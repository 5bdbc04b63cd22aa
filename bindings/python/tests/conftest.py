"""What several tests share: a small map, decoder and encoder, in one model file."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile

# What "auto" is in these tests, on a machine with a GPU too; test_cuda.py asks for the GPU by name.
os.environ.setdefault("BRENIER_DEVICE", "cpu")


@dataclass(frozen=True)
class Parts:
    """What the small model was made of."""

    path: pathlib.Path
    points: Any
    heights: Any
    centroids: Any
    cosines: Any
    weight: Any
    bias: Any
    encoder_weight: Any
    encoder_bias: Any


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """100 points in R^6, a decoder that is one linear layer to [2, 3, 4] in [-1, 1], and an encoder
    that is another one back."""
    rng = np.random.default_rng(1)
    n, d, shape = 100, 6, (2, 3, 4)
    points = rng.standard_normal((n, d), np.float32)
    heights = (-(points**2).sum(1) / 2).astype(np.float32)
    centroids = (points + 0.1 * rng.standard_normal((n, d))).astype(np.float32)
    cosines = np.linspace(0.95, -0.5, 101)
    weight = rng.standard_normal((24, d), np.float32)
    bias = rng.standard_normal(24, np.float32)
    encoder_weight = rng.standard_normal((d, 24), np.float32)
    encoder_bias = rng.standard_normal(d, np.float32)
    graph = {
        "input": {"name": "z", "shape": [d]},
        "output": "image",
        "nodes": [
            {
                "name": "linear",
                "op": "Gemm",
                "inputs": ["z", "decoder.weight", "decoder.bias"],
                "output": "flat",
                "attributes": {"transB": 1},
            },
            {"name": "tanh", "op": "Tanh", "inputs": ["flat"], "output": "squashed"},
            {
                "name": "image",
                "op": "Reshape",
                "inputs": ["squashed"],
                "output": "image",
                "attributes": {"shape": [0, *shape]},
            },
        ],
    }
    encoder = {
        "input": {"name": "image", "shape": shape},
        "output": "code",
        "nodes": [
            {"name": "flat", "op": "Flatten", "inputs": ["image"], "output": "flat"},
            {
                "name": "linear",
                "op": "Gemm",
                "inputs": ["flat", "encoder.weight", "encoder.bias"],
                "output": "code",
                "attributes": {"transB": 1},
            },
        ],
    }
    path = modelfile.write(
        tmp_path_factory.mktemp("model") / "small.safetensors",
        {
            "ot.points": points,
            "ot.heights": heights,
            "ot.centroids": centroids,
            "decoder.weight": weight,
            "decoder.bias": bias,
            "encoder.weight": encoder_weight,
            "encoder.bias": encoder_bias,
        },
        {
            "graph": graph,
            "encoder": encoder,
            "output": {"range": [-1, 1], "channels": 2, "height": 3, "width": 4},
            "extension": {"mode": "simplex", "k": 8, "quantile": 0.25, "cosines": cosines.tolist()},
        },
    )
    return Parts(path, points, heights, centroids, cosines, weight, bias, encoder_weight, encoder_bias)


@pytest.fixture
def model(parts: Parts) -> Iterator[brenier.Model]:
    with brenier.load(parts.path, device="cpu") as model:
        yield model
