"""The optimisation of an autoencoder, resumable at every step.

Everything random is a function of the seed and the step (or the epoch), so a run that was stopped and
taken up again goes through the same numbers as one that was not.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import FileError, InvalidArgumentError, UnsupportedError
from ..exporter.safetensors import replacing
from . import losses, networks
from .progress import Progress
from .settings import Settings

_WARM_UP = 0.1  # the share of the schedule in which the rate rises
_ADVERSARY_FROM = 0.5  # the share after which the adversarial term acts
_KEEP_EVERY = 60.0  # seconds between checkpoints
_VERSION = 2


class Autoencoder:
    """The networks, their optimisers and how far they are."""

    def __init__(self, settings: Settings, shape: tuple[int, int, int], device: str) -> None:
        self.settings = settings
        self.device = torch.device(device)
        s = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(s.seed)
            modules: dict[str, nn.Module] = {
                "encoder": networks.encoder(*shape, s.latent, s.base),
                "decoder": networks.decoder(*shape, s.latent, s.base, s.decoder),
            }
            if s.adversarial > 0:
                modules["discriminator"] = networks.discriminator(*shape, s.base)
        for module in modules.values():
            place(module, self.device, torch.channels_last)
        self.modules = modules
        self.encoder, self.decoder = modules["encoder"], modules["decoder"]
        both = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimisers = {"autoencoder": torch.optim.Adam(both, s.rate)}
        if s.adversarial > 0:
            self.optimisers["discriminator"] = torch.optim.Adam(
                modules["discriminator"].parameters(), s.rate, betas=(0.5, 0.999)
            )
        self.step = 0
        self.seconds = 0.0

    def state(self) -> dict[str, Any]:
        return {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            # Their settings are of this program; rates are set anew at every step.
            "optimisers": {
                name: optimiser.state_dict()["state"] for name, optimiser in self.optimisers.items()
            },
            "step": self.step,
            "milliseconds": round(1000 * self.seconds),
        }

    def restore(self, state: dict[str, Any]) -> None:
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimiser in self.optimisers.items():
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state["optimisers"][name], "param_groups": groups})
        self.step, self.seconds = state["step"], state["milliseconds"] / 1000


def place(module: Any, device: torch.device | str, layout: torch.memory_format) -> None:
    """Moves a module, its weights laid out for activations of that layout."""
    module.to(device, memory_format=layout)


class Checkpoint:
    """A file with the state of a training, whole at any time.

    It holds tensors, integers and text alone: PyTorch 1.13 does not read a float safely.
    """

    def __init__(self, path: str, settings: Settings, images: NDArray[Any]) -> None:
        self.path = path
        self._of = {name: repr(value) for name, value in asdict(settings).items()}
        self._of["images"] = f"{list(images.shape)} {images.dtype} crc {zlib.crc32(images.tobytes()):08x}"

    def save(self, autoencoder: Autoencoder) -> None:
        with replacing(self.path) as temporary:
            torch.save({"version": _VERSION, "of": self._of, **autoencoder.state()}, temporary)

    def load(self, autoencoder: Autoencoder) -> None:
        """Takes the training up where it was.

        Raises
        ------
        FileError
            There is no checkpoint, or it is damaged.
        InvalidArgumentError
            It is of other images or settings.
        """
        try:
            state = torch.load(self.path, map_location=autoencoder.device, weights_only=True)
            if state["version"] != _VERSION:
                raise InvalidArgumentError(f"{self.path}: a checkpoint of another version of brenier")
            different = [
                f"{k} {state['of'].get(k)}, now {v}" for k, v in self._of.items() if state["of"].get(k) != v
            ]
            if different:
                raise InvalidArgumentError(f"{self.path}: the checkpoint is of {'; '.join(different)}")
            autoencoder.restore(state)
        except OSError as error:
            raise FileError(f"{self.path}: no checkpoint to resume: {error.strerror or error}") from error
        except (RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise FileError(f"{self.path}: a damaged checkpoint: {error}") from error

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


def rate(share: float) -> float:
    """The learning rate as a share of the highest: a linear rise, then a cosine to zero."""
    if share < _WARM_UP:
        return (share + 1e-3) / (_WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))


def train(
    autoencoder: Autoencoder,
    images: NDArray[Any],
    progress: Progress,
    checkpoint: Checkpoint,
    budget: float | None = None,
    stop_at: int | None = None,
) -> None:
    """Goes on to the end of the schedule.

    Parameters
    ----------
    images : uint8 or float32 ``[n, C, H, W]``
    budget : float, optional
        Seconds of training; the schedule is shortened to end by then.
    stop_at : int, optional
        A step to stop at, with a checkpoint.
    """
    s = autoencoder.settings
    data = torch.from_numpy(images)
    if (
        autoencoder.device.type == "cuda"
        and data.nbytes < torch.cuda.mem_get_info(autoencoder.device)[0] // 4
    ):
        data = data.to(autoencoder.device)
    batch = min(s.batch, len(data))
    per_epoch = len(data) // batch
    steps = s.epochs * per_epoch
    start, before, kept = time.monotonic(), autoencoder.seconds, time.monotonic()
    order, epoch, mean = torch.empty(0), -1, math.nan
    for module in autoencoder.modules.values():
        module.train()
    try:
        while autoencoder.step < steps:
            if stop_at is not None and autoencoder.step >= stop_at:
                checkpoint.save(autoencoder)
                return
            share = autoencoder.step / steps
            if budget is not None:
                share = max(share, autoencoder.seconds / budget)
                if share >= 1:
                    break
            if autoencoder.step // per_epoch != epoch:
                epoch = autoencoder.step // per_epoch
                order = torch.randperm(len(data), generator=_generator(s.seed, 1, epoch, "cpu"))
            first = autoencoder.step % per_epoch * batch
            x = as_images(data[order[first : first + batch].to(data.device)], autoencoder.device)
            loss = _one_step(autoencoder, x, share)
            autoencoder.step += 1
            now = time.monotonic()
            autoencoder.seconds = before + now - start
            if autoencoder.step % 20 == 0 or math.isnan(mean):
                mean = loss.item() if math.isnan(mean) else 0.8 * mean + 0.2 * loss.item()
            progress.show(
                share, f"epoch {epoch + 1} of {s.epochs}, {s.loss} {mean:.4g}, {autoencoder.seconds:.0f} s"
            )
            if now - kept > _KEEP_EVERY:
                checkpoint.save(autoencoder)
                kept = now
    except KeyboardInterrupt:
        checkpoint.save(autoencoder)
        progress.note(
            f"interrupted at step {autoencoder.step} of {steps}; --resume goes on from {checkpoint.path}"
        )
        raise
    settle(autoencoder, data)


def _one_step(autoencoder: Autoencoder, x: torch.Tensor, share: float) -> torch.Tensor:
    s = autoencoder.settings
    main = autoencoder.optimisers["autoencoder"]
    for optimiser in autoencoder.optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = s.rate * rate(share)
    generator = _generator(s.seed, 2, autoencoder.step, autoencoder.device.type)
    adversary = autoencoder.modules.get("discriminator") if share >= _ADVERSARY_FROM else None
    # What a network makes is float32 before anything is computed of it; losses are outside of the context.
    with products(s.precision, autoencoder.device):
        z = autoencoder.encoder(x).float()
        noise = torch.randn(z.shape, device=z.device, generator=generator)
        made = autoencoder.decoder(z + s.noise * noise).float()
    loss = total = losses.LOSSES[s.loss](made, x)
    if adversary is not None:
        adversary.requires_grad_(False)
        with products(s.precision, autoencoder.device):
            # Of the decoder alone: the codes stay where the reconstruction puts them.
            made = autoencoder.decoder(z.detach() + s.noise * noise).float()
            score = adversary(made).float()
        total = loss + s.adversarial * losses.decoder_hinge(score)
        adversary.requires_grad_(True)
    main.zero_grad(set_to_none=True)
    torch.autograd.backward(total)
    main.step()
    if adversary is not None:
        with products(s.precision, autoencoder.device):
            real, false = adversary(x).float(), adversary(made.detach()).float()
        hinge = losses.discriminator_hinge(real, false)
        optimiser = autoencoder.optimisers["discriminator"]
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(hinge)
        optimiser.step()
    return loss.detach()


def settle(autoencoder: Autoencoder, data: torch.Tensor, at_most: int = 20_000) -> None:
    """Sets the means and variances of the batch normalisations to those of the final weights.

    The running ones lag behind them, badly so after a short training.
    """
    norms = [
        m
        for net in (autoencoder.encoder, autoencoder.decoder)
        for m in net.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    s = autoencoder.settings
    batch = min(s.batch, len(data))
    order = torch.randperm(len(data), generator=_generator(s.seed, 3, 0, "cpu"))[:at_most]
    with torch.no_grad():
        for first in range(0, len(order) - batch + 1, batch):
            x = as_images(data[order[first : first + batch].to(data.device)], autoencoder.device)
            generator = _generator(s.seed, 4, first, autoencoder.device.type)
            z = autoencoder.encoder(x)
            autoencoder.decoder(z + s.noise * torch.randn(z.shape, device=z.device, generator=generator))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    for module in autoencoder.modules.values():
        module.eval()


def as_images(batch: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A batch of the data as float32 in [0, 1] on the device, channels last."""
    x = batch.to(device)
    x = x.float() / 255 if x.dtype == torch.uint8 else x
    return x.contiguous(memory_format=torch.channels_last)


