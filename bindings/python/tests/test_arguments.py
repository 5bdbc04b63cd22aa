"""Arrays in and out, and what is said about wrong ones."""

from __future__ import annotations

import inspect
import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile
from conftest import Parts

# ---- what is accepted --------------------------------------------------------------------------


def test_inputs_are_converted(model: brenier.Model) -> None:
    x = model.noise(4)
    cells, scores = model.locate(x)
    for same in (
        x.astype(np.float64),
        x.tolist(),
        np.asfortranarray(x),
        np.repeat(x, 2, axis=0)[::2],
        x.astype(">f4"),
    ):
        np.testing.assert_array_equal(model.locate(same)[0], cells)
        np.testing.assert_array_equal(model.locate(same)[1], scores)
    half = x.astype(np.float16)
    np.testing.assert_array_equal(model.locate(half)[1], model.locate(half.astype(np.float32))[1])
    np.testing.assert_array_equal(model.locate(np.ones((2, 6), int))[0], model.locate(np.ones((2, 6)))[0])
    wide, _ = model.locate(x, k=8)
    np.testing.assert_array_equal(model.extend(x, wide.astype(np.uint16)), model.extend(x, wide))


def test_contiguous_inputs_are_read_where_they_are() -> None:
    from brenier import _arrays

    x = np.zeros((3, 4), np.float32)
    assert _arrays.rows("x", x, 4) is x
    assert np.shares_memory(_arrays.rows("x", x[1:], 4), x)
    half = np.zeros((3, 4), np.float16)
    assert _arrays.points(half) is half


def test_no_samples(model: brenier.Model) -> None:
    assert model.sample(0).shape == (0, 2, 3, 4)
    assert model.codes(0).shape == model.noise(0).shape == (0, 6)
    cells, scores = model.locate(np.empty((0, 6)), k=2)
    assert cells.shape == scores.shape == (0, 2)
    assert model.decode(np.empty((0, 6))).shape == (0, 2, 3, 4)
    assert [p.shape for p in model.potential(np.empty((0, 6)))] == [(0,), (0,)]


def test_out_is_written_and_returned(model: brenier.Model) -> None:
    images = np.empty((3, 2, 3, 4), np.float32)
    assert model.sample(3, out=images) is images
    np.testing.assert_array_equal(images, model.sample(3))
    eight = np.empty((5, 3, 4, 2), np.uint8)
    part = eight[1:4]
    assert model.sample(3, dtype="uint8", layout="NHWC", out=part) is part
    np.testing.assert_array_equal(part, model.sample(3, dtype="uint8", layout="NHWC"))
    z = np.empty((3, 6), np.float32)
    assert model.codes(3, out=z) is z and model.noise(3, out=z) is z


@pytest.mark.parametrize(
    ("out", "text"),
    [
        (np.empty((3, 2, 3, 4), np.float64), "want float32 [3, 2, 3, 4], got float64"),
        (np.empty((2, 2, 3, 4), np.float32), "want float32 [3, 2, 3, 4], got float32 [2, 2, 3, 4]"),
        (np.empty((3, 3, 4, 2), np.float32), "got float32 [3, 3, 4, 2]"),
        (np.empty((6, 2, 3, 4), np.float32)[::2], "C-contiguous"),
        (np.empty((3, 2, 3, 4), ">f4"), "want float32"),
        (np.frombuffer(bytes(3 * 24 * 4), np.float32).reshape(3, 2, 3, 4), "can be written"),
    ],
)
def test_out_of_another_kind_is_refused(model: brenier.Model, out: Any, text: str) -> None:
    with pytest.raises(brenier.InvalidArgumentError) as error:
        model.sample(3, out=out)
    assert text in str(error.value)


def test_out_has_to_be_an_array(model: brenier.Model) -> None:
    with pytest.raises(TypeError, match="out: want a numpy array, got list"):
        model.noise(1, out=[0.0] * 6)  # type: ignore[arg-type]


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: m.locate(np.zeros(6)), "want [n, 6], got [6]; one row is x[None, :]"),
        (lambda m: m.locate(np.zeros((2, 5))), "x: want [n, 6], got [2, 5]"),
        (lambda m: m.locate(np.zeros((2, 6), complex)), "x: want numbers that fit float32, got complex128"),
        (lambda m: m.locate(np.array([["a"] * 6])), "x: want numbers"),
        (lambda m: m.locate(np.zeros((2, 6)), k=0), "k: want 1 .. "),
        (lambda m: m.locate(np.zeros((2, 6)), k=33), "k: want 1 .. 32"),
        (lambda m: m.locate(np.zeros((2, 6)), k=2**32), "k: want 1 .. 4294967295, got 4294967296"),
        (lambda m: m.locate([[0] * 6, [0, 0, np.nan, 0, 0, 0]]), "row 1"),
        (lambda m: m.locate([[0] * 6, [0] * 6, [1e39] * 6]), "row 2"),
        (lambda m: m.decode([[0, 0, 0, np.inf, 0, 0]]), "row 0"),
        (lambda m: m.decode(np.zeros((2, 7))), "z: want [n, 6], got [2, 7]"),
        (lambda m: m.potential(np.zeros((1, 1))), "x: want [n, 6], got [1, 1]"),
        (
            lambda m: m.extend(np.zeros((2, 6)), [[0], [1], [2]]),
            "cells: want [2, k], as locate returns them, got [3, 1]",
        ),
        (lambda m: m.extend(np.zeros((2, 6)), [[0.5], [1.0]]), "cells: want numbers that fit int64"),
        (lambda m: m.extend(np.zeros((2, 6)), [[0], [100]], mode="cell", k=1), "row 1"),
        (lambda m: m.extend(np.zeros((2, 6)), [[0], [1]], k=4), "k = 4"),
        (lambda m: m.sample(-1), "n: want 0 .. "),
        (lambda m: m.sample(1, seed=-1), "seed: want 0 .. 2**64 - 1, got -1"),
        (lambda m: m.sample(1, seed=2**64), "seed: want 0 .. 2**64 - 1"),
        (lambda m: m.sample(2, first=2**64 - 1), "64 bits"),
        (lambda m: m.sample(1, mode="best"), "mode: want one of cell, simplex, pair, got 'best'"),
        (lambda m: m.sample(1, theta=1.5), "theta: want a quantile in 0 .. 1"),
        (lambda m: m.sample(1, theta_radians=4.0), "theta: want 0 .. pi"),
        (lambda m: m.sample(1, theta=0.5, theta_radians=0.5), "give one"),
        (lambda m: m.sample(1, blend=2.0), "blend: want 0 .. 1"),
        (lambda m: m.sample(1, k=33), "k: want 1 .. 32"),
        (lambda m: m.sample(1, dtype="float64"), "dtype: want one of float32, float16, uint8, got float64"),
        (lambda m: m.sample(1, layout="HWC"), "layout: want NCHW or NHWC, got 'HWC'"),
    ],
)
def test_wrong_arguments(model: brenier.Model, call: Any, text: str) -> None:
    with pytest.raises(brenier.InvalidArgumentError) as error:
        call(model)
    assert text in str(error.value)
    assert isinstance(error.value, ValueError)
    assert error.value.status is brenier.Status.INVALID_ARGUMENT


