"""Trained decoders, where they lie beside the repository, against images that were computed in float64."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODELS = ROOT.parent / "shared" / "models"
LAYERS = (ROOT / "engine" / "internal" / "layers" / "testdata", ROOT / "examples" / "models")

pytestmark = pytest.mark.skipif(
    not (MODELS / "golden.safetensors").exists(), reason="the trained networks are not beside the repository"
)


@pytest.mark.parametrize(("weights", "tolerance"), [("float32", 1e-4), ("float16", 4e-3)])
@pytest.mark.parametrize(
    ("name", "file", "output_range"),
    [
        ("mnist", "mnist_ae", (0, 1)),
        ("mnist_infogan", "mnist_infogan_fp16", (0, 1)),
        ("terrain", "terrain_decoder", (-1, 1)),
    ],
)
def test_golden_images(
    name: str, file: str, output_range: Any, weights: Any, tolerance: float, tmp_path: pathlib.Path
) -> None:
    golden, _ = modelfile.read(MODELS / "golden.safetensors")
    state, _ = modelfile.read(MODELS / f"{file}.safetensors")
    (layers,) = (path.read_text() for folder in LAYERS if (path := folder / f"{name}.layers").exists())
    path = tmp_path / f"{name}.safetensors"
    brenier.export(path, state, layers=layers, output_range=output_range, weights=weights)
    with brenier.load(path, device="cpu") as model:
        np.testing.assert_allclose(
            model.decode(golden[f"{name}.z"]), golden[f"{name}.x"], rtol=0, atol=tolerance
        )
