"""How far a reconstruction is from its image, and the adversarial term."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


LOSSES: dict[str, Loss] = {"mse": F.mse_loss, "l1": F.l1_loss, "bce": F.binary_cross_entropy}


def discriminator_hinge(real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """What the discriminator lowers: E[(1 - D(real))+] + E[(1 + D(made))+] (Lim and Ye, 2017)."""
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()


def decoder_hinge(made: torch.Tensor) -> torch.Tensor:
    """What the decoder lowers: -E[D(made)]."""
    return -made.mean()