def test_counts_have_to_be_whole(model: brenier.Model) -> None:
    with pytest.raises(TypeError):
        model.sample(2.5)  # type: ignore[arg-type]


# ---- models that lack a part -------------------------------------------------------------------


def test_without_a_decoder(tmp_path: pathlib.Path) -> None:
    path = modelfile.write(
        tmp_path / "map.safetensors",
        {"ot.points": np.eye(4, dtype=np.float32), "ot.heights": np.zeros(4, np.float32)},
    )
    with brenier.load(path) as model:
        assert model.info.channels == 0 and not model.info.has_centroids
        assert repr(model) == "<brenier.Model: 4 points, d = 4, no decoder, on cpu>"
        assert model.codes(3).shape == (3, 4)
        np.testing.assert_array_equal(model.masses, np.full(4, 0.25, np.float32))
        for call in (lambda: model.sample(1), lambda: model.decode(np.zeros((1, 4)))):
            with pytest.raises(brenier.UnsupportedError, match="no decoder"):
                call()
        with pytest.raises(brenier.UnsupportedError, match="ot.centroids"):
            model.codes(1, mode="simplex")
        with pytest.raises(brenier.UnsupportedError):
            _ = model.centroids


def test_without_a_map(parts: Parts, tmp_path: pathlib.Path) -> None:
    tensors, metadata = modelfile.read(parts.path)
    del metadata["extension"]
    decoder = {k: v for k, v in tensors.items() if not k.startswith("ot.")}
    path = modelfile.write(tmp_path / "decoder.safetensors", decoder, metadata)
    with brenier.load(path) as model:
        assert model.info.points == 0 and model.info.dimension == 6
        assert model.decode(model.noise(2)).shape == (2, 2, 3, 4)
        for call in (
            lambda: model.sample(1),
            lambda: model.codes(1),
            lambda: model.locate(np.zeros((1, 6))),
            lambda: model.potential(np.zeros((1, 6))),
            lambda: model.points,
            lambda: model.masses,
            lambda: model.interpolate_codes(np.zeros((1, 6)), np.ones((1, 6)), 3),
        ):
            with pytest.raises(brenier.UnsupportedError, match="map|ot\\."):
                call()


# ---- properties --------------------------------------------------------------------------------


def test_info_and_tensors(model: brenier.Model, parts: Parts) -> None:
    info = model.info
    assert (info.points, info.dimension, info.has_centroids) == (100, 6, True)
    assert (info.channels, info.height, info.width, info.low, info.high) == (2, 3, 4, -1.0, 1.0)
    assert info.source == "gaussian" and info.engine.device == "cpu" and info.engine.threads >= 1
    assert info.metadata["extension"]["k"] == 8
    assert [node["op"] for node in info.metadata["graph"]["nodes"]] == ["Gemm", "Tanh", "Reshape"]
    assert repr(model) == "<brenier.Model: 100 points, d = 6, images [2, 3, 4], on cpu>"
    np.testing.assert_array_equal(model.points, parts.points)
    np.testing.assert_array_equal(model.heights, parts.heights)
    np.testing.assert_array_equal(model.centroids, parts.centroids)
    with pytest.raises(ValueError, match="read-only"):
        model.points[0, 0] = 1


def test_twins_have_one_default() -> None:
    """sample, codes and extend take the same settings with the same defaults."""
    settings = ("mode", "theta", "theta_radians", "k", "blend")
    signatures = [
        inspect.signature(f).parameters
        for f in (brenier.Model.sample, brenier.Model.codes, brenier.Model.extend)
    ]
    for name in settings:
        assert {s[name].default for s in signatures} == {None}
        assert len({s[name].annotation for s in signatures}) == 1
    load, load_bytes = (inspect.signature(f).parameters for f in (brenier.load, brenier.load_bytes))
    assert [load[name] for name in list(load)[1:]] == [load_bytes[name] for name in list(load_bytes)[1:]]
