"""Fields: slices, levels, formats, and what is said about wrong ones."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile
import reference
from conftest import Parts

SHAPE = (2, 4, 8)


@pytest.fixture(scope="module")
def path(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The small map with a linear decoder to [2, 4, 8], and the statistics of its images."""
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((64, 6), np.float32)
    nodes: list[dict[str, Any]] = [
        {
            "name": "linear",
            "op": "Gemm",
            "inputs": ["z", "decoder.weight"],
            "output": "flat",
            "attributes": {"transB": 1},
        },
        {
            "name": "image",
            "op": "Reshape",
            "inputs": ["flat"],
            "output": "image",
            "attributes": {"shape": [0, *SHAPE]},
        },
    ]
    metadata = {
        "graph": {"input": {"name": "z", "shape": [6]}, "output": "image", "nodes": nodes},
        "output": {"range": [-4, 4], "channels": 2, "height": 4, "width": 8},
        "extension": {"mode": "cell", "k": 1, "quantile": 1},
    }
    tensors = {"ot.points": parts.points, "ot.heights": parts.heights, "decoder.weight": weight}
    path = tmp_path_factory.mktemp("field") / "waves.safetensors"
    with brenier.load(modelfile.write(path, tensors, metadata), device="cpu") as model:
        images = model.sample(20000, seed=1)
    tensors["output.mean"], tensors["output.deviation"] = images.mean(0), images.std(0)
    return modelfile.write(path, tensors, metadata)


@pytest.fixture
def model(path: pathlib.Path) -> Iterator[brenier.Model]:
    with brenier.load(path, device="cpu") as model:
        yield model


def test_jobs_read_what_read_reads(model: brenier.Model, path: pathlib.Path) -> None:
    places: list[dict[str, Any]] = [
        {"x": -3, "y": 9, "width": 300, "height": 40},
        {"x": 2**40, "y": -5, "width": 31, "height": 17, "level": 1, "dtype": "uint16"},
        {"x": 0, "y": 0, "width": 20, "height": 9, "seed": 5, "layout": "NCHW", "dtype": "float16"},
    ]
    with model.field([(8, 1), (1, 0.3, 1)], seed=2) as world:
        jobs = [world.submit_read(**place, priority=i) for i, place in enumerate(places)]
        for place, job in zip(places, jobs):
            np.testing.assert_array_equal(job.result(), world.read(**place))
        out = np.empty((4, 4, 2), np.float32)
        assert world.submit_read(0, 0, 4, 4, out=out).result() is out
        np.testing.assert_array_equal(out, world[0:4, 0:4])
        with pytest.raises(brenier.InvalidArgumentError, match="level: want 0 .. 30, got 31"):
            world.submit_read(0, 0, 1, 1, level=31)
        with pytest.raises(brenier.InvalidArgumentError, match="dtype"):
            world.submit_read(0, 0, 1, 1, dtype="float64")  # type: ignore[arg-type]
        with pytest.raises(brenier.InvalidArgumentError, match="deadline"):
            world.submit_read(0, 0, 1, 1, deadline=-1)

    with brenier.load(path, device="cpu", jobs=brenier.JobOptions(workers=0)) as idle:
        world = idle.field()
        cancelled, other = world.submit_read(0, 0, 40, 40), world.submit_read(0, 0, 8, 8)
        idle.run_jobs(0)
        cancelled.cancel()
        idle.run_jobs(60)
        with pytest.raises(brenier.CancelledError):
            cancelled.result()
        np.testing.assert_array_equal(other.result(), world[0:8, 0:8])
        left = world.submit_read(0, 0, 8, 8)
        world.close()
        assert left.cancelled()
        with pytest.raises(brenier.InvalidHandleError, match="field"):
            world.submit_read(0, 0, 1, 1)


