"""What the experiments are measured with, against closed forms."""

from __future__ import annotations

import importlib
import json
import math
import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench" / "experiments"))

import distributions
import report


@pytest.mark.parametrize(
    ("make", "share"),
    [
        (distributions.ring, 1 - math.exp(-4.5)),  # of a round Gaussian within 3 deviations, in the plane
        (distributions.grid, 1 - math.exp(-4.5)),
        (distributions.swiss_roll, math.erf(3 / math.sqrt(2))),  # on the line, across the curve
    ],
)
def test_a_distribution_scores_as_itself(make: object, share: float) -> None:
    data = make()  # type: ignore[operator]
    n = 5_000
    got = data.score(data.draw(np.random.default_rng(1), n))
    assert abs(got["high_quality"] - share) < 4 * math.sqrt(share * (1 - share) / n) + 3e-4
    assert got["between"] == 0 and got["covered"] == data.modes
    assert got["kl"] == pytest.approx((data.modes - 1) / (2 * n), rel=0.9)


def test_lost_and_mixed_modes() -> None:
    data = distributions.ring()
    two = np.repeat(data.middles[:2], 50, axis=0)
    got = data.score(np.concatenate([two, np.zeros((25, 2))]))
    assert got == {
        "high_quality": pytest.approx(0.8), "between": pytest.approx(0.2),
        "covered": 2, "kl": pytest.approx(math.log(8 / 2)),
    }  # fmt: skip
    nowhere = data.score(np.zeros((5, 2)))
    assert nowhere["covered"] == 0 and nowhere["kl"] is None


def test_distance_of_a_shift() -> None:
    pytest.importorskip("scipy", reason="scipy is not installed: the pairing is not tested")
    rows = np.random.default_rng(2).standard_normal((60, 2))
    # A translation is its own optimal map.
    moved = np.random.default_rng(3).permutation(rows + np.array([3, 4]))
    assert distributions.distance(moved, rows) == pytest.approx(5)


def test_a_table_goes_between_its_marks() -> None:
    page = "a\n<!-- x -->\n{}<!-- /x -->\nb\n"
    table = report.table(["p", "q"], [["1", "2"]])
    want = page.format("| p | q |\n| --- | --- |\n| 1 | 2 |\n")
    assert report.spliced(page.format("old\n"), "x", table) == want
    with pytest.raises(ValueError, match="needs the marks"):
        report.spliced(page, "y", table)


def test_the_critic_of_unit_slope_has_no_penalty() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the adversaries are not tested")
    from adversaries import steepness

    real, made = torch.randn(2, 30, 3), torch.randn(2, 30, 3)
    unit = torch.tensor([2.0, -1.0, 2.0]) / 3
    assert steepness(lambda x: x @ unit[:, None], real, made, 2).item() == pytest.approx(0, abs=1e-12)
    assert steepness(lambda x: 3 * x @ unit[:, None], real, made, 2).item() == pytest.approx(4, rel=1e-5)


def test_runs_side_by_side_do_not_touch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the networks are not tested")
    from networks import perceptrons

    torch.manual_seed(0)
    net = perceptrons(2, 3, 8, 1)
    x = torch.randn(2, 5, 3, requires_grad=True)
    net(x)[0].sum().backward()
    assert x.grad[0].abs().sum() > 0 and x.grad[1].abs().sum() == 0
    one = net[0]
    expected = x[1] @ one.weight[1] + one.bias[1]
    assert torch.allclose(one(x)[1], expected)


@pytest.mark.parametrize("name", ["toys", "mnist", "stacked", "terrain"])
def test_the_page_has_the_numbers_that_were_measured(name: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed: the experiments are not imported")
    docs = pathlib.Path(__file__).resolve().parents[3] / "docs"
    results = json.loads((docs / "experiments" / f"{name}.json").read_text())
    assert importlib.import_module(name).tables(results) in (docs / "experiments.md").read_text()
