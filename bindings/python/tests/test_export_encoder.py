"""Export of encoders beside decoders: the engine's codes against PyTorch's and ONNX's."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile

IMAGE = (3, 12, 9)
D = 7


def images(n: int) -> Any:
    return np.random.default_rng(3).uniform(-1, 1, (n, *IMAGE)).astype(np.float32)


def state(seed: int = 0) -> dict[str, Any]:
    """A linear autoencoder's state dict, as a module with `decoder` and `encoder` has it."""
    rng = np.random.default_rng(seed)
    pixels = int(np.prod(IMAGE))
    return {
        "decoder.0.weight": rng.standard_normal((pixels, D), np.float32),
        "decoder.0.bias": rng.standard_normal(pixels, np.float32),
        "encoder.1.weight": rng.standard_normal((D, pixels), np.float32),
        "encoder.1.bias": rng.standard_normal(D, np.float32),
    }


DECODER_LAYERS = f"Linear(in_features={D}, out_features={np.prod(IMAGE)})\nUnflatten(1, {IMAGE})"
ENCODER_LAYERS = f"Flatten()\nLinear(in_features={np.prod(IMAGE)}, out_features={D})"


def test_both_networks_of_a_state_dict(tmp_path: pathlib.Path) -> None:
    weights = state()
    path = tmp_path / "m"
    brenier.export(
        path,
        weights,
        layers=DECODER_LAYERS,
        output_range=(-1, 1),
        encoder=weights,
        encoder_layers=ENCODER_LAYERS,
    )
    tensors, metadata = modelfile.read(path)
    assert set(tensors) == {"decoder.0.weight", "decoder.0.bias", "encoder.1.weight", "encoder.1.bias"}
    assert [node["op"] for node in metadata["encoder"]["nodes"]] == ["Reshape", "Gemm"]
    x = images(6)
    want = np.float64(x).reshape(6, -1) @ weights["encoder.1.weight"].T + weights["encoder.1.bias"]
    with brenier.load(path) as model:
        assert model.info.has_encoder
        np.testing.assert_allclose(model.encode(x), want, atol=1e-5 * np.ptp(want))


def test_the_encoder_of_a_fitted_model_stays_with_it(tmp_path: pathlib.Path) -> None:
    weights = state()
    x = images(64)
    codes = x.reshape(64, -1) @ weights["encoder.1.weight"].T + weights["encoder.1.bias"]
    fitted = brenier.fit(codes / codes.std(), tol=0.1, progress=False)
    brenier.export(
        tmp_path / "m", weights, fit=fitted, layers=DECODER_LAYERS, output_range=(-1, 1), encoder=weights,
        encoder_layers=ENCODER_LAYERS, weights="float16",
    )  # fmt: skip
    with brenier.load(tmp_path / "m") as model:
        model.save(tmp_path / "again")
        z = model.encode(x)
        np.testing.assert_allclose(z, codes, atol=2e-3 * np.ptp(codes))
    with brenier.load(tmp_path / "again") as model:
        np.testing.assert_array_equal(model.encode(x), z)


@pytest.mark.parametrize(
    ("encoder", "layers", "text"),
    [
        (state(), None, "layers: a state dict needs its layer list"),
        (None, ENCODER_LAYERS, "encoder_layers: there is no encoder that they are of; pass encoder"),
        (state(), "Flatten()", r"the encoder makes \[324\] of images \[3, 12, 9\]; want codes of 7 values"),
        (state(), "Flatten()\nMaxPool2d(2)", r"the encoder cannot be exported:\n  1 \(MaxPool2d\)"),
        (state(), "Identity()", "the encoder has no operator"),
        (state(), "Flatten()\nLinear(5, 7)", r"1.weight: the layer list says \[7, 5\]"),
    ],
)
def test_what_is_refused(encoder: Any, layers: Any, text: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises((brenier.ExportError, brenier.InvalidArgumentError), match=text):
        brenier.export(tmp_path / "m", state(), layers=DECODER_LAYERS, encoder=encoder, encoder_layers=layers)
    assert not list(tmp_path.iterdir())


def test_onnx(tmp_path: pathlib.Path) -> None:
    """A strided convolution and a matrix product, against ONNX's own evaluator."""
    onnx = pytest.importorskip(
        "onnx", reason="onnx is not installed: the export of ONNX models is not tested"
    )
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(5)
    tensors = {
        "kernel": rng.standard_normal((4, 3, 3, 3), np.float32),
        "weight": rng.standard_normal((4 * 6 * 5, D), np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("LeakyRelu", ["a"], ["b"], alpha=0.2),
            helper.make_node("Flatten", ["b"], ["c"]),
            helper.make_node("MatMul", ["c", "weight"], ["z"]),
        ],
        "encoder",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", *IMAGE])],
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ["n", D])],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    brenier.export(tmp_path / "m", state(), layers=DECODER_LAYERS, output_range=(-1, 1), encoder=made)
    x = images(4)
    want = ReferenceEvaluator(made).run(None, {"x": x})[0]
    with brenier.load(tmp_path / "m") as model:
        np.testing.assert_allclose(model.encode(x), want, atol=1e-5 * np.ptp(want))
    made.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 11
    with pytest.raises(brenier.ExportError):
        brenier.export(tmp_path / "n", state(), layers=DECODER_LAYERS, encoder=made)


