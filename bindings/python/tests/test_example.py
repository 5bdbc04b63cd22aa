"""The example programs, run as a reader would run them."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np

import brenier
from test_library import environment

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples"


def test_generate(tmp_path: pathlib.Path) -> None:
    model_file = EXAMPLES / "models" / "mnist.safetensors"
    picture = tmp_path / "digits.pgm"
    program = EXAMPLES / "python" / "generate.py"
    subprocess.run(
        [sys.executable, program, model_file, picture, "7"], check=True, env=environment(), timeout=120
    )
    header, pixels = picture.read_bytes().split(b"\n", 1)
    assert header == b"P5 224 224 255"
    grid = np.frombuffer(pixels, np.uint8).reshape(224, 224)
    with brenier.load(model_file) as model:
        want = model.sample(64, seed=7, dtype="uint8")
    np.testing.assert_array_equal(grid[28:56, 84:112], want[11, 0])


def test_digits_from_images() -> None:
    with brenier.load(EXAMPLES / "models" / "mnist.safetensors") as model:
        digits = model.sample(16, seed=7)
        again = model.reconstruct(digits)
        assert np.mean((again - digits) ** 2) < 1e-3
        codes = model.encode(digits)
        assert codes.shape == (16, 64)
        np.testing.assert_allclose(model.decode(codes), again, rtol=0, atol=1e-5)
        way = model.interpolate(digits[:1], digits[1:2], 5)
        np.testing.assert_allclose(way[0, [0, -1]], again[:2], rtol=0, atol=1e-5)


def test_world() -> None:
    model_file = EXAMPLES / "models" / "terrain.safetensors"
    program = EXAMPLES / "python" / "world.py"
    run = subprocess.run(
        [sys.executable, program, model_file],
        check=True,
        env=environment(),
        timeout=120,
        stdout=subprocess.PIPE,
    )
    header, pixels = run.stdout.split(b"\n", 1)
    assert header == b"P5 512 512 255"
    world = np.frombuffer(pixels, np.uint8).reshape(512, 512)
    with brenier.load(model_file) as model:
        field = model.field([(8,), (1, 0.2, 1)], dtype="uint8")
        np.testing.assert_array_equal(field.read(0, -40, 60, 50, seed=7), world[216:266, 256:316])
    assert 100 < world.mean() < 155 and 20 < world.std() < 45
