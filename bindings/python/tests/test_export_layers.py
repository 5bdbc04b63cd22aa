"""Export from a state dict and its printed layers, against what PyTorch made of the same codes."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile

DATA = pathlib.Path(__file__).parent / "data"
CASES = ["dcgan", "mlp", "upsample", "nested", "shuffle"]

CONV = "ConvTranspose2d(2, 3, kernel_size=(4, 4))"


def golden(case: str) -> tuple[str, dict[str, Any], Any, Any]:
    """Printed layers, state dict, codes, images; see make_goldens.py."""
    with np.load(DATA / "goldens.npz") as arrays:
        prefix = f"{case}/state/"
        state = {name[len(prefix) :]: arrays[name] for name in arrays.files if name.startswith(prefix)}
        return str(arrays[f"{case}/layers"]), state, arrays[f"{case}/z"], arrays[f"{case}/images"]


def conv_state() -> dict[str, Any]:
    rng = np.random.default_rng(6)
    return {
        "0.weight": rng.standard_normal((2, 3, 4, 4), np.float32),
        "0.bias": rng.standard_normal(3, np.float32),
    }


# ---- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_images_are_pytorch_s(case: str, tmp_path: pathlib.Path) -> None:
    layers, state, z, images = golden(case)
    path = tmp_path / "model.safetensors"
    brenier.export(path, state, layers=layers, output_range=(-1, 1))
    with brenier.load(path) as model:
        assert (model.info.channels, model.info.height, model.info.width) == images.shape[1:]
        np.testing.assert_allclose(model.decode(z), images, atol=2e-5)


@pytest.mark.parametrize("case", CASES)
def test_half_precision_weights(case: str, tmp_path: pathlib.Path) -> None:
    layers, state, z, images = golden(case)
    path = tmp_path / "model.safetensors"
    brenier.export(path, state, layers=layers, output_range=(-1, 1), weights="float16")
    tensors, _ = modelfile.read(path)
    assert {t.dtype.name for t in tensors.values() if t.ndim > 1} == {"float16"}
    assert {t.dtype.name for t in tensors.values() if t.ndim == 1} == {"float32"}
    with brenier.load(path) as model:
        assert 0 < np.abs(model.decode(z) - images).max() < 8e-3


def test_batch_normalisation_stays_in_the_file(tmp_path: pathlib.Path) -> None:
    layers, state, _, _ = golden("dcgan")
    brenier.export(tmp_path / "m", state, layers=layers)
    tensors, metadata = modelfile.read(tmp_path / "m")
    ops = [node["op"] for node in metadata["graph"]["nodes"]]
    assert ops == [
        "ConvTranspose",
        "BatchNormalization",
        "Relu",
        "ConvTranspose",
        "BatchNormalization",
        "LeakyRelu",
        "ConvTranspose",
        "ConvTranspose",
        "Tanh",
    ]
    np.testing.assert_array_equal(tensors["decoder.1.running_var"], state["1.running_var"])
    assert metadata["graph"]["nodes"][1]["attributes"]["epsilon"] == 1e-3
    assert metadata["output"] == {"range": [0.0, 1.0], "channels": 3, "height": 20, "width": 53}


# ---- ways to say the layers --------------------------------------------------------------------


def test_the_forms_of_a_layer_list(tmp_path: pathlib.Path) -> None:
    forms: list[Any] = [
        f"{CONV}\nSigmoid()",
        f"# a comment\n\n{CONV}\n  Sigmoid\n",
        [CONV, "Sigmoid()"],
        [f"(0): {CONV}", "nn.Sigmoid()"],
        [("ConvTranspose2d", {"in_channels": 2, "out_channels": 3, "kernel_size": 4}), ("Sigmoid",)],
        f"Sequential(\n  (0): {CONV}\n  (1): Sigmoid()\n)",
    ]
    written = set()
    for form in forms:
        brenier.export(tmp_path / "m", conv_state(), layers=form)
        written.add((tmp_path / "m").read_bytes())
    assert len(written) == 1


def test_prefixes(tmp_path: pathlib.Path) -> None:
    plain, written = conv_state(), set()
    encoder = {"encoder.0.weight": np.zeros(3, np.float32)}
    for state, arguments in (
        (plain, {}),
        ({f"decoder.{k}": v for k, v in plain.items()} | encoder, {}),
        ({f"net.dec.{k}": v for k, v in plain.items()} | encoder, {"prefix": "net.dec"}),
        (plain, {"prefix": ""}),
    ):
        brenier.export(tmp_path / "m", state, layers=[CONV], **arguments)
        written.add((tmp_path / "m").read_bytes())
    assert len(written) == 1
    keys = {"gen.weight": plain["0.weight"], "gen.bias": plain["0.bias"]}
    brenier.export(tmp_path / "named", keys, layers=[f"(gen): {CONV}"])
    assert set(modelfile.read(tmp_path / "named")[0]) == {"decoder.gen.weight", "decoder.gen.bias"}


def test_shapes_that_the_layers_do_not_tell(tmp_path: pathlib.Path) -> None:
    weight = {"0.weight": np.ones((1, 2, 3, 3), np.float32)}
    layers = ["Conv2d(2, 1, kernel_size=3, padding=1, bias=False)"]
    with pytest.raises(brenier.ExportError, match="input_shape"):
        brenier.export(tmp_path / "m", weight, layers=layers)
    brenier.export(tmp_path / "m", weight, layers=layers, input_shape=(2, 4, 5))
    with brenier.load(tmp_path / "m") as model:
        assert model.info.dimension == 40
        z = np.random.default_rng(0).standard_normal((2, 40), np.float32)
        padded = np.pad(z.reshape(2, 2, 4, 5).sum(1), ((0, 0), (1, 1), (1, 1)))
        want = sum(padded[:, i : i + 4, j : j + 5] for i in range(3) for j in range(3))
        np.testing.assert_allclose(model.decode(z)[:, 0], want, atol=1e-5)

    linear = {"0.weight": np.eye(6, 2, dtype=np.float32), "0.bias": np.zeros(6, np.float32)}
    with pytest.raises(brenier.ExportError, match="output_shape"):
        brenier.export(tmp_path / "m", linear, layers=["Linear(2, 6)"])
    brenier.export(tmp_path / "m", linear, layers=["Linear(2, 6)"], output_shape=(1, 2, 3))
    with brenier.load(tmp_path / "m") as model:
        assert model.decode([[5, 7]]).tolist() == [[[[5, 7, 0], [0, 0, 0]]]]


# ---- with a map --------------------------------------------------------------------------------


def test_with_a_fit(tmp_path: pathlib.Path) -> None:
    points = np.random.default_rng(7).standard_normal((30, 2)).astype(np.float16)
    fit = brenier.fit(points, tol=0.05, progress=False, source="uniform")
    brenier.export(tmp_path / "m", conv_state(), points, fit, layers=[CONV])
    tensors, metadata = modelfile.read(tmp_path / "m")
    assert tensors["ot.points"].dtype == tensors["ot.centroids"].dtype == np.float16
    assert metadata["source"] == "uniform" and metadata["fit"] == fit.report
    with brenier.load(tmp_path / "m") as model:
        np.testing.assert_array_equal(model.points, fit.points)
        np.testing.assert_array_equal(model.heights, fit.heights)
        assert model.info.metadata["extension"] == fit.model.info.metadata["extension"]
        assert model.sample(4).shape == (4, 3, 4, 4)
        np.testing.assert_array_equal(model.noise(9, seed=3), fit.model.noise(9, seed=3))

    brenier.export(tmp_path / "m", conv_state(), fit=fit, layers=[CONV])
    with brenier.load(tmp_path / "m") as model:
        np.testing.assert_array_equal(model.codes(20, seed=1), fit.model.codes(20, seed=1))


def test_unequal_masses_are_kept(tmp_path: pathlib.Path) -> None:
    points = np.random.default_rng(8).standard_normal((10, 2)).astype(np.float32)
    fit = brenier.fit(points, np.arange(1, 11), tol=0.05, progress=False)
    brenier.export(tmp_path / "m", conv_state(), fit=fit, layers=[CONV])
    with brenier.load(tmp_path / "m") as model:
        np.testing.assert_array_equal(model.masses, fit.masses)
        np.testing.assert_allclose(model.masses, np.arange(1, 11) / 55, rtol=1e-6)


def test_with_heights_alone(tmp_path: pathlib.Path) -> None:
    points, heights = np.random.default_rng(9).standard_normal((5, 2)), np.arange(5) / 10
    brenier.export(tmp_path / "m", conv_state(), points, heights, layers=[CONV])
    with brenier.load(tmp_path / "m") as model:
        np.testing.assert_array_equal(model.heights, heights.astype(np.float32))
        assert not model.info.has_centroids
        assert model.sample(2, mode="pair", theta_radians=1.0).shape == (2, 3, 4, 4)


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"layers": ["Conv3d(1, 1, 1)", "PixelUnshuffle(2)"]},
            "0 (Conv3d): a model file has no such operator",
        ),
        (
            {"layers": ["Conv3d(1, 1, 1)", "PixelUnshuffle(2)"]},
            "1 (PixelUnshuffle): a model file has no such operator",
        ),
        ({"layers": [CONV[:-1] + ", padding_mode=reflect)"]}, "0 (ConvTranspose2d): padding_mode 'reflect'"),
        (
            {"layers": [CONV, "Upsample(scale_factor=2.0, mode='bicubic')"]},
            "1 (Upsample): interpolation by 'bicubic'",
        ),
        ({"layers": [CONV, "BatchNorm2d(3, affine=False, track_running_stats=False)"]}, "running ones"),
        (
            {"layers": [CONV, "BatchNorm2d(3)"]},
            "1.running_mean: BatchNorm2d needs it and the state dict has none",
        ),
        (
            {"layers": ["ConvTranspose2d(2, 3, kernel_size=(5, 4))"]},
            "0.weight: the layer list says [2, 3, 5, 4]",
        ),
        (
            {"layers": [CONV, "Flatten()", "Unflatten(1, (7, 7))"]},
            "2: [48] does not have the elements of [7, 7]",
        ),
        ({"layers": ["ConvTranspose2d(2, 3, 4, padding=9)"]}, "nothing is left of the image"),
        ({"layers": [CONV, "Flatten(0)"]}, "1 (Flatten): a flattening of the batch's axis"),
        ({"layers": ["ConvTranspose2d(2, 3, kernel=4)"]}, "the arguments of ConvTranspose2d are in_channels"),
        ({"layers": ["ConvTranspose2d(2, 3"]}, "want a layer as PyTorch prints it"),
        ({"layers": ["1 + 1"]}, "want a layer as PyTorch prints it"),
        ({"layers": [CONV, ")"]}, "a bracket closes"),
        ({"layers": "Sequential(\n(0): ReLU()"}, "not closed"),
        ({"layers": []}, "the list is empty"),
        ({"layers": [3]}, "want a line such as"),
        (
            {"layers": [CONV], "points": np.zeros((3, 5)), "fit": np.zeros(3)},
            "5 columns, but the decoder reads codes [2, 1, 1]",
        ),
        ({"layers": [CONV], "points": np.zeros((3, 2))}, "a map needs heights too"),
        ({"layers": [CONV], "fit": np.zeros(3)}, "heights alone need their points"),
        (
            {"layers": [CONV], "points": np.zeros((3, 2)), "fit": np.zeros(4)},
            "fit: want [3], one a point, got [4]",
        ),
        ({"layers": [CONV], "output_range": (1, 0)}, "output_range"),
        ({"layers": [CONV], "output_range": (0, float("nan"))}, "output_range"),
        ({"layers": [CONV], "weights": "int8"}, "weights: want float32 or float16"),
        ({"layers": None}, "a state dict needs its layer list"),
    ],
)
def test_wrong_decoders(arguments: Any, text: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises((brenier.ExportError, brenier.InvalidArgumentError)) as error:
        brenier.export(tmp_path / "m", conv_state(), **arguments)
    assert text in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_faults_are_listed(tmp_path: pathlib.Path) -> None:
    with pytest.raises(brenier.ExportError) as error:
        brenier.export(tmp_path / "m", conv_state(), layers=["Softmax(1)", CONV, "ELU()"])
    assert [fault.split(":")[0] for fault in error.value.faults] == ["0 (Softmax)", "2 (ELU)"]


def test_values_that_a_file_cannot_keep(tmp_path: pathlib.Path) -> None:
    state = conv_state()
    state["0.weight"][0, 0, 0, 0] = 1e6
    with pytest.raises(brenier.ExportError, match="decoder.0.weight: does not fit float16"):
        brenier.export(tmp_path / "m", state, layers=[CONV], weights="float16")
    state["0.weight"][0, 0, 0, 0] = np.nan
    with pytest.raises(brenier.ExportError, match="decoder.0.weight: has values that are not finite"):
        brenier.export(tmp_path / "m", state, layers=[CONV])


def test_points_other_than_the_fitted_ones(tmp_path: pathlib.Path) -> None:
    points = np.random.default_rng(1).standard_normal((8, 2)).astype(np.float32)
    fit = brenier.fit(points, tol=0.1, progress=False)
    with pytest.raises(brenier.InvalidArgumentError, match="not those that were fitted"):
        brenier.export(tmp_path / "m", conv_state(), points[::-1], fit, layers=[CONV])


def test_what_was_there_stays_when_an_export_fails(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m"
    path.write_text("before")
    with pytest.raises(brenier.BadModelError):  # by the engine: a variance below zero
        state = {
            **conv_state(),
            **{f"1.{k}": -np.ones(3, np.float32) for k in ("weight", "bias", "running_mean", "running_var")},
        }
        brenier.export(path, state, layers=[CONV, "BatchNorm2d(3)"])
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(brenier.FileError, match="could not be written"):
        brenier.export(tmp_path / "none" / "m", conv_state(), layers=[CONV])
    brenier.export(path, conv_state(), layers=[CONV])
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask
