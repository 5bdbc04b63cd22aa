"""What a training is done by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InvalidArgumentError

DECODERS = ("transpose", "upsample")
LOSS_NAMES = ("mse", "bce", "l1")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """The settings that the weights depend on; see :func:`brenier.train`."""

    latent: int
    base: int
    decoder: str
    loss: str
    noise: float
    adversarial: float
    epochs: int
    batch: int
    rate: float
    seed: int
    precision: str  # "float32" or "bfloat16"; "auto" is one of them by now

    def __post_init__(self) -> None:
        for name, least in (("latent", 1), ("base", 1), ("epochs", 1), ("batch", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise InvalidArgumentError(f"{name}: want {least} or more, got {getattr(self, name)}")
        for name in ("noise", "adversarial", "rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0) or (name == "rate" and value == 0):
                raise InvalidArgumentError(f"{name}: want a number above 0, got {value}")
        for name, choices in (("decoder", DECODERS), ("loss", LOSS_NAMES), ("precision", PRECISIONS[1:])):
            if getattr(self, name) not in choices:
                raise InvalidArgumentError(
                    f"{name}: want one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )


def default_epochs(count: int) -> int:
    """So many that 1.2 million images are seen: 20 epochs of MNIST; between 10 and 400."""
    return max(10, min(400, round(1_200_000 / count)))
