"""The mean and the deviation of a model's images: what export takes, keeps, and fields use."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import command_line
import modelfile

NAMES = ("output.mean", "output.deviation")
LAYERS = """Sequential(
  (0): ConvTranspose2d(4, 5, kernel_size=(3, 3), stride=(1, 1))
  (1): BatchNorm2d(5, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
  (2): ReLU()
  (3): ConvTranspose2d(5, 2, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
  (4): Tanh()
)"""


@pytest.fixture(scope="module")
def codes() -> Any:
    return np.random.default_rng(8).standard_normal((50, 4), np.float32)


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    rng = np.random.default_rng(9)
    shapes = {"0.weight": (4, 5, 3, 3), "0.bias": (5,), "3.weight": (5, 2, 4, 4), "3.bias": (2,)}
    shapes.update({f"1.{name}": (5,) for name in ("weight", "bias", "running_mean", "running_var")})
    tensors = {name: (0.3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    tensors["1.running_var"] = np.abs(tensors["1.running_var"])
    return tensors


@pytest.fixture(scope="module")
def exported(codes: Any, state: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("statistics") / "m.safetensors"
    fitted = brenier.fit(codes, tol=0.05, seed=3, progress=False)
    brenier.export(path, state, layers=LAYERS, fit=fitted, output_range=(-1, 1))
    return path


def statistics(path: pathlib.Path) -> list[Any]:
    tensors, _ = modelfile.read(path)
    return [tensors[name] for name in NAMES]


def without(path: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
    """A model file without its statistics."""
    tensors, metadata = modelfile.read(path)
    return modelfile.write(to, {k: v for k, v in tensors.items() if k not in NAMES}, metadata)


def test_export_takes_what_a_fit_with_the_decoder_takes(exported: pathlib.Path, codes: Any) -> None:
    mean, deviation = statistics(exported)
    with brenier.load(exported, device="cpu") as model:
        np.testing.assert_array_equal(model.image_mean, mean)
        np.testing.assert_array_equal(model.image_deviation, deviation)
        images = model.sample(3000, seed=1).astype(np.float64)
        np.testing.assert_array_less(np.abs(mean - images.mean(0)), 6 * images.std(0) / 2048**0.5)
        np.testing.assert_allclose(deviation, images.std(0), rtol=0.2)
        with brenier.fit(codes, tol=0.05, seed=3, progress=False, decoder=model).model as fitted:
            np.testing.assert_array_equal(fitted.image_mean, mean)
            np.testing.assert_array_equal(fitted.image_deviation, deviation)


@command_line.needed
def test_export_takes_what_the_command_line_s_import_takes(
    exported: pathlib.Path, codes: Any, state: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    np.save(tmp_path / "codes.npy", codes)
    (tmp_path / "layers.txt").write_text(LAYERS)
    modelfile.write(tmp_path / "state", state)
    command_line.run(
        tmp_path, "import", "state", "--prefix", "", "--layers", "layers.txt", "--points", "codes.npy",
        "--fit", "--tol", "0.05", "--seed", "3", "--range=-1,1", "--input", "4,1,1", "--out", "m",
    )  # fmt: skip
    for want, got in zip(statistics(tmp_path / "m"), statistics(exported)):
        np.testing.assert_array_equal(got, want)


def test_a_field_uses_what_the_file_has(exported: pathlib.Path, tmp_path: pathlib.Path) -> None:
    bare = without(exported, tmp_path / "bare")
    with brenier.load(exported, device="cpu") as model, brenier.load(bare, device="cpu") as lacking:
        with pytest.raises(brenier.UnsupportedError, match="no output.mean"):
            _ = lacking.image_mean
        want = model.field(seed=2)[0:20, 0:20]
        np.testing.assert_array_equal(model.image_mean, statistics(exported)[0])  # as before
        own = lacking.field(seed=2)[0:20, 0:20]  # of 4,096 images of its own
        assert not np.array_equal(own, want) and not np.array_equal(lacking.image_mean, model.image_mean)
        lacking.save(tmp_path / "saved")
        with brenier.load(tmp_path / "saved", device="cpu") as saved:
            np.testing.assert_array_equal(saved.image_mean, lacking.image_mean)
            np.testing.assert_array_equal(saved.field(seed=2)[0:20, 0:20], own)
        lacking.measure_images()
        for name in ("image_mean", "image_deviation"):
            np.testing.assert_array_equal(getattr(lacking, name), getattr(model, name))
        np.testing.assert_array_equal(lacking.field(seed=2)[0:20, 0:20], want)


def test_as_many_as_are_asked_for(codes: Any, state: dict[str, Any], tmp_path: pathlib.Path) -> None:
    heights = np.zeros(len(codes), np.float32)
    path = tmp_path / "m"
    brenier.export(path, state, codes, heights, layers=LAYERS, images=300)
    with brenier.load(path, device="cpu") as model:
        mean = model.image_mean
        model.measure_images(300)
        np.testing.assert_array_equal(model.image_mean, mean)
        model.measure_images(301)
        assert not np.array_equal(model.image_mean, mean)
        with pytest.raises(brenier.InvalidArgumentError, match=r"n: want 1 \.\. "):
            model.measure_images(0)
    brenier.export(path, state, codes, heights, layers=LAYERS, images=0)
    assert not set(NAMES) & set(modelfile.read(path)[0])
    brenier.export(path, state, layers=LAYERS)  # no map, no images
    assert not set(NAMES) & set(modelfile.read(path)[0])
    with brenier.load(path, device="cpu") as model, pytest.raises(brenier.UnsupportedError, match="no map"):
        model.measure_images()
    with pytest.raises(brenier.InvalidArgumentError, match=r"images: want 0 \.\. "):
        brenier.export(path, state, codes, heights, layers=LAYERS, images=-1)
