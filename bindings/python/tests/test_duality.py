"""The Kantorovich pair: weak duality everywhere, equality on the map, strong duality in closed form."""

from __future__ import annotations

import numpy as np
import pytest

import brenier


def test_line_in_closed_form() -> None:
    """U[-1/2, 1/2] to n equal atoms: W2^2 = sum_j of the integral of (x - y_j)^2 over a slot of width 1/n."""
    n = 8
    points = np.linspace(0, 2, n, dtype=np.float32)[:, None]
    with brenier.fit(points, source="uniform", progress=False, device="cpu").model as model:
        x = ((np.arange(80_000) + 0.5) / 80_000 - 0.5).astype(np.float32)[:, None]
        phi = model.potential(x)[1]
        dual = phi.mean() + (model.masses * model.point_potentials).sum()
        middles = (np.arange(n) + 0.5) / n - 0.5
        w2 = ((points[:, 0] - middles) ** 2).mean() + 1 / (12 * n * n)
        assert 2 * dual == pytest.approx(w2, rel=1e-5)


@pytest.mark.parametrize("source", ["gaussian", "uniform"])
def test_pair(source: str) -> None:
    rng = np.random.default_rng(3)
    points = rng.standard_normal((60, 4)).astype(np.float32)
    fit = brenier.fit(points, source=source, tol=5e-3, progress=False, device="cpu")
    with fit.model as model:
        x = model.noise(20_000, seed=1)
        phi, own = model.potential(x)[1], model.locate(x)[0][:, 0]
        psi = model.discriminator(points)
        np.testing.assert_allclose(psi, model.point_potentials, rtol=0, atol=1e-9)
        cost = ((x - points[own]).astype(np.float64) ** 2).sum(axis=1) / 2
        np.testing.assert_allclose(phi + psi[own], cost, atol=1e-5)
        z = 3 * rng.standard_normal((50, 4)).astype(np.float32)
        bound = ((x[:300, None] - z[None]).astype(np.float64) ** 2).sum(axis=2) / 2
        assert (phi[:300, None] + model.discriminator(z) <= bound + 1e-9).all()
        dual = phi + (model.masses * psi).sum()
        off = 5 * dual.std() / np.sqrt(len(x))
        report = fit.report
        assert report["w2_lower"] - 5 * report["w2_lower_error"] - 2 * off <= 2 * dual.mean()
        assert 2 * dual.mean() <= report["w2_upper"] + 5 * report["w2_upper_error"] + 2 * off
