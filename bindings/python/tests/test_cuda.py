"""The CUDA backend from Python: on the driver's double, or what else BRENIER_CUDA_DRIVER names."""

from __future__ import annotations

import os

import numpy as np
import pytest

import brenier
from brenier.engine import Precision
from conftest import Parts

pytestmark = pytest.mark.skipif(
    "BRENIER_CUDA_DRIVER" not in os.environ,
    reason="no GPU: BRENIER_CUDA_DRIVER does not name the driver's double",
)


def test_the_same_codes_as_on_the_cpu(parts: Parts) -> None:
    with (
        brenier.load(parts.path, device="cuda") as cuda,
        brenier.load(parts.path, device="cpu") as cpu,
    ):
        for mode in ("cell", "simplex", "pair"):
            np.testing.assert_array_equal(
                cuda.codes(20, seed=3, first=1 << 40, mode=mode),
                cpu.codes(20, seed=3, first=1 << 40, mode=mode),
            )
        x = cpu.noise(9, seed=1)
        for got, want in zip(cuda.locate(x, k=5), cpu.locate(x, k=5)):
            np.testing.assert_array_equal(got, want)
        images = cuda.sample(20, seed=3)
        np.testing.assert_allclose(images, cpu.sample(20, seed=3), atol=2e-3 * 2)  # of the range [-1, 1]
        np.testing.assert_array_equal(images[5], cuda.sample(1, seed=3, first=5)[0])


def test_info(parts: Parts) -> None:
    with brenier.load(parts.path, device="cuda:0") as model:
        info = model.info
        assert info.engine.device == "cuda:0" and info.engine.path.startswith("sm_")
        assert info.notes == [] and any(k["part"] == "locate" for k in info.kernels)


@pytest.mark.parametrize(
    ("precision", "kernel", "within"),
    [
        (None, "_f16", 2e-3),
        ("float16", "_f16", 2e-3),
        ("bfloat16", "_bf16", 1.6e-2),
        ("float32", "_f32", 1e-5),
    ],
)
def test_precision(parts: Parts, precision: Precision | None, kernel: str, within: float) -> None:
    z = parts.points[:20]
    want = np.tanh(z.astype(float) @ parts.weight.T.astype(float) + parts.bias).reshape(20, 2, 3, 4)
    data = parts.path.read_bytes()
    for model in (
        brenier.load(parts.path, device="cuda", precision=precision),
        brenier.load_bytes(data, device="cuda", precision=precision),
    ):
        with model:
            kernels = {k["part"]: k["kernel"] for k in model.info.kernels}
            assert kernel in kernels["linear"] and kernel in kernels["encoder linear"]
            np.testing.assert_allclose(model.decode(z), want, rtol=0, atol=within * 2)  # of [-1, 1]
            codes = want.reshape(20, 24) @ parts.encoder_weight.T.astype(float) + parts.encoder_bias
            np.testing.assert_allclose(model.encode(want), codes, rtol=0, atol=within * np.ptp(codes))


def test_memory_limit(parts: Parts) -> None:
    with pytest.raises(brenier.OutOfMemoryError, match="budget"):
        brenier.load(parts.path, device="cuda", cuda=brenier.CudaOptions(memory=8192))


def test_no_such_device(parts: Parts) -> None:
    with pytest.raises(brenier.DeviceError, match="cuda:99: no such device"):
        brenier.load(parts.path, device="cuda:99")
