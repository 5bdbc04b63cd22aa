"""MNIST, the classifier that judges digits, and the training of what AE-OT stands beside."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from adversaries import train_gan
from networks import VAE, Classifier
from numpy.typing import NDArray
from torch import nn

import brenier
from brenier import datasets
from brenier.training import networks as brenier_networks

Images = NDArray[np.float32]

ARGUMENTS = {
    "data": {"required": True, "help": "folder of MNIST's files"},
    "judge": {"help": "the classifier's file; trained and written there if there is none"},
    "model": {"help": "the model's file; trained and written there if there is none"},
}
SURE = 0.9  # a digit is clear if the classifier gives its class as much


def read(folder: str, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images ``[n, 1, 28, 28]`` and labels ``[n]`` of ``part``, "train" or "t10k", from MNIST's own files."""
    base = pathlib.Path(folder)
    images = datasets.images(base / f"{part}-images-idx3-ubyte.gz")
    return images, datasets.labels(base / f"{part}-labels-idx1-ubyte.gz")


def tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """In [0, 1], channels last, which the processor's convolutions like better."""
    return (torch.from_numpy(images).float() / 255).to(memory_format=torch.channels_last)


class Judge:
    """A classifier of digits that learns from real ones, unless ``path`` has one that already did."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], path: str | None = None, epochs: int = 3
    ) -> None:
        torch.manual_seed(0)
        self._net = Classifier().eval()
        if path is not None and pathlib.Path(path).exists():
            self._net.load_state_dict(torch.load(path, weights_only=True))
            return
        truth = torch.from_numpy(labels)
        optimiser = torch.optim.Adam(self._net.parameters(), 1e-3)
        for chosen in batches(len(images), 128, epochs):
            loss = F.cross_entropy(self._net(tensor(images[chosen])), truth[chosen])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
        if path is not None:
            torch.save(self._net.state_dict(), path)

    def __call__(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features ``[n, 128]`` and probabilities of classes ``[n, 10]`` of images ``[n, 1, 28, 28]``."""
        features = applied(self._net.features, images)
        return features, applied(lambda x: self._net.logits(x).softmax(dim=1), features)


def batches(n: int, batch: int, epochs: int) -> Any:
    """Indices of whole batches, each epoch in an order of its own."""
    for _ in range(epochs):
        order = torch.randperm(n)
        yield from order[: n - n % batch].reshape(-1, batch)


def applied(net: Callable[[torch.Tensor], torch.Tensor], rows: Any, batch: int = 500) -> NDArray[np.float32]:
    """What a network makes of rows, in batches."""
    tensors = torch.from_numpy(np.ascontiguousarray(rows, np.float32))
    with torch.no_grad():
        return np.concatenate([net(tensors[i : i + batch]).numpy() for i in range(0, len(tensors), batch)])


def model_of(
    images: NDArray[np.uint8], path: str | None, threads: int, log: Callable[[str], None], **settings: Any
) -> brenier.Model:
    """The model at ``path``; if there is none, it is trained on the images and, given a path, kept there."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(path or folder + "/model.safetensors")
        if not file.exists():
            brenier.train(images, file, threads=threads, **settings)
            log("autoencoder trained, map fitted")
        model = brenier.load(file, threads=threads)
    if len(model.points) != len(images):
        raise SystemExit(
            f"{path}: {len(model.points)} points, but {len(images)} images; this model is of others"
        )
    return model


def certificate(model: brenier.Model) -> dict[str, float]:
    """The chief numbers of the fit's report."""
    report = model.info.metadata["fit"]
    return {key: report[key] for key in ("chi2", "chi2_error", "empty", "samples", "seconds")}


def vae(
    images: NDArray[np.uint8], latent: int, base: int, epochs: int, log: Callable[[str], None]
) -> nn.Module:
    """The decoder of a VAE, in evaluation mode."""
    torch.manual_seed(1)
    model = VAE(*images.shape[1:], latent, base).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for step, chosen in enumerate(batches(len(images), 128, epochs)):
        loss = model.loss(tensor(images[chosen]))
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        if step % 500 == 0:
            log(f"VAE: step {step}, {loss.item():.1f} nats")
    return model.eval().decoder


def gan(
    images: NDArray[np.uint8], latent: int, base: int, epochs: int, log: Callable[[str], None]
) -> nn.Module:
    """The generator of a GAN: brenier's decoder against brenier's discriminator, whose norms are spectral."""
    torch.manual_seed(2)
    shape = images.shape[1:]
    generator = brenier_networks.decoder(*shape, latent, base, "transpose")
    discriminator = brenier_networks.discriminator(*shape, base)
    for net in (generator, discriminator):
        net.to(memory_format=torch.channels_last)
    order = batches(len(images), 128, epochs)
    train_gan(
        generator,
        discriminator,
        lambda: tensor(images[next(order)]),
        lambda: torch.randn(128, latent),
        steps=epochs * (len(images) // 128),
        rate=2e-4,
        report=lambda step: log(f"GAN: step {step}") if step % 500 == 0 else None,
    )
    return generator.eval()
