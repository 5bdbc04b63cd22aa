"""Each stage against numpy, in the order of the data."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile
import reference
from conftest import Parts

# ---- noise -------------------------------------------------------------------------------------


def test_philox_published_vectors() -> None:
    """Random123's known answers, kat_vectors: the oracle itself."""
    counters = np.array(
        [[0] * 4, [0xFFFFFFFF] * 4, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], np.uint32
    )
    keys = [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0xA4093822, 0x299F31D0)]
    want = [
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ]
    for counter, key, words in zip(counters, keys, want):
        assert reference.philox(counter[None], key).tolist() == [words]


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
@pytest.mark.parametrize("first", [0, 2**32 - 2, 2**63])
def test_noise_gaussian(model: brenier.Model, seed: int, first: int) -> None:
    x = model.noise(5, seed=seed, first=first)
    want = reference.noise(5, 6, seed, first)
    assert x.shape == (5, 6) and x.dtype == np.float32
    # Two routines for the quantile agree to 1e-15, so their float32 values are equal or neighbours.
    np.testing.assert_array_max_ulp(x, want.astype(np.float32), maxulp=1)
    assert (x == want.astype(np.float32)).mean() > 0.9


def test_noise_uniform(tmp_path: pathlib.Path) -> None:
    path = modelfile.write(
        tmp_path / "uniform.safetensors",
        {"ot.points": np.eye(3, 5, dtype=np.float32), "ot.heights": np.zeros(3, np.float32)},
        {"source": "uniform"},
    )
    with brenier.load(path, device="cpu") as model:
        assert model.info.source == "uniform"
        want = reference.noise(40, 5, 11, 2, "uniform").astype(np.float32)
        assert np.array_equal(model.noise(40, seed=11, first=2), want)


# ---- locate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 32])
def test_locate(model: brenier.Model, parts: Parts, k: int) -> None:
    x = np.random.default_rng(2).standard_normal((700, 6), np.float32)
    cells, scores = model.locate(x, k)
    want = reference.scores(x, parts.points, parts.heights)
    order = np.argsort(-want, axis=1, kind="stable")[:, :k]
    assert cells.dtype == np.int64 and scores.dtype == np.float64
    assert np.array_equal(cells, order)
    np.testing.assert_allclose(scores, np.take_along_axis(want, order, axis=1), rtol=1e-13, atol=1e-13)


def test_locate_ties_take_the_lowest_index(tmp_path: pathlib.Path) -> None:
    points = np.zeros((50, 4), np.float32)
    path = modelfile.write(
        tmp_path / "ties.safetensors", {"ot.points": points, "ot.heights": np.zeros(50, np.float32)}
    )
    with brenier.load(path, device="cpu") as model:
        cells, scores = model.locate(np.ones((3, 4)), k=5)
        assert cells.tolist() == [[0, 1, 2, 3, 4]] * 3
        assert not scores.any()


def test_potential(model: brenier.Model, parts: Parts) -> None:
    x = np.random.default_rng(3).standard_normal((50, 6), np.float32)
    brenier_potential, kantorovich = model.potential(x)
    u = reference.scores(x, parts.points, parts.heights).max(axis=1)
    np.testing.assert_allclose(brenier_potential, u, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(kantorovich, (np.float64(x) ** 2).sum(1) / 2 - u, rtol=1e-12, atol=1e-12)


# ---- extend ------------------------------------------------------------------------------------

RADIANS = float(np.arccos(0.6))


@pytest.mark.parametrize("mode", ["cell", "simplex", "pair"])
@pytest.mark.parametrize("limit", [RADIANS, np.pi])
def test_extend(model: brenier.Model, parts: Parts, mode: Any, limit: float) -> None:
    x = np.random.default_rng(4).standard_normal((200, 6), np.float32)
    cells, _ = model.locate(x, k=8)
    z = model.extend(x, cells, mode=mode, theta_radians=limit, k=8, blend=0.3)
    want = reference.extend(x, cells, parts.points, parts.centroids, mode, limit, blend=0.3)
    np.testing.assert_allclose(z, want, rtol=1e-6, atol=1e-6)
    if mode != "cell":
        kept = reference.extend(x, cells, parts.points, parts.centroids, mode, np.pi, blend=0.3)
        # The limit has to bite on this data, or the test would not see it.
        assert (np.abs(kept - want).max() > 0.1) == (limit == RADIANS)


def test_extend_quantile_is_the_model_s_table(model: brenier.Model, parts: Parts) -> None:
    x = model.noise(100, seed=5)
    cells, _ = model.locate(x, k=8)
    quantile = 0.37  # entry 37 of a table of 101
    radians = float(np.arccos(parts.cosines[37]))
    np.testing.assert_array_equal(
        model.extend(x, cells, theta=quantile), model.extend(x, cells, theta_radians=radians)
    )
    np.testing.assert_array_equal(
        model.extend(x, cells), model.extend(x, cells, theta=0.25, k=8, mode="simplex")
    )


def test_extend_takes_the_first_cells_of_a_row(model: brenier.Model) -> None:
    x = model.noise(20)
    cells, _ = model.locate(x, k=8)
    np.testing.assert_array_equal(
        model.extend(x, cells, k=3, theta=1.0), model.extend(x, cells[:, :3], k=3, theta=1.0)
    )
    np.testing.assert_array_equal(model.extend(x, cells[:, 0], mode="cell"), model.points[cells[:, 0]])


# ---- codes, decode, sample ---------------------------------------------------------------------


def test_codes_are_the_stages_in_order(model: brenier.Model) -> None:
    x = model.noise(600, seed=9, first=3)
    cells, _ = model.locate(x, k=8)
    z = model.codes(600, seed=9, first=3)
    np.testing.assert_array_equal(z, model.extend(x, cells))


def test_decode(model: brenier.Model, parts: Parts) -> None:
    z = model.codes(7)
    want = np.tanh(np.float64(z) @ np.float64(parts.weight).T + parts.bias).reshape(7, 2, 3, 4)
    np.testing.assert_allclose(model.decode(z), want, atol=1e-5)
    np.testing.assert_allclose(model.decode(z, layout="NHWC"), want.transpose(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(model.decode(z, dtype="float16"), want, atol=1e-3)
    eight = model.decode(z, dtype="uint8")
    assert eight.dtype == np.uint8
    # [-1, 1] to 0 .. 255, to the nearest; a value at a half may go either way by float32's error.
    assert np.abs(eight - (want + 1) / 2 * 255).max() <= 0.501


def test_sample_is_decode_of_codes(model: brenier.Model) -> None:
    for dtype in ("float32", "float16", "uint8"):
        for layout in ("NCHW", "NHWC"):
            np.testing.assert_array_equal(
                model.sample(9, seed=2, mode="pair", blend=0.25, theta=0.8, k=4, dtype=dtype, layout=layout),
                model.decode(
                    model.codes(9, seed=2, mode="pair", blend=0.25, theta=0.8, k=4),
                    dtype=dtype,
                    layout=layout,
                ),
            )


def test_a_sample_does_not_depend_on_its_batch(parts: Parts, model: brenier.Model) -> None:
    whole = model.codes(1100, seed=4)
    np.testing.assert_array_equal(
        np.concatenate([model.codes(1, seed=4, first=i) for i in (0, 511, 512, 1099)]),
        whole[[0, 511, 512, 1099]],
    )
    with brenier.load(parts.path, device="cpu", threads=1) as single:
        np.testing.assert_array_equal(single.codes(1100, seed=4), whole)
    images = model.sample(40, seed=4)
    np.testing.assert_array_equal(model.sample(1, seed=4, first=33), images[33:34])