def test_a_pixel_is_its_definition(model: brenier.Model, path: pathlib.Path) -> None:
    seed, y0, x0 = 2**63 + 5, -6, 2**40 - 8
    got = model.field(seed=seed)[y0 : y0 + 8, x0 : x0 + 16]
    assert got.shape == (8, 16, 2) and got.dtype == np.float32
    images = model.sample(20000, seed=1)
    mean, deviation = images.mean(0), images.std(0)
    angles = [np.pi * (np.arange(n) + 0.5) / n for n in (4, 8)]
    window = np.outer(*(np.sin(t + 0.08 * np.sin(4 * t)) for t in angles))
    want = np.zeros((24, 40, 2))  # with a margin of a tile
    for i in range(y0 // 2 - 2, (y0 + 8) // 2 + 1):
        row = [i % 2**32, i // 2**32 % 2**32, 0, 0x776F7266]
        words = reference.philox(np.array([row], np.uint32), (seed % 2**32, seed >> 32))[0]
        for j in range(x0 // 4 - 2, (x0 + 16) // 4 + 1):
            key = int(words[1]) << 32 | int(words[0])
            noise = reference.noise(1, 6, key, j % 2**64, stream=0x6C697466).astype(np.float32)
            image = model.decode(model.points[model.locate(noise)[0][:, 0]])[0]
            top, left = 2 * i - y0 + 8, 4 * j - x0 + 12
            tile = ((image - mean) / deviation * window).transpose(1, 2, 0)
            want[top : top + 4, left : left + 8] += tile
    np.testing.assert_allclose(got, want[8:16, 12:28], atol=2e-5)


def test_regions_are_parts_of_one_plane(model: brenier.Model) -> None:
    octaves = [(8,), brenier.Octave(2, 0.5, 1), (1, 0.25)]
    whole = model.field(octaves, seed=3)[-20:30, -15:50]
    cold = model.field(octaves, seed=3, cache_bytes=0)
    for y0, y1, x0, x1 in [(-20, 30, 0, 1), (-1, 1, -15, 50), (10, 17, 20, 41)]:
        np.testing.assert_array_equal(cold[y0:y1, x0:x1], whole[y0 + 20 : y1 + 20, x0 + 15 : x1 + 15])
    other = cold.read(-15, -20, 65, 50, seed=4)
    assert (other != whole).mean() > 0.9
    assert abs(other.mean()) < 1 and 0.3 < other.std() < 3


def test_steps_read_levels(model: brenier.Model) -> None:
    field = model.field([(4,)], seed=1)
    coarse = field[-8:24:4, 0:64:4]
    assert coarse.shape == (8, 16, 2)
    np.testing.assert_array_equal(coarse, field.read(0, -2, 16, 8, level=2))
    means = field[-8:24, 0:64].reshape(8, 4, 16, 4, 2).mean((1, 3), dtype=np.float64)
    np.testing.assert_allclose(coarse, means, atol=1e-5)


def test_formats(model: brenier.Model) -> None:
    field = model.field(seed=9)
    values = field.read(3, 4, 10, 6)
    for dtype, most in (("uint8", 255), ("uint16", 65535)):
        got = field.read(3, 4, 10, 6, dtype=dtype)
        assert got.dtype == dtype
        want = np.clip(most / 2 + values.astype(np.float64) * (most / 8), 0, most)
        assert abs(got - want).max() <= 0.501
    np.testing.assert_array_equal(field.read(3, 4, 10, 6, layout="NCHW"), values.transpose(2, 0, 1))
    half = field.read(3, 4, 10, 6, dtype="float16")
    np.testing.assert_array_equal(half, values.astype(np.float16))
    one = model.field(seed=9, channel=1, offset=100, scale=10, dtype="uint16")
    out = np.empty((6, 10), np.uint16)
    assert one.read(3, 4, 10, 6, out=out) is out
    np.testing.assert_array_equal(
        out, np.rint(np.clip(100 + 10 * values[..., 1].astype(np.float64), 0, None))
    )


def test_lifetimes(path: pathlib.Path) -> None:
    model = brenier.load(path, device="cpu")
    field = model.field()
    assert repr(field).startswith(
        "<brenier.Field: seed 0, float32, 2 channels, of <brenier.Model: 100 points"
    )
    with model.field() as other:
        other.read(0, 0, 1, 1)
    with pytest.raises(brenier.InvalidHandleError, match="the field is closed"):
        other.read(0, 0, 1, 1)
    model.close()
    with pytest.raises(brenier.InvalidHandleError, match="field"):
        field.read(0, 0, 1, 1)
    field.close()
    field = brenier.load(path, device="cpu").field()  # which keeps its model
    assert field[0:2, 0:3].shape == (2, 3, 2)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"octaves": []}, "octaves: want at least one"),
        ({"octaves": [(3,)]}, "octaves: 0: scale: want a power of two"),
        ({"octaves": [(0,)]}, "octaves: want a scale and an amplitude other than 0"),
        ({"octaves": [(1, 0.0)]}, "octaves: want a scale and an amplitude other than 0"),
        ({"octaves": [(1, float("nan"))]}, "octaves: 0: amplitude"),
        ({"octaves": [(1,), (4,)]}, "octaves: 1: scale 4 comes after a smaller one"),
        ({"octaves": [(1, 1, 1)]}, "octaves: 0: modulation"),
        ({"octaves": [(1,)] * 17}, "octaves: want at most 16"),
        ({"channel": 2}, "channel: want 0 .. 1, got 2"),
        ({"channels": 3}, "channels: want 1 .. 2"),
        ({"channels": 0}, "channels: want 1"),
        ({"offset": 1.0}, "scale"),
        ({"scale": float("inf")}, "offset and scale"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_options(model: brenier.Model, options: dict[str, Any], text: str) -> None:
    with pytest.raises(brenier.InvalidArgumentError, match=text):
        model.field(**options)


def test_wrong_places(model: brenier.Model) -> None:
    field = model.field()
    with pytest.raises(TypeError, match="two slices"):
        field[3]  # type: ignore[index]
    for place, text in [
        ((slice(None, 4), slice(0, 4)), "rows: want a first and a last place"),
        ((slice(0, 4), slice(0, 4, 3)), "columns: want a step of 1, 2, 4"),
        ((slice(1, 5, 4), slice(0, 4, 4)), "rows: want places that are multiples of the step, got 1:5:4"),
        ((slice(0, 4, 2), slice(0, 4, 4)), "one step"),
        ((slice(4, 4), slice(0, 4)), "height: want 1"),
    ]:
        with pytest.raises(brenier.InvalidArgumentError, match=text):
            field[place]
    with pytest.raises(brenier.InvalidArgumentError, match="beyond the plane's end"):
        field.read(2**62, 0, 1, 1)
    with pytest.raises(brenier.InvalidArgumentError, match="x: want"):
        field.read(2**63, 0, 1, 1)
    with pytest.raises(brenier.InvalidArgumentError, match="level"):
        field.read(0, 0, 1, 1, level=31)
    with pytest.raises(brenier.InvalidArgumentError, match="dtype"):
        field.read(0, 0, 1, 1, dtype="int32")  # type: ignore[arg-type]
    with pytest.raises(brenier.InvalidArgumentError, match="layout"):
        field.read(0, 0, 1, 1, layout="HWC")  # type: ignore[arg-type]
    with pytest.raises(brenier.InvalidArgumentError, match="out"):
        field.read(0, 0, 1, 1, out=np.empty((1, 2, 2), np.float32))


def test_a_model_without_a_decoder(parts: Parts, tmp_path: pathlib.Path) -> None:
    path = modelfile.write(
        tmp_path / "map.safetensors", {"ot.points": parts.points, "ot.heights": parts.heights}, {}
    )
    with brenier.load(path, device="cpu") as model, pytest.raises(brenier.UnsupportedError):
        model.field()