class TestTorch:
    """Modules, with what encoders are made of: strides, odd sizes, branches, statistics of the data."""

    @pytest.fixture(autouse=True)
    def seed(self) -> None:
        pytest.importorskip("torch", reason="torch is not installed: the export of modules is not tested")
        import torch

        torch.manual_seed(2)

    @staticmethod
    def encoder() -> Any:
        import torch
        from torch import nn

        class Encoder(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first = nn.Conv2d(3, 8, 4, 2, 1)
                self.block = nn.Sequential(
                    nn.Conv2d(8, 8, 3, padding=1, bias=False),
                    nn.BatchNorm2d(8),
                    nn.SiLU(),
                    nn.Conv2d(8, 8, 1),
                )
                self.norm = nn.GroupNorm(2, 8)
                self.last = nn.Conv2d(8, D, (6, 4))
                self.scale = nn.BatchNorm1d(D, affine=False)

            def forward(self, x: Any) -> Any:
                x = torch.relu(self.first(2 * x - 0.5))
                x = self.norm(x + self.block(x))
                return self.scale(self.last(x).flatten(1))

        made = Encoder()
        made(torch.rand(16, *IMAGE))  # statistics other than 0 and 1
        return made

    @staticmethod
    def decoder() -> Any:
        from torch import nn

        return nn.Sequential(nn.Linear(D, int(np.prod(IMAGE))), nn.Unflatten(1, IMAGE), nn.Tanh())

    @pytest.mark.parametrize("weights", ["float32", "float16"])
    def test_a_module(self, weights: Any, tmp_path: pathlib.Path) -> None:
        import torch

        encoder, decoder = self.encoder(), self.decoder()
        brenier.export(tmp_path / "m", decoder, output_range=(-1, 1), encoder=encoder, weights=weights)
        assert encoder.training and encoder.scale.num_batches_tracked == 1
        x = images(40)
        with torch.no_grad():
            want = encoder.eval().double()(torch.from_numpy(x).double()).numpy()
            kept = decoder.double()(torch.from_numpy(want)).numpy()
        with brenier.load(tmp_path / "m") as model:
            share = 1e-5 if weights == "float32" else 2e-3
            np.testing.assert_allclose(model.encode(x), want, atol=share * np.ptp(want))
            np.testing.assert_allclose(model.reconstruct(x), kept, atol=2 * share)

    def test_errors_name_the_encoder(self, tmp_path: pathlib.Path) -> None:
        from torch import nn

        with pytest.raises(brenier.ExportError, match=r"the encoder cannot be exported:\n  0 \(AvgPool2d\)"):
            brenier.export(
                tmp_path / "m",
                self.decoder(),
                encoder=nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 6 * 4, D)),
            )
        with pytest.raises(brenier.ExportError, match="0: the weight wants 1 channels, the input has 3"):
            brenier.export(tmp_path / "m", self.decoder(), encoder=nn.Sequential(nn.Conv2d(1, D, 9)))

        class Noisy(nn.Module):
            def forward(self, x: Any) -> Any:
                self.n = getattr(self, "n", 0) + 1  # what is traced is not what runs later
                return x.flatten(1)[:, :D] * self.n

        with pytest.raises(brenier.ExportError, match="the (exported )?encoder"):
            brenier.export(tmp_path / "m", self.decoder(), encoder=Noisy())
        assert not list(tmp_path.iterdir())
