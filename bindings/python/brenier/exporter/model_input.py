"""The input of a model that was made elsewhere: what it says of it, and how to feed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError
from .graph import Activation, Shape, Unknown


@dataclass(frozen=True)
class ModelInput:
    """
    Attributes
    ----------
    name : str
        The input's, in the model.
    extents : tuple of (int or None)
        The shape of what it reads, the batch left out; None where the model leaves an extent open.
    batch : int or None
        The batch that the model was made for; None if it takes any.
    """

    name: str
    extents: tuple[int | None, ...]
    batch: int | None

    @property
    def shape(self) -> Shape | None:
        """What it reads, None if an extent of it is open."""
        known = tuple(extent for extent in self.extents if extent is not None)
        return known if len(known) == len(self.extents) else None

    def check(self, given: Activation | Unknown) -> None:
        """Refuses what has another shape."""
        if isinstance(given, Unknown):
            raise ExportError(f"the model's input {self.name} is {self}; give input_shape=(C, H, W)")
        if len(given.shape) != len(self.extents) or any(
            have not in (None, want) for have, want in zip(self.extents, given.shape)
        ):
            raise ExportError(f"input_shape: {list(given.shape)}, but the model's input is {self}")

    def run(
        self, evaluate: Callable[[NDArray[np.float32]], Any], z: NDArray[np.float32], shape: Shape
    ) -> NDArray[np.float32]:
        """What ``evaluate`` makes of rows ``z [n, d]``, given to it as ``[batch, *shape]``."""
        size = self.batch or len(z)
        made: list[NDArray[np.float32]] = []
        for first in range(0, len(z), size):
            rows = z[first : first + size]
            padded = np.zeros((size, z.shape[1]), np.float32)
            padded[: len(rows)] = rows
            made.append(np.asarray(evaluate(padded.reshape(size, *shape)), np.float32)[: len(rows)])
        return np.concatenate(made)

    def __str__(self) -> str:
        return "[n, " + ", ".join("?" if extent is None else str(extent) for extent in self.extents) + "]"
