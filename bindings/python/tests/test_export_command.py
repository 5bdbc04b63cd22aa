"""brenier export: ONNX models and exported programs, with a map and without."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
from brenier.__main__ import main

onnx = pytest.importorskip("onnx", reason="onnx is not installed: brenier export is not tested")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

WEIGHT = np.random.default_rng(2).standard_normal((4, 12)).astype(np.float32)


@pytest.fixture
def decoder(tmp_path: pathlib.Path) -> str:
    """tanh(z W), as images [3, 2, 2]."""
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["x"]),
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Reshape", ["t", "shape"], ["y"]),
    ]
    tensors = {"w": WEIGHT, "shape": np.array([-1, 3, 2, 2], np.int64)}
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 2, 2])],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    path = tmp_path / "decoder.onnx"
    onnx.save(model, path)
    return str(path)


def images(z: Any) -> Any:
    return np.tanh(z @ WEIGHT).reshape(-1, 3, 2, 2)


def test_a_decoder_alone(decoder: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.safetensors"
    assert main(["export", decoder, "--out", str(out), "--range=-1,1"]) == 0
    assert capsys.readouterr().out == f"{out}: codes of 4 to images 3 x 2 x 2, 0 points\n"
    z = np.random.default_rng(1).standard_normal((5, 4), np.float32)
    with brenier.load(out) as model:
        np.testing.assert_allclose(model.decode(z), images(z), atol=1e-5)


@pytest.mark.parametrize("fitted", [True, False])
def test_with_a_map(fitted: bool, decoder: str, tmp_path: pathlib.Path) -> None:
    points = np.random.default_rng(3).standard_normal((20, 4)).astype(np.float32)
    heights = -0.5 * (points**2).sum(1)
    np.save(tmp_path / "points.npy", points)
    np.save(tmp_path / "heights.npy", heights)
    chosen = ["--fit", "--tol", "0.05"] if fitted else ["--heights", str(tmp_path / "heights.npy")]
    out = tmp_path / "m.safetensors"
    arguments = ["export", decoder, "--out", str(out), "--points", str(tmp_path / "points.npy"), *chosen]
    assert main([*arguments, "--range=-1,1", "--weights", "f16"]) == 0
    with brenier.load(out) as model:
        np.testing.assert_array_equal(model.points, points)
        assert model.info.has_centroids == fitted
        if not fitted:
            np.testing.assert_array_equal(model.heights, heights)
        assert model.sample(3, mode="cell").shape == (3, 3, 2, 2)
        assert model.image_mean.shape == (3, 2, 2)
    assert main([*arguments, "--range=-1,1", "--images", "0"]) == 0
    with brenier.load(out) as model, pytest.raises(brenier.UnsupportedError, match=r"no output\.mean"):
        _ = model.image_mean


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["net.pth"], 2, "net.pth: want FILE.onnx or FILE.pt2; brenier import takes a state dict"),
        (["D", "--encoder", "e.pt"], 2, "encoder e.pt: want FILE.onnx or FILE.pt2"),
        (["D", "--range", "0"], 2, "--range: want LOW,HIGH"),
        (["D", "--range", "1,0"], 1, "output_range: want two finite numbers"),
        (["D", "--input", "4,0"], 2, "--input: want whole numbers from 1"),
        (["D", "--images", "-1"], 2, "--images: want 0 or more, got -1"),
        (["D", "--fit"], 2, "--points goes with --fit or --heights"),
        (["D", "--points", "P"], 2, "--points goes with --fit or --heights"),
        (["D", "--points", "P", "--fit", "--heights", "P"], 2, "want --fit or --heights, not both"),
        (["D", "--points", "D", "--fit"], 2, "not an .npy file"),
        (["D", "--points", "P", "--fit"], 1, "3 columns, but the decoder reads codes [4]"),
        (["none.onnx"], 1, "none.onnx: could not be read"),
    ],
)
def test_what_is_refused(
    arguments: list[str],
    status: int,
    text: str,
    decoder: str,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save(tmp_path / "points.npy", np.zeros((5, 3), np.float32))
    named = {"D": decoder, "P": str(tmp_path / "points.npy")}
    out = tmp_path / "m.safetensors"
    assert main(["export", *(named.get(a, a) for a in arguments), "--out", str(out)]) == status
    error = capsys.readouterr().err
    assert text in error and error.startswith("brenier: ") and error.count("\n") == 1
    assert not out.exists()
