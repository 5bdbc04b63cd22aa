"""Well-known decoders at their full size, with random weights: what people bring to ``brenier.export``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import make_goldens


class DCGAN(nn.Sequential):
    """The generator of Radford et al., 2016, for 64 x 64 pixels, as PyTorch's examples have it."""

    code = (100, 1, 1)

    def __init__(self, z: int = 100, channels: int = 64) -> None:
        c = channels
        layers: list[nn.Module] = []
        for below, here, (stride, padding) in (
            (z, 8 * c, (1, 0)),
            (8 * c, 4 * c, (2, 1)),
            (4 * c, 2 * c, (2, 1)),
            (2 * c, c, (2, 1)),
        ):
            layers += [
                nn.ConvTranspose2d(below, here, 4, stride, padding, bias=False),
                nn.BatchNorm2d(here),
                nn.ReLU(True),
            ]
        super().__init__(*layers, nn.ConvTranspose2d(c, 3, 4, 2, 1, bias=False), nn.Tanh())


class InfoGAN(nn.Module):
    """The generator of Chen et al., 2016, for 28 x 28 pixels, with the sigmoid of Lucic et al., 2018."""

    code = (74,)

    def __init__(self, z: int = 74) -> None:
        super().__init__()
        self.vector = nn.Sequential(
            nn.Linear(z, 1024),
            nn.BatchNorm1d(1024),
            nn.ReLU(),
            nn.Linear(1024, 128 * 7 * 7),
            nn.BatchNorm1d(128 * 7 * 7),
            nn.ReLU(),
        )
        self.image = nn.Sequential(
            nn.ConvTranspose2d(128, 64, 4, 2, 1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 1, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, z: Any) -> Any:
        return self.image(self.vector(z).view(-1, 128, 7, 7))


class CelebA(nn.Module):
    """The decoder that pyOMT trains on CelebA, 64 x 64 pixels, with the 80 channels of its demonstration."""

    code = (100, 1, 1)

    def __init__(self, z: int = 100, channels: int = 80) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(z, 8 * channels, 4)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(2 * c, c, 4, 2, 1),
                nn.BatchNorm2d(c),
                nn.ReLU(),
            )
            for c in (4 * channels, 2 * channels, channels)
        )
        self.last = nn.Sequential(nn.ConvTranspose2d(channels, 3, 4, 2, 1), nn.Tanh())

    def forward(self, z: Any) -> Any:
        x = self.first(z)
        for block in self.blocks:
            x = block(x)
        return self.last(x)


class TAESDBlock(nn.Module):
    """Three convolutions and what goes past them; before them, for newer latents, a normalised branch."""

    def __init__(self, channels: int, normalised: bool = False) -> None:
        super().__init__()
        c = channels
        self.pool = None
        if normalised:
            self.pool = nn.Sequential(
                nn.Conv2d(c, 4 * c, 1, bias=False),
                nn.GroupNorm(4, 4 * c),
                nn.ReLU(inplace=True),
                nn.Conv2d(4 * c, c, 1, bias=False),
            )
        relu = nn.ReLU()
        self.conv = nn.Sequential(_conv(c, c), relu, _conv(c, c), relu, _conv(c, c))
        self.skip = nn.Identity()
        self.fuse = nn.ReLU()

    def forward(self, x: Any) -> Any:
        if self.pool is not None:
            x = x + self.pool(x)
        return self.fuse(self.conv(x) + self.skip(x))


class TAESD(nn.Module):
    """The decoder of the tiny autoencoder for Stable Diffusion, as diffusers' ``AutoencoderTiny`` has it:
    images in [-1, 1], eight times the latent's rows and columns."""

    code = (4, 8, 8)

    def __init__(self, latent: int = 4, normalised: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(latent, 64), nn.ReLU()]
        for stage in range(3):
            layers += [TAESDBlock(64, normalised and stage == 0) for _ in range(3)]
            layers += [nn.Upsample(scale_factor=2.0, mode="nearest"), _conv(64, 64, bias=False)]
        self.layers = nn.Sequential(*layers, TAESDBlock(64), _conv(64, 3))

    def forward(self, x: Any) -> Any:
        x = torch.tanh(x / 3) * 3
        return self.layers(x).mul(2).sub(1)


class NormalisedTAESD(TAESD):
    """With the group normalisation that FLUX.2's 32 latent channels brought."""

    code = (32, 4, 4)

    def __init__(self) -> None:
        super().__init__(32, normalised=True)


class Stack256(nn.Module):
    """From 4 x 4 to 256 x 256 pixels by nearest upsampling and convolutions, as progressive growing has it
    (Karras et al., 2018), with group normalisation."""

    code = (512,)

    def __init__(self, z: int = 512) -> None:
        super().__init__()
        self.first = nn.Linear(z, 512 * 4 * 4)
        widths = [512, 512, 256, 128, 64, 32, 16]
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2),
                _conv(below, here),
                nn.GroupNorm(8, here),
                nn.LeakyReLU(0.2),
            )
            for below, here in zip(widths, widths[1:])
        )
        self.image = nn.Conv2d(16, 3, 1)

    def forward(self, z: Any) -> Any:
        x = nn.functional.leaky_relu(self.first(z), 0.2).reshape(z.shape[0], 512, 4, 4)
        for stage in self.stages:
            x = stage(x)
        return self.image(x).clamp(-1, 1)


DECODERS: dict[str, tuple[Callable[[], Any], tuple[int, int, int], int]] = {
    # the class, the images' shape, the number of parameters
    "DCGAN": (DCGAN, (3, 64, 64), 3_576_704),
    "InfoGAN": (InfoGAN, (1, 28, 28), 6_652_481),
    "CelebA": (CelebA, (3, 64, 64), 5_330_963),
    "TAESD": (TAESD, (3, 64, 64), 1_222_531),
    "TAESD with group norm": (NormalisedTAESD, (3, 32, 32), 1_338_499),
    "256": (Stack256, (3, 256, 256), 8_136_195),
}


def make(name: str) -> Any:
    """A decoder in evaluation mode, the same each time. Its weights keep the size of what they are given,
    so that its images are of the code and not of the last bias."""
    torch.manual_seed(1)
    decoder = DECODERS[name][0]().eval()
    for layer in decoder.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            read = layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):  # of which a pixel reads every stride-th
                read = layer.weight[:, 0].numel() // math.prod(layer.stride)
            nn.init.normal_(layer.weight, 0, math.sqrt(1.5 / read))
    make_goldens.randomise(decoder)
    return decoder


def _conv(below: int, here: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(below, here, 3, padding=1, bias=bias)
