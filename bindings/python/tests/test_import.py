"""brenier import: the state dicts and printed layers of networks that were trained here."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

import brenier
import command_line
import modelfile

torch = pytest.importorskip("torch", reason="torch is not installed: its state dicts are not imported")

from brenier.training import networks  # noqa: E402


@command_line.needed
@pytest.mark.parametrize("normed", ["BatchNorm1d", "BatchNorm2d", "GroupNorm"])
def test_networks_with_norms_without_weights(normed: str, tmp_path: pathlib.Path) -> None:
    torch.manual_seed(0)
    encoder = networks.encoder(1, 28, 28, 6, 4)  # which ends with a BatchNorm1d(affine=False)
    if normed == "BatchNorm2d":
        encoder[3] = torch.nn.BatchNorm2d(8, momentum=None, affine=False)
    elif normed == "GroupNorm":
        encoder[3] = torch.nn.GroupNorm(2, 8, affine=False)
    decoder = networks.decoder(1, 28, 28, 6, 4, "transpose")
    images = torch.rand(64, 1, 28, 28)
    for _ in range(20):  # running statistics other than 0 and 1
        decoder(encoder(images))
    state = {f"encoder.{name}": tensor.numpy() for name, tensor in encoder.state_dict().items()}
    state.update({f"decoder.{name}": tensor.numpy() for name, tensor in decoder.state_dict().items()})
    modelfile.write(tmp_path / "state", state)
    (tmp_path / "encoder").write_text(str(encoder))
    (tmp_path / "decoder").write_text(str(decoder))
    command_line.run(
        tmp_path, "import", "state", "--layers", "decoder", "--encoder-layers", "encoder", "--input", "6",
        "--out", "m",
    )  # fmt: skip
    with torch.no_grad():
        codes = encoder.eval().double()(images.double())
        made = decoder.eval().double()(codes)
    assert codes.std() > 0.1
    with brenier.load(tmp_path / "m", device="cpu") as model:
        encoded = model.encode(images.numpy())
        np.testing.assert_allclose(encoded, codes.numpy(), atol=1e-5 * float(np.ptp(codes.numpy())))
        np.testing.assert_allclose(model.decode(encoded), made.numpy(), atol=1e-5)
