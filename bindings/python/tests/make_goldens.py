"""Makes data/goldens.npz with PyTorch: small decoders, their printed layers, and what they make of codes.

    python make_goldens.py

The file lets the export of state dicts be tested where torch is not installed.
"""

from __future__ import annotations

import pathlib

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def decoders() -> dict[str, tuple[nn.Sequential, tuple[int, ...]]]:
    """Each with the shape of its codes; together they hold every layer that can be exported."""
    return {
        "dcgan": (
            nn.Sequential(
                nn.ConvTranspose2d(8, 12, 4),
                nn.BatchNorm2d(12, eps=1e-3),
                nn.ReLU(True),
                nn.ConvTranspose2d(12, 6, 4, 2, 1, bias=False),
                nn.BatchNorm2d(6, affine=False),
                nn.LeakyReLU(0.2, inplace=True),
                nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2),
                nn.Dropout2d(),
                nn.ConvTranspose2d(4, 3, (3, 5), stride=(1, 3), padding=(0, 2), output_padding=(0, 1)),
                nn.Tanh(),
            ),
            (8, 1, 1),
        ),
        "mlp": (
            nn.Sequential(
                nn.Flatten(),
                nn.Linear(10, 20),
                nn.BatchNorm1d(20),
                nn.SiLU(),
                nn.Dropout(0.3),
                nn.Linear(20, 60, bias=False),
                nn.Hardtanh(-0.75, 0.5),
                nn.Unflatten(1, (2, 5, 6)),
                nn.Identity(),
            ),
            (10,),
        ),
        "upsample": (
            nn.Sequential(
                nn.Linear(6, 48),
                nn.Unflatten(-1, (4, 3, 4)),
                nn.Upsample(scale_factor=2),
                nn.Conv2d(4, 8, (3, 4), padding="same", bias=False),
                nn.GroupNorm(2, 8, eps=1e-4),
                nn.ReLU6(),
                nn.Upsample((9, 13)),
                nn.Conv2d(8, 8, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=4),
                nn.GroupNorm(4, 8, affine=False),
                nn.UpsamplingNearest2d(scale_factor=1.5),
                nn.Conv2d(8, 2, 3, padding="valid"),
                nn.Sigmoid(),
            ),
            (6,),
        ),
        "nested": (
            nn.Sequential(
                nn.Sequential(nn.ConvTranspose2d(5, 6, 3), nn.Sequential(nn.BatchNorm2d(6), nn.ReLU())),
                nn.Sequential(nn.Conv2d(6, 1, 1), nn.Sigmoid()),
            ),
            (5, 1, 1),
        ),
        "shuffle": (
            nn.Sequential(
                nn.Linear(6, 48),
                nn.PReLU(),
                nn.Unflatten(1, (8, 2, 3)),
                nn.PixelShuffle(2),
                nn.ZeroPad2d((1, 2, 0, 1)),
                nn.InstanceNorm2d(2),
                nn.Conv2d(2, 4, 3, padding=1),
                nn.InstanceNorm2d(4, eps=1e-3, affine=True),
                nn.PReLU(4),
                nn.Hardswish(),
                nn.Conv2d(4, 4, 3, padding=1),
                nn.ZeroPad2d(1),
                nn.Hardsigmoid(),
            ),
            (6,),
        ),
    }


def randomise(module: nn.Module) -> None:
    """Running statistics and scales that a mistake in their order would show."""
    for layer in module.modules():
        if isinstance(layer, (*NORMS, nn.InstanceNorm2d)) and layer.running_mean is not None:
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2)
        if isinstance(layer, (*NORMS, nn.InstanceNorm2d, nn.GroupNorm)) and layer.affine:
            nn.init.uniform_(layer.weight, -1.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
        if isinstance(layer, nn.PReLU):
            nn.init.uniform_(layer.weight, -0.5, 0.5)


def main() -> None:
    torch.manual_seed(0)
    arrays: dict[str, object] = {}
    for name, (decoder, shape) in decoders().items():
        randomise(decoder)
        decoder.eval()
        z = torch.randn(3, *shape)
        with torch.no_grad():
            images = decoder.double()(z.double())
        arrays[f"{name}/layers"] = str(decoder)
        arrays[f"{name}/z"] = z.reshape(3, -1).numpy()
        arrays[f"{name}/images"] = images.float().numpy()
        for key, tensor in decoder.float().state_dict().items():
            arrays[f"{name}/state/{key}"] = tensor.numpy()
    np.savez_compressed(HERE / "data" / "goldens.npz", **arrays)


if __name__ == "__main__":
    main()
