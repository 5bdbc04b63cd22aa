"""Evaluation against closed forms and brute force."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

import brenier
from brenier import evaluation
from brenier.__main__ import main
from conftest import Parts


def test_frechet_of_known_moments() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((50, 3))
    a -= a.mean(0)
    scale, shift = np.array([2.0, 0.5, 3.0]), np.array([1.0, -2.0, 0.0])
    turn, _ = np.linalg.qr(np.cov(a.T))
    white = a @ np.linalg.inv(np.linalg.cholesky(np.cov(a.T))).T  # covariance I, exactly
    b = white * scale @ turn + shift
    want = (shift**2).sum() + ((1 - scale) ** 2).sum()  # (I, S): sum (1 - sqrt s)^2
    assert evaluation.frechet(white, b) == pytest.approx(want, rel=1e-9)
    assert evaluation.frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_manifold_equals_brute_force() -> None:
    rng = np.random.default_rng(1)
    data, samples, k = rng.standard_normal((60, 4)), 1.3 * rng.standard_normal((40, 4)) + 0.5, 3
    far = lambda p, q: np.linalg.norm(p[:, None] - q[None], axis=2)  # noqa: E731
    r, s = np.sort(far(data, data), 1)[:, k], np.sort(far(samples, samples), 1)[:, k]
    between = far(data, samples)
    got = evaluation.manifold(data, samples, k)
    assert got["precision"] == (between < r[:, None]).any(0).mean()
    assert got["recall"] == (between < s[None]).any(1).mean()
    assert got["density"] == pytest.approx((between < r[:, None]).sum(0).mean() / k)
    assert got["coverage"] == (between.min(1) < r).mean()
    with pytest.raises(brenier.InvalidArgumentError, match="k: want 1 or more"):
        evaluation.manifold(data, samples, 40)


def test_novelty() -> None:
    rng = np.random.default_rng(2)
    training, new = rng.standard_normal((500, 3)), rng.standard_normal((400, 3))
    copied = evaluation.novelty(training, training[:100], new)
    assert copied["copies"] == 1 and copied["closer"] == 1 and copied["farther"] == 0
    fresh = evaluation.novelty(training, rng.standard_normal((400, 3)), new)
    assert fresh["copies"] == 0
    assert abs(fresh["closer"] - 0.05) < 4 * fresh["closer_error"]
    assert abs(fresh["farther"] - 0.5) < 4 * fresh["farther_error"]


def test_modes() -> None:
    got = evaluation.modes([0, 0, 1, 1], [0, 0, 0, 1])
    assert got["covered"] == got["modes"] == 2
    assert got["kl"] == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert evaluation.modes([0, 1], [2])["kl"] == np.inf
    centres = np.array([[0.0, 0], [10, 0]])
    got = evaluation.mixture([[0.1, 0], [0, 0.2], [5, 0]], centres, 0.1)
    assert got["high_quality"] == pytest.approx(2 / 3) and got["covered"] == 1
    assert got["kl"] == pytest.approx(np.log(2))


def test_masses_and_transport_on_the_line() -> None:
    points = np.linspace(-2, 2, 20, dtype=np.float32)[:, None]
    with brenier.fit(points, progress=False, device="cpu").model as model:
        got = evaluation.masses(model)
        assert abs(got["chi2"]) < 5 * got["chi2_error"] and got["empty"] == 0
        # On the line W2 is that of sorted samples.
        moved = evaluation.transport(model, 4000, mode="simplex", theta=1.0)
        codes = np.sort(model.codes(4000, mode="simplex", theta=1.0)[:, 0])
        own = np.sort(model.codes(4000, mode="cell")[:, 0])
        w2 = np.sqrt(((codes - own) ** 2).mean())
        assert moved["w2_lower"] <= w2 + 1e-6 and w2 <= moved["w2_upper"] + 1e-6
        assert evaluation.transport(model, 1000, mode="cell")["w2_upper"] == 0


def test_singular_set_of_two_points() -> None:
    points = np.array([[1.0, 0], [-1, 0]], np.float32)  # their normals are at a right angle
    with brenier.fit(points, progress=False, device="cpu").model as model:
        assert evaluation.singular_set(model, 1.57, 1000)["alone"] == 1
        assert evaluation.singular_set(model, 1.58, 1000)["touched"] == 0


def test_command(parts: Parts, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "codes.npy"
    np.save(data, parts.points)
    assert main(["eval", str(parts.path), "--data", str(data), "-n", "200", "--mode", "cell", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"masses", "transport", "singular", "frechet", "manifold", "novelty"}
    assert report["novelty"]["copies"] == 1
    assert main(["eval", str(parts.path), "--labels", str(data)]) == 2
