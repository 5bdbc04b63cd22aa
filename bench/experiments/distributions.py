"""Distributions in the plane that are known exactly, and how far samples are from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brenier import evaluation
from brenier.evaluation.neighbours import nearest

Rows = NDArray[np.float64]

WITHIN = 3.0  # deviations: samples as near to a mode are of high quality
BETWEEN = 10.0  # deviations: samples as far from every mode lie between modes


@dataclass(frozen=True)
class Distribution:
    """Round Gaussian noise of deviation ``deviation`` around a middle that is drawn uniformly.

    ``middles`` ``[m, 2]`` are all the middles, or, of a curve, so many of them in its order. They make
    ``modes`` modes: each middle is one, or the curve is cut into so many pieces of equal mass.
    """

    name: str
    middles: Rows
    deviation: float
    modes: int
    curve: bool = False

    def draw(self, random: np.random.Generator, n: int) -> Rows:
        """n rows ``[n, 2]``."""
        m = len(self.middles)
        if self.curve:
            at = random.random(n) * (m - 1)
            middle = np.stack([np.interp(at, np.arange(m), axis) for axis in self.middles.T], axis=1)
        else:
            middle = self.middles[random.integers(m, size=n)]
        return middle + self.deviation * random.standard_normal((n, 2))

    def score(self, samples: Rows) -> dict[str, float | None]:
        """``high_quality``, the share within 3 deviations of a middle; ``between``, the share beyond 10
        of all; ``covered``, the modes that high-quality samples are of; ``kl`` of their shares over equal
        ones, None if no sample is of high quality.

        The distribution itself has a high quality of 1 - exp(-9/2) = 98.9 % around points and of
        erf(3/sqrt 2) = 99.7 % around a curve that is nearly straight within 3 deviations.
        """
        index, distance = nearest(samples, self.middles)
        good = distance <= WITHIN * self.deviation
        modes = index[good] * self.modes // len(self.middles)
        shares = evaluation.modes(np.arange(self.modes), modes) if good.any() else {"covered": 0, "kl": None}
        return {
            "high_quality": float(good.mean()),
            "between": float((distance > BETWEEN * self.deviation).mean()),
            "covered": shares["covered"],
            "kl": shares["kl"],
        }


def distance(samples: Rows, data: Rows) -> float:
    """W2 of two sets of as many rows: the root of the mean square of the best pairing."""
    from scipy.optimize import linear_sum_assignment

    squares = ((samples[:, None] - data) ** 2).sum(axis=2)
    return math.sqrt(squares[linear_sum_assignment(squares)].mean())


# The three sets of Gulrajani et al. (2017), section 5, whose coordinates have a deviation of about 1.


def ring() -> Distribution:
    angle = np.arange(8) * np.pi / 4
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Distribution("8 Gaussians", 2 * circle / 1.414, 0.02 / 1.414, modes=8)


def grid() -> Distribution:
    side = np.arange(-4.0, 5.0, 2.0)
    centres = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return Distribution("25 Gaussians", centres / 2.828, 0.05 / 2.828, modes=25)


def swiss_roll(pieces: int = 100) -> Distribution:
    t = 1.5 * np.pi * (1 + 2 * np.linspace(0, 1, 20 * pieces))
    curve = np.stack([t * np.cos(t), t * np.sin(t)], axis=1)
    return Distribution("Swiss roll", curve / 7.5, 0.25 / 7.5, modes=pieces, curve=True)
