"""Well-known decoders at their full size, by way of torch and of ONNX, held against PyTorch in float64."""

from __future__ import annotations

import inspect
import io
import pathlib
import warnings
from typing import Any

import numpy as np
import pytest

import brenier

torch = pytest.importorskip("torch", reason="torch is not installed: there is nothing to compare with")

import decoders  # noqa: E402  (needs torch)


@pytest.fixture(scope="module", params=decoders.DECODERS)
def case(request: pytest.FixtureRequest) -> tuple[str, Any, Any, Any]:
    """A name, a decoder, a code ``[1, d]`` and its image."""
    decoder = decoders.make(request.param)
    z = torch.randn(1, *decoder.code)
    with torch.no_grad():
        want = decoder.double()(z.double()).numpy()
        decoder.float()
    return request.param, decoder, z, want


def decoded(path: pathlib.Path, z: Any) -> Any:
    with brenier.load(path) as model:
        return model.decode(z.reshape(1, -1).numpy())


def agree(got: Any, want: Any) -> None:
    """Within 1e-5 of the range, which the contract gives float32."""
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.ptp(want))


def test_decoders_are_the_well_known_ones(case: Any) -> None:
    name, decoder, _, want = case
    _, shape, parameters = decoders.DECODERS[name]
    assert want.shape == (1, *shape)
    assert sum(p.numel() for p in decoder.parameters()) == parameters
    low, high = want.min(), want.max()
    margin = 0.05 * (high - low)
    inside = (want > low + margin) & (want < high - margin)
    assert 0.5 < inside.mean() and high - low > 0.5  # neither constant nor clipped


def test_torch(case: Any, tmp_path: pathlib.Path) -> None:
    _, decoder, z, want = case
    arguments = {} if len(decoder.code) == 1 or decoder.code[1:] == (1, 1) else {"input_shape": decoder.code}
    low, high = float(want.min()), float(want.max())
    brenier.export(tmp_path / "m", decoder, output_range=(low, high), **arguments)
    agree(decoded(tmp_path / "m", z), want)


def test_program(case: Any, tmp_path: pathlib.Path) -> None:
    if not hasattr(torch, "export"):
        pytest.skip("this PyTorch has no torch.export")
    _, decoder, z, want = case
    program = torch.export.export(decoder, (z,))
    brenier.export(tmp_path / "m", program, output_range=(float(want.min()), float(want.max())))
    agree(decoded(tmp_path / "m", z), want)


def test_onnx(case: Any, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed: the export of ONNX models is not tested")
    _, decoder, z, want = case
    file = io.BytesIO()
    # PyTorch's later exporter needs a package of its own.
    older = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older one is deprecated there
        torch.onnx.export(
            decoder, (z,), file, input_names=["z"], dynamic_axes={"z": {0: "n"}}, opset_version=16, **older
        )
    low, high = float(want.min()), float(want.max())
    brenier.export(tmp_path / "m", file.getvalue(), output_range=(low, high))
    agree(decoded(tmp_path / "m", z), want)


def test_diffusers_own_class(tmp_path: pathlib.Path) -> None:
    """It takes the weights of the decoder above by their names, and makes the same of a code."""
    reason = "diffusers is not installed: its own AutoencoderTiny is not exported, a twin of it is"
    diffusers = pytest.importorskip("diffusers", reason=reason)
    twin = decoders.make("TAESD")
    decoder = diffusers.AutoencoderTiny().decoder.eval()
    decoder.load_state_dict(twin.state_dict())
    z = torch.randn(1, *twin.code)
    with torch.no_grad():
        assert torch.equal(decoder(z), twin(z))
        want = decoder.double()(z.double()).numpy()
        decoder.float()
    brenier.export(
        tmp_path / "m",
        decoder,
        input_shape=twin.code,
        output_range=(float(want.min()), float(want.max())),
    )
    agree(decoded(tmp_path / "m", z), want)
