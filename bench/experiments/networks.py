"""Networks of the models that AE-OT stands beside, and of the judge."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from brenier.training import networks


class SideBySide(nn.Module):
    """A linear layer of several independent runs: ``[runs, n, inputs]`` to ``[runs, n, outputs]``.

    Small networks cost the processor little but the calls; so trained, several cost about as much as one.
    """

    def __init__(self, runs: int, inputs: int, outputs: int) -> None:
        super().__init__()
        alone = [nn.Linear(inputs, outputs) for _ in range(runs)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in alone]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach()[None] for layer in alone]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


def perceptrons(runs: int, inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Independent perceptrons of two hidden layers."""
    return nn.Sequential(
        SideBySide(runs, inputs, width), nn.ReLU(),
        SideBySide(runs, width, width), nn.ReLU(),
        SideBySide(runs, width, outputs),
    )  # fmt: skip


class Classifier(nn.Module):
    """Digits ``[n, 1, 28, 28]`` to 128 features, and these to the logits of 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(),
        )  # fmt: skip
        self.logits = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits(self.features(images))


class VAE(nn.Module):
    """Kingma and Welling (2014), of the encoder and the decoder that brenier trains."""

    def __init__(self, channels: int, height: int, width: int, latent: int, base: int) -> None:
        super().__init__()
        encoder = networks.encoder(channels, height, width, 2 * latent, base)
        self.encoder = encoder[:-1]  # without the standardisation of codes
        self.decoder = networks.decoder(channels, height, width, latent, base, "transpose")

    def loss(self, images: torch.Tensor) -> torch.Tensor:
        """Minus the evidence lower bound, in nats an image."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        likelihood = F.binary_cross_entropy(self.decoder(z), images, reduction="sum")
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
        return (likelihood + divergence) / len(images)
