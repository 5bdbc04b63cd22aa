"""Training of generators against an adversary: the plain GAN and the WGAN-GP.

``draw()`` gives a batch of data and ``noise()`` a batch of the generator's noise. Scores are
``[..., 1]``: an axis before the batch, as of several runs side by side, does no harm. The learning rate
falls linearly to 0 in both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

Batch = Callable[[], torch.Tensor]
Report = Callable[[int], object]  # told after every step: its number, from 1


def train_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    draw: Batch,
    noise: Batch,
    steps: int,
    rate: float,
    report: Report,
) -> None:
    """Goodfellow et al., "Generative adversarial nets" (2014), with the loss that does not saturate."""
    mine = torch.optim.Adam(generator.parameters(), rate, betas=(0.5, 0.999))
    theirs = torch.optim.Adam(discriminator.parameters(), rate, betas=(0.5, 0.999))
    for step in range(1, steps + 1):
        real, made = draw(), generator(noise())
        mistaken = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(made.detach())).mean()
        _descend(theirs, mistaken)
        discriminator.requires_grad_(False)
        _descend(mine, F.softplus(-discriminator(made)).mean())
        discriminator.requires_grad_(True)
        _slow_down(rate * (1 - step / steps), mine, theirs)
        report(step)


def train_wgan_gp(
    generator: nn.Module,
    critic: nn.Module,
    draw: Batch,
    noise: Batch,
    steps: int,
    rate: float,
    report: Report,
    *,
    penalty: float,
    critic_steps: int = 5,
) -> None:
    """Gulrajani et al., "Improved training of Wasserstein GANs" (2017), algorithm 1.

    ``penalty`` is their lambda. A step is one of the generator, after ``critic_steps`` of the critic.
    """
    mine = torch.optim.Adam(generator.parameters(), rate, betas=(0.5, 0.9))
    theirs = torch.optim.Adam(critic.parameters(), rate, betas=(0.5, 0.9))
    for step in range(1, steps + 1):
        for _ in range(critic_steps):
            real = draw()
            with torch.no_grad():
                made = generator(noise())
            of_real, of_made = critic(real), critic(made)
            slope = steepness(critic, real, made, of_made.ndim - 1)
            loss = of_made.mean() - of_real.mean() + penalty * slope
            _descend(theirs, loss)
        critic.requires_grad_(False)
        _descend(mine, -critic(generator(noise())).mean())
        critic.requires_grad_(True)
        _slow_down(rate * (1 - step / steps), mine, theirs)
        report(step)


def steepness(critic: nn.Module, real: torch.Tensor, made: torch.Tensor, rows: int) -> torch.Tensor:
    """E (|grad critic| - 1)^2 at random places between pairs of real and made rows.

    The first ``rows`` axes count rows.
    """
    share = torch.rand(*real.shape[:rows], *[1] * (real.ndim - rows))
    between = (share * real + (1 - share) * made).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return ((slope.flatten(rows).norm(dim=-1) - 1) ** 2).mean()


def _slow_down(rate: float, *optimisers: torch.optim.Optimizer) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate


def _descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimiser.step()