def encode(autoencoder: Autoencoder, images: NDArray[Any], batch: int = 512) -> NDArray[np.float32]:
    """The codes ``[n, latent]`` of images ``[n, C, H, W]``."""
    data = torch.from_numpy(images)
    with torch.no_grad():
        parts = [
            autoencoder.encoder(as_images(data[i : i + batch], autoencoder.device)).float().cpu()
            for i in range(0, len(data), batch)
        ]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def decode(autoencoder: Autoencoder, codes: NDArray[np.float32], batch: int = 512) -> NDArray[np.float32]:
    """The images ``[n, C, H, W]`` of codes ``[n, latent]``."""
    z = torch.from_numpy(codes)
    with torch.no_grad():
        parts = [
            autoencoder.decoder(z[i : i + batch].to(autoencoder.device)).float().cpu().contiguous()
            for i in range(0, len(z), batch)
        ]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def precision(asked: str, device: str) -> str:
    """What ``"auto"`` is on a device: bfloat16 on a GPU that multiplies it (Ampere and later), else float32.

    Raises
    ------
    UnsupportedError
        bfloat16 was asked for, and this PyTorch or processor cannot train with it.
    """
    on = torch.device(device)
    if asked == "auto":
        pays = on.type == "cuda" and torch.cuda.get_device_capability(on) >= (8, 0)
        return "bfloat16" if pays else "float32"
    if asked == "bfloat16":
        shape = (1, 16, 16)
        with torch.random.fork_rng(devices=[]):
            network = nn.Sequential(
                networks.encoder(*shape, 2, 2), networks.decoder(*shape, 2, 2, "transpose")
            )
        place(network, on, torch.channels_last)
        try:
            with products(asked, on):
                made = network(torch.zeros(2, *shape, device=on))
            torch.autograd.backward(made.float().sum())
        except RuntimeError as error:
            raise UnsupportedError(
                f"precision: bfloat16 cannot be trained with on {device}: {error}"
            ) from error
    return asked


def products(precision: str, device: torch.device) -> Any:
    """The context in which the networks' products are of that precision; weights stay float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@contextlib.contextmanager
def deterministic(threads: int | None) -> Iterator[None]:
    """The choices of cuDNN that give the same numbers twice, and the number of threads."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.get_num_threads()
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[:2]
        torch.set_num_threads(before[2])


def _generator(seed: int, purpose: int, index: int, device: str) -> torch.Generator:
    """A stream of its own for each purpose and index."""
    word = np.random.SeedSequence([seed, purpose, index]).generate_state(1, np.uint64)[0]
    return torch.Generator(device=device).manual_seed(int(word) & (2**63 - 1))
