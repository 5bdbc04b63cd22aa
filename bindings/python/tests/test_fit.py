"""Fit: what its heights do, its progress, and how it stops."""

from __future__ import annotations

import pathlib
import threading
from typing import Any

import numpy as np
import pytest

import brenier
import reference
from conftest import Parts
from test_library import python

N, D = 60, 3


@pytest.fixture(scope="module")
def points() -> Any:
    return np.random.default_rng(5).standard_normal((N, D)).astype(np.float32)


@pytest.fixture(scope="module")
def result(points: Any) -> brenier.Fit:
    return brenier.fit(points, tol=2e-3, seed=1, progress=False, device="cpu")


def masses_of(
    heights: Any, points: Any, samples: int, seed: int = 99, source: str = "gaussian"
) -> tuple[Any, Any]:
    """How often each cell is hit by numpy's own noise, and the mean of what hits it."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, D)) if source == "gaussian" else rng.uniform(-0.5, 0.5, (samples, D))
    cells = reference.scores(x, points, heights).argmax(axis=1)
    counts = np.bincount(cells, minlength=N)
    sums = np.stack([np.bincount(cells, x[:, i], minlength=N) for i in range(D)], axis=1)
    return counts / samples, sums / np.maximum(counts, 1)[:, None]


def chi_squared(masses: Any, wanted: Any, samples: int) -> float:
    """Of the true masses, unbiased: pairs of samples that met in a cell, without their own counts."""
    counts = masses * samples
    return float(((counts**2 - counts) / wanted).sum() / (samples * (samples - 1)) - 1)


def test_masses_are_equal(result: brenier.Fit, points: Any) -> None:
    masses, means = masses_of(result.heights, points, 400_000)
    assert chi_squared(masses, np.full(N, 1 / N), 400_000) < 4e-3
    # About 6,700 samples a cell: the means have a standard error of 0.012 a coordinate at most.
    assert np.abs(means - result.centroids).max() < 0.08
    np.testing.assert_array_equal(result.points, points)
    assert result.masses.sum() == pytest.approx(1, abs=1e-6)


def test_report_says_what_numpy_finds(result: brenier.Fit, points: Any) -> None:
    report = result.report
    assert report["met"] and report["tolerance"] == 2e-3 and report["chi2"] <= 2e-3
    assert report["empty"] == 0 and report["samples"] > 0 and report["seed"] == 1
    masses, _ = masses_of(result.heights, points, 1_000_000, seed=7)
    ours = chi_squared(masses, np.full(N, 1 / N), 1_000_000)
    assert abs(ours - report["chi2"]) < 5 * report["chi2_error"] + 1e-4


def test_a_tolerance_that_is_not_met_is_reported(points: Any) -> None:
    report = brenier.fit(points, tol=1e-12, samples_max=100_000, progress=False).report
    assert report["met"] is False and report["samples"] < 300_000


def test_given_masses(points: Any) -> None:
    wanted = np.arange(1, N + 1, dtype=np.float64)
    fit = brenier.fit(points, wanted, source="uniform", tol=5e-3, progress=False)
    assert fit.model.info.source == "uniform"
    np.testing.assert_allclose(fit.masses, wanted / wanted.sum(), rtol=1e-6)
    masses, _ = masses_of(fit.heights, points, 400_000, source="uniform")
    assert chi_squared(masses, wanted / wanted.sum(), 400_000) < 1e-2


def test_the_same_seed_gives_the_same_heights(result: brenier.Fit, points: Any) -> None:
    again = brenier.fit(points.tolist(), tol=2e-3, seed=1, progress=False, device="cpu", threads=1)
    np.testing.assert_array_equal(again.heights, result.heights)
    np.testing.assert_array_equal(again.centroids, result.centroids)
    other = brenier.fit(points, tol=2e-3, seed=2, progress=False)
    assert not np.array_equal(other.heights, result.heights)


def test_float16_points(points: Any) -> None:
    half = points.astype(np.float16)
    fit = brenier.fit(half, tol=5e-2, progress=False)
    np.testing.assert_array_equal(fit.points, half.astype(np.float32))


def test_save_and_sample(result: brenier.Fit, tmp_path: pathlib.Path) -> None:
    result.save(tmp_path / "map.safetensors")
    with brenier.load(tmp_path / "map.safetensors") as model:
        np.testing.assert_array_equal(model.codes(50, seed=3), result.model.codes(50, seed=3))
        assert model.info.metadata["extension"]["mode"] == "simplex"
        assert model.info.metadata["fit"] == result.report


def test_with_a_decoder(parts: Parts, model: brenier.Model) -> None:
    fit = brenier.fit(parts.points, tol=0.1, progress=False, decoder=model)
    images = fit.model.sample(5)
    np.testing.assert_array_equal(images, model.decode(fit.model.codes(5)))


def test_the_certificate_brackets_the_distance(result: brenier.Fit, points: Any) -> None:
    report = result.report
    assert (
        report["w2_lower"] - 3 * report["w2_lower_error"] < report["w2_upper"] + 3 * report["w2_upper_error"]
    )
    # The cost of the map over numpy's own noise is the distance, up to the tolerance.
    x = np.random.default_rng(3).standard_normal((200_000, D))
    cells = reference.scores(x, points, result.heights).argmax(axis=1)
    cost = float(((x - points[cells]) ** 2).sum(axis=1).mean())
    assert report["w2_lower"] - 0.05 < cost < report["w2_upper"] + 0.05
    assert report["total_variation"] < 3 * report["total_variation_floor"] + 0.02
    assert report["empty_mass"] == 0 and report["samples_to_halve"] > 0
    assert 0 < report["centroid_error"] < 0.1 and 0 < report["angle_error"] < 0.1
    assert report["method"].startswith("averaged stochastic gradient descent")


def test_start_and_checkpoint(result: brenier.Fit, points: Any, tmp_path: pathlib.Path) -> None:
    warm = brenier.fit(points, tol=2e-3, seed=1, progress=False, start=result.heights)
    assert warm.report["met"]
    state = tmp_path / "state"
    same = brenier.fit(points, tol=2e-3, seed=1, progress=False, checkpoint=state, rebalance=True)
    np.testing.assert_array_equal(same.heights, result.heights)
    state.write_bytes(b"no checkpoint")
    with pytest.raises(brenier.InvalidArgumentError, match="checkpoint: not one of this version"):
        brenier.fit(points, progress=False, checkpoint=state)
    with pytest.raises(brenier.InvalidArgumentError, match="start: want"):
        brenier.fit(points, progress=False, start=[0.0])


# ---- progress ----------------------------------------------------------------------------------


def hard(points: Any, **arguments: Any) -> brenier.Fit:
    """A fit that would take very long."""
    return brenier.fit(points, tol=1e-12, samples_max=2**50, **arguments)


def test_progress_and_cancelling(points: Any) -> None:
    seen: list[brenier.FitProgress] = []

    def progress(p: brenier.FitProgress) -> bool:
        seen.append(p)
        return len(seen) == 3

    with pytest.raises(brenier.CancelledError):
        hard(points, progress=progress)
    assert len(seen) == 3
    assert seen[0].samples <= seen[1].samples <= seen[2].samples
    assert all(p.samples_max == 2**50 and p.seconds >= 0 for p in seen)
    assert all(np.isnan(p.seconds_left) or p.seconds_left >= 0 for p in seen)


def test_what_a_callback_raises_is_passed_on(points: Any) -> None:
    def progress(_: brenier.FitProgress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        hard(points, progress=progress)


def test_in_another_thread(points: Any) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            hard(points, progress=lambda p: True)
        except brenier.CancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=60)
    assert len(raised) == 1


@pytest.mark.parametrize("progress", ["True", "False", "print"])
def test_ctrl_c(progress: str) -> None:
    done = python(
        f"""
        import os, signal, threading, time, numpy, brenier
        points = numpy.random.default_rng(0).standard_normal((60, 3))
        threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            brenier.fit(points, tol=1e-12, samples_max=2**50, progress={progress})
        except KeyboardInterrupt:
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            print("interrupted", time.monotonic() - began < 30)
        """
    )
    assert done.stdout.endswith("interrupted True\n"), done.stdout + done.stderr


def test_the_line_goes_to_standard_error(points: Any, capfd: pytest.CaptureFixture[str]) -> None:
    brenier.fit(points, tol=5e-2)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == "" or captured.err.startswith("fit: ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"points": np.zeros((3,))}, "points: want [N, d]"),
        ({"points": np.zeros((0, 3))}, "points: want [N, d] with N and d of 1 or more, got [0, 3]"),
        ({"points": [[0, 1], [np.nan, 0]]}, "row 1"),
        ({"points": np.eye(3), "masses": [1, 2]}, "masses: want [3], one a point, got [2]"),
        ({"points": np.eye(3), "masses": [1, 0, 1]}, "row 1"),
        ({"points": np.eye(3), "tol": 0}, "tol: want a positive number"),
        ({"points": np.eye(3), "tol": float("nan")}, "tol: want a positive number"),
        ({"points": np.eye(3), "source": "cauchy"}, "cauchy"),
        ({"points": np.eye(3), "samples_max": -1}, "samples_max"),
    ],
)
def test_wrong_arguments(arguments: Any, text: str) -> None:
    with pytest.raises(brenier.InvalidArgumentError) as error:
        brenier.fit(progress=False, **arguments)
    assert text in str(error.value)


def test_method() -> None:
    plane = np.random.default_rng(6).standard_normal((40, 2)).astype(np.float32)
    exact = brenier.fit(plane, progress=False, device="cpu").report
    assert exact["method"] == "exact" and exact["met"] and exact["samples"] == 0
    assert 0 <= exact["mass_error"] < 1e-5
    sampled = brenier.fit(plane, tol=0.05, method="sampled", progress=False, device="cpu").report
    assert sampled["method"] != "exact" and sampled["samples"] > 0 and "mass_error" not in sampled
    with pytest.raises(brenier.InvalidArgumentError, match="samples_max: the exact method draws no samples"):
        brenier.fit(plane, method="exact", samples_max=1000, progress=False, device="cpu")
    history, masses = exact["history"], exact["relative_masses"]
    assert "samples" not in history and history["chi2"][-1] < 1e-12 < history["chi2"][0]
    assert sum(masses["cells"]) == pytest.approx(len(plane)) == pytest.approx(sum(masses["noise"]))
    history = sampled["history"]
    assert len(history["samples"]) == len(history["chi2"]) == len(history["chi2_error"]) > 0
    with pytest.raises(
        brenier.InvalidArgumentError, match="method: want one of auto, sampled, exact, got 'newton'"
    ):
        brenier.fit(plane, method="newton", progress=False, device="cpu")  # type: ignore[arg-type]
    with pytest.raises(brenier.InvalidArgumentError, match="the points have 3"):
        brenier.fit(plane.reshape(-1)[:60].reshape(20, 3), method="exact", progress=False, device="cpu")
