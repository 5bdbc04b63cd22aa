"""Small torch modules that both ways of exporting one are tested with."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import nn


class InPlace(nn.Module):
    """Reads an activation again after it was written over."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(3, 4, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, z: Any) -> Any:
        x = self.conv(z)
        y = self.relu(x) * 0.5
        y += x
        F.leaky_relu_(y, 0.1)
        y.clamp_(max=0.3)
        return y - x


class Dependent(nn.Module):
    """Asks what the code's values are."""

    def forward(self, z: Any) -> Any:
        return z if z.sum() > 0 else -z
