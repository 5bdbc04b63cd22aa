"""Images to codes, and ways between codes, against numpy."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile
import reference
from conftest import Parts

MODES: list[dict[str, Any]] = [
    {"mode": "cell"},
    {"mode": "simplex", "theta_radians": 1.2, "k": 5},
    {"mode": "pair", "theta": 1.0, "blend": 0.3, "k": 4},
]


def some_images(n: int) -> Any:
    """Images [n, 2, 3, 4] in [-1, 1], all of whose values bytes hold exactly: thirds of the range."""
    return (np.random.default_rng(2).integers(0, 4, (n, 2, 3, 4)) * (2 / 3) - 1).astype(np.float32)


def codes_of(images: Any, parts: Parts) -> Any:
    return images.reshape(len(images), -1) @ np.float64(parts.encoder_weight).T + parts.encoder_bias


# ---- encode and reconstruct --------------------------------------------------------------------


def test_encode(model: brenier.Model, parts: Parts) -> None:
    assert model.info.has_encoder and model.info.metadata["encoder"]["output"] == "code"
    images = some_images(700)
    want = codes_of(np.float64(images), parts)
    z = model.encode(images)
    assert z.shape == (700, 6) and z.dtype == np.float32
    np.testing.assert_allclose(z, want, atol=1e-5 * np.ptp(want))
    half = images.astype(np.float16)
    np.testing.assert_allclose(
        model.encode(half), codes_of(np.float64(half), parts), atol=1e-5 * np.ptp(want)
    )
    bytes_ = np.rint((images + 1) / 2 * 255).astype(np.uint8)
    np.testing.assert_array_equal(model.encode(bytes_), z)
    for same in (images, bytes_):
        np.testing.assert_array_equal(model.encode(same.transpose(0, 2, 3, 1), layout="NHWC"), z)
    for i in (0, 33, 511, 512, 699):
        np.testing.assert_array_equal(model.encode(images[i : i + 1])[0], z[i])


def test_images_are_converted(model: brenier.Model) -> None:
    images = some_images(3)
    z = model.encode(images)
    same: list[Any] = [
        images.tolist(), images.astype(np.float64), images.astype(">f4"), np.asfortranarray(images),
        np.repeat(images, 2, axis=0)[::2],
    ]  # fmt: skip
    for given in same:
        np.testing.assert_allclose(model.encode(given), z, atol=2e-6)
    out = np.empty((3, 6), np.float32)
    assert model.encode(images, out=out) is out
    np.testing.assert_array_equal(out, z)
    assert model.encode(np.empty((0, 2, 3, 4))).shape == (0, 6)


def test_what_decode_gives_encode_takes(model: brenier.Model, parts: Parts) -> None:
    z = model.codes(40, seed=3)
    layouts: list[Any] = ["NCHW", "NHWC"]
    losses: dict[Any, float] = {"float32": 1e-6, "float16": 1e-3, "uint8": 4e-3}
    for layout in layouts:
        for dtype, lost in losses.items():
            images = model.decode(z, dtype=dtype, layout=layout)
            got = model.encode(images, layout=layout)
            want = codes_of(np.float64(model.decode(z)), parts)
            assert np.abs(got - want).max() <= lost * np.abs(parts.encoder_weight).sum(axis=1).max()


def test_reconstruct_is_decode_of_encode(model: brenier.Model) -> None:
    images = some_images(9)
    want = model.decode(model.encode(images))
    np.testing.assert_array_equal(model.reconstruct(images), want)
    np.testing.assert_array_equal(model.reconstruct(images.tolist()), want)
    dtypes: list[Any] = ["float32", "float16", "uint8"]
    for dtype in dtypes:
        given = model.decode(model.codes(5), dtype=dtype, layout="NHWC")
        made = model.reconstruct(given, layout="NHWC")
        assert made.dtype == given.dtype and made.shape == given.shape
        np.testing.assert_array_equal(
            made, model.decode(model.encode(given, layout="NHWC"), dtype=dtype, layout="NHWC")
        )
        assert model.reconstruct(given, layout="NHWC", dtype="float32").dtype == np.float32
    out = np.empty_like(images)
    assert model.reconstruct(images, out=out) is out


def test_edit(model: brenier.Model) -> None:
    """A code of an image, changed, is a code."""
    images = some_images(4)
    z = model.encode(images)
    np.testing.assert_array_equal(model.decode(z + 0), model.reconstruct(images))
    assert np.abs(model.decode(z + np.eye(6)[0]) - model.reconstruct(images)).max() > 0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m, x: m.encode(x[0]), "images: want [n, 2, 3, 4], got [2, 3, 4]; one image is images[None]"),
        (lambda m, x: m.encode(x, layout="NHWC"), "images: want [n, 3, 4, 2], got [2, 2, 3, 4]"),
        (lambda m, x: m.encode(x, layout="CHW"), "layout: want NCHW or NHWC, got 'CHW'"),
        (
            lambda m, x: m.encode(x.astype(int)),
            "images: want uint8, or floats in the output's range, got int64",
        ),
        (lambda m, x: m.encode(x.astype(complex)), "images: want uint8, or floats"),
        (
            lambda m, x: m.encode(np.where(np.arange(48).reshape(x.shape) == 31, np.nan, x)),
            "images: element 7 of image 1 is a NaN or an infinity; want finite values",
        ),
        (lambda m, x: m.encode(x * 1e39), "image 0 is a NaN or an infinity"),
        (lambda m, x: m.encode(x, out=np.empty((2, 5), np.float32)), "out: want float32 [2, 6]"),
        (lambda m, x: m.reconstruct(x, dtype="float64"), "dtype: want one of float32, float16, uint8"),
        (lambda m, x: m.interpolate(x, x[:1], 3), "b: want as many as a, 2, got 1"),
        (lambda m, x: m.interpolate(x, x[0], 3), "b: want [n, 2, 3, 4], got [2, 3, 4]; one image is b[None]"),
        (lambda m, x: m.interpolate(x, x, 1), "steps: want 2 .. 4294967295, got 1"),
        (lambda m, x: m.interpolate(x, x, 3, along="way"), "along: want map or line, got 'way'"),
        (lambda m, x: m.interpolate(x, x, 3, mode="best"), "mode: want one of cell, simplex, pair"),
        (lambda m, x: m.interpolate_codes(np.zeros((2, 5)), x, 3), "a: want [n, 6], got [2, 5]"),
        (
            lambda m, x: m.interpolate_codes(np.zeros((1, 6)), np.full((1, 6), np.inf), 3),
            "a, b: want finite codes",
        ),
    ],
)
def test_wrong_arguments(model: brenier.Model, call: Any, text: str) -> None:
    with pytest.raises(brenier.InvalidArgumentError) as error:
        call(model, some_images(2))
    assert text in str(error.value)


def test_parts_that_are_missing(parts: Parts, tmp_path: pathlib.Path) -> None:
    tensors, metadata = modelfile.read(parts.path)
    del metadata["encoder"], tensors["encoder.weight"], tensors["encoder.bias"], tensors["ot.centroids"]
    metadata["extension"]["mode"] = "cell"
    with brenier.load(modelfile.write(tmp_path / "m", tensors, metadata), device="cpu") as model:
        assert not model.info.has_encoder
        x, z = some_images(1), np.zeros((1, 6))
        for call in (model.encode, model.reconstruct, lambda x: model.interpolate(x, x, 2)):
            with pytest.raises(brenier.UnsupportedError, match="the model has no encoder; export one"):
                call(x)
        with pytest.raises(brenier.UnsupportedError, match=r"no mass centres.*along='line'"):
            model.interpolate_codes(z, z + 1, 3)
        assert model.interpolate_codes(z, z + 1, 3, along="line")[0, 1].tolist() == [0.5] * 6


# ---- ways between codes ------------------------------------------------------------------------


def test_along_a_line(model: brenier.Model) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 7, 6), np.float32)
    z = model.interpolate_codes(a, b, 5, along="line")
    for step in range(5):
        np.testing.assert_allclose(z[:, step], a + (np.float64(b) - a) * step / 4, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(z[:, 0], a)
    np.testing.assert_array_equal(z[:, -1], b)


@pytest.mark.parametrize("extension", MODES)
def test_along_the_map(model: brenier.Model, parts: Parts, extension: dict[str, Any]) -> None:
    """From the definition: the nearest points, straight through the noise between their mass centres."""
    rng = np.random.default_rng(4)
    near = rng.choice(100, (2, 30), replace=False)
    a, b = (parts.points[near] + 0.05 * rng.standard_normal((2, 30, 6))).astype(np.float32)
    z = model.interpolate_codes(a, b, 9, **extension)
    assert z.shape == (30, 9, 6) and z.dtype == np.float32
    for row, (i, j) in enumerate(near.T):
        assert np.linalg.norm(parts.points - a[row], axis=1).argmin() == i
        t = np.linspace(0, 1, 9)[:, None]
        x = ((1 - t) * parts.centroids[i] + t * parts.centroids[j]).astype(np.float32)
        cells = np.argsort(-reference.scores(x, parts.points, parts.heights), axis=1, kind="stable")
        limit = extension.get("theta_radians", np.pi)
        with np.errstate(divide="ignore", invalid="ignore"):  # at a mass centre itself
            made = reference.extend(
                x, cells[:, : extension.get("k", 1)], parts.points, parts.centroids, extension["mode"], limit,
                extension.get("blend", 0.5),
            )  # fmt: skip
        if extension["mode"] == "simplex":
            made[0], made[-1] = parts.points[i], parts.points[j]
        want = made + (1 - t) * (a[row] - made[0]) + t * (b[row] - made[-1])
        np.testing.assert_allclose(z[row], want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(z[:, 0], a, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(z[:, -1], b, rtol=1e-6, atol=1e-6)


def test_the_map_s_way_is_monotone_and_meets_a_cell_once(model: brenier.Model, parts: Parts) -> None:
    rng = np.random.default_rng(5)
    i, j = rng.choice(100, (2, 40), replace=False)
    z = model.interpolate_codes(parts.points[i], parts.points[j], 101, mode="cell")
    direction = np.float64(parts.centroids[j]) - parts.centroids[i]
    along = np.einsum("nsd,nd->ns", np.float64(z), direction)
    assert np.diff(along, axis=1).min() >= -1e-5
    met = [(parts.points[:, None] == row).all(axis=2).argmax(axis=0) for row in z]
    for cells, first, last in zip(met, i, j):
        runs = cells[np.append(True, np.diff(cells) != 0)]
        assert len(set(runs.tolist())) == len(runs) and (runs[0], runs[-1]) == (first, last)
    assert max(len(set(cells.tolist())) for cells in met) > 2  # there is something in between


def test_on_the_line_the_map_s_way_is_known(tmp_path: pathlib.Path) -> None:
    """Three points of equal mass under uniform noise: cells that end at -1/6 and 1/6."""
    path = modelfile.write(
        tmp_path / "m",
        {
            "ot.points": np.array([[-1], [0], [2]], np.float32),
            "ot.heights": np.array([-1 / 6, 0, -1 / 3], np.float32),
            "ot.centroids": np.array([[-1 / 3], [0], [1 / 3]], np.float32),
        },
        {"source": "uniform"},
    )
    with brenier.load(path, device="cpu") as model:
        z = model.interpolate_codes([[-1.0]], [[2.0]], 10, mode="cell")
        assert z.ravel().tolist() == [-1, -1, -1, 0, 0, 0, 0, 2, 2, 2]
        # -0.9 and 1.8 are 0.1 and -0.2 beside the points, which fades from one into the other.
        z = model.interpolate_codes([[-0.9]], [[1.8]], 10, mode="cell")
        want = np.array([-1, -1, -1, 0, 0, 0, 0, 2, 2, 2]) + np.linspace(0.1, -0.2, 10)
        np.testing.assert_allclose(z.ravel(), want, atol=1e-6)
        # Two codes of one cell: the straight line.
        z = model.interpolate_codes([[-0.2]], [[0.3]], 6)
        np.testing.assert_allclose(z.ravel(), np.linspace(-0.2, 0.3, 6), atol=1e-6)


def test_interpolate_decodes_the_way_between_the_codes(model: brenier.Model) -> None:
    a, b = some_images(10)[:5], some_images(10)[5:]
    alongs: list[Any] = ["map", "line"]
    for along in alongs:
        for given in (a, a.astype(np.float16)):
            images = model.interpolate(given, b, 4, along=along, theta=0.5)
            assert images.shape == (5, 4, 2, 3, 4) and images.dtype == given.dtype
            codes = model.interpolate_codes(model.encode(given), model.encode(b), 4, along=along, theta=0.5)
            want = model.decode(codes.reshape(20, 6), dtype=given.dtype.name).reshape(images.shape)
            np.testing.assert_array_equal(images, want)
        np.testing.assert_allclose(images[:, -1], model.reconstruct(b), atol=2e-3)
    last = model.interpolate(
        a.transpose(0, 2, 3, 1), b.transpose(0, 2, 3, 1), 2, layout="NHWC", dtype="uint8"
    )
    assert last.shape == (5, 2, 3, 4, 2) and last.dtype == np.uint8
    assert model.interpolate(a[:0], b[:0], 3).shape == (0, 3, 2, 3, 4)
