"""The map beside a GAN and a WGAN-GP in the plane, where the data is known exactly.

    python bench/experiments/toys.py --out docs/experiments

Data: 8 Gaussians on a ring, 25 on a grid, a Swiss roll, as in Gulrajani et al. (2017). The networks are
perceptrons with two hidden layers of 128, generator and adversary alike, their noise is N(0, I) in the
plane as the map's is, and every step of theirs draws new data; the map has its points and no more. Each
network is trained in three runs.
"""

from __future__ import annotations

from typing import Any

import distributions
import figures
import numpy as np
import report
import torch
from adversaries import train_gan, train_wgan_gp
from distributions import Distribution, Rows
from networks import perceptrons

import brenier
from brenier.evaluation.neighbours import nearest

RUNS, WIDTH, BATCH = 3, 128, 128
GAN = {"steps": 20_000, "rate": 1e-3}
# The penalty is that of Gulrajani et al. in the plane.
WGAN_GP = {"steps": 6_000, "rate": 1e-3, "penalty": 0.1}
POINTS = (256, 4096)  # the first as in the reference program of AE-OT
SAMPLES, PAIRED, SHOWN = 20_000, 1_000, 4_000
CUT = 0.95  # the quantile of angles above which the picture of the singular set is black
EXTENSIONS = {
    "cell": {"mode": "cell"},
    "simplex, 25 %": {"mode": "simplex", "theta": 0.25},
    "simplex, 75 %": {"mode": "simplex", "theta": 0.75},
    "simplex, no filter": {"mode": "simplex", "theta": 1.0},
}


def adversarial(data: Distribution, wasserstein: bool, seed: int) -> list[Rows]:
    """Samples of each run."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    generator, adversary = perceptrons(RUNS, 2, WIDTH, 2), perceptrons(RUNS, 2, WIDTH, 1)

    def draw() -> torch.Tensor:
        return torch.from_numpy(data.draw(random, RUNS * BATCH).astype(np.float32)).reshape(RUNS, BATCH, 2)

    def noise(n: int = BATCH) -> torch.Tensor:
        return torch.randn(RUNS, n, 2)

    if wasserstein:
        train_wgan_gp(generator, adversary, draw, noise, report=lambda step: None, **WGAN_GP)
    else:
        train_gan(generator, adversary, draw, noise, report=lambda step: None, **GAN)
    with torch.no_grad():
        return list(generator(noise(SAMPLES)).numpy().astype(np.float64))


def score(data: Distribution, runs: list[Rows], fresh: Rows) -> dict[str, list[float | None]]:
    """Every number, run by run."""
    scores = [{**data.score(rows), "w2": distributions.distance(rows[:PAIRED], fresh)} for rows in runs]
    return {
        name: [None if one[name] is None else round(one[name], 5) for one in scores] for name in scores[0]
    }


def singular(model: brenier.Model, data: Distribution) -> tuple[Rows, Any, Any]:
    """Noise, the middle nearest to the point that it goes to, and whether the angle of its two best planes
    is wide."""
    x = model.noise(6 * SHOWN, seed=2)
    cells, _ = model.locate(x, 2)
    y = model.points.astype(np.float64)
    normals = np.concatenate([y, np.full((len(y), 1), -1.0)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cosines = np.einsum("ij,ij->i", normals[cells[:, 0]], normals[cells[:, 1]])
    table = model.info.metadata["extension"]["cosines"]
    cut = cosines < np.interp(CUT, np.linspace(0, 1, len(table)), table)
    middle, _ = nearest(y, data.middles)
    return x, middle[cells[:, 0]], cut


def draw(sets: list[tuple[Distribution, dict[str, Rows], tuple[Rows, Any, Any]]], path: Any) -> None:
    plt = figures.pyplot()
    names = list(sets[0][1])
    figure, axes = plt.subplots(
        len(sets), len(names) + 1, figsize=(1.7 * (len(names) + 1), 1.75 * len(sets)), layout="constrained"
    )
    for row, (data, columns, (x, middle, cut)) in zip(axes, sets):
        reach = 1.15 * np.abs(data.middles).max()
        for axis, rows in zip(row, columns.values()):
            axis.scatter(*rows[:SHOWN].T, s=0.6, lw=0, color=figures.COLOURS[0])
            axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
        row[-1].scatter(*x[~cut].T, s=0.6, lw=0, c=middle[~cut] * 7 % len(data.middles), cmap="Spectral")
        row[-1].scatter(*x[cut].T, s=0.6, lw=0, color="black")
        row[-1].set(xlim=(-3, 3), ylim=(-3, 3))
        for axis in row:
            axis.set(xticks=[], yticks=[], aspect="equal")
    for axis, name in zip(axes[0], [*names, "noise, singular set"]):
        axis.set_title(name, fontsize=7.5)
    figures.save(figure, path, dpi=110)


def tables(results: dict[str, Any]) -> str:
    def cell(values: list[float | None], form: str) -> str:
        if None in values:
            return "none in a run"
        low, mean, high = (format(f(values), form) for f in (min, np.mean, max))
        return mean if low == high else f"{mean} ({low} .. {high})"

    parts = []
    for name, of in results["sets"].items():
        rows = [
            [
                method,
                cell(of_method["covered"], ".3g"),
                cell([100 * v for v in of_method["high_quality"]], ".1f"),
                cell([100 * v for v in of_method["between"]], ".1f"),
                cell(of_method["kl"], ".3f"),
                cell(of_method["w2"], ".3f"),
            ]
            for method, of_method in of["methods"].items()
        ]
        header = [f"{name}: {of['modes']} modes", "covered", "high quality, %", "between, %", "KL", "W2"]
        parts.append(report.table(header, rows))
    return "\n\n".join(parts)


def main() -> None:
    options = report.arguments(__doc__)
    torch.set_num_threads(options.threads)
    log = report.Log()
    results: dict[str, Any] = {
        "settings": {
            "runs": RUNS, "width": WIDTH, "batch": BATCH, "gan": GAN, "wgan_gp": WGAN_GP,
            "samples": SAMPLES, "w2_rows": PAIRED,
        },
        "sets": {},
    }  # fmt: skip
    drawn = []
    for data in (distributions.ring(), distributions.grid(), distributions.swiss_roll()):
        random = np.random.default_rng(0)
        fresh = data.draw(random, PAIRED)
        samples: dict[str, list[Rows]] = {"data": [data.draw(random, SAMPLES)]}
        for name, wasserstein in (("GAN", False), ("WGAN-GP", True)):
            samples[name] = adversarial(data, wasserstein, seed=1)
            log(f"{data.name}: {name} trained")
        for n in POINTS:
            fit = brenier.fit(
                data.draw(random, n).astype(np.float32), progress=False, threads=options.threads
            )
            for name, extension in EXTENSIONS.items():
                codes = fit.model.codes(SAMPLES, seed=1, **extension)
                samples[f"AE-OT, {n:,} points: {name}"] = [codes.astype(np.float64)]
            if n == POINTS[0]:
                noise = singular(fit.model, data)
            log(f"{data.name}: map of {n:,} points fitted")
        methods = {name: score(data, runs, fresh) for name, runs in samples.items()}
        results["sets"][data.name] = {"modes": data.modes, "methods": methods}
        first = f"AE-OT, {POINTS[0]:,} points"
        shown = {"data": "data", "GAN": "GAN", "WGAN-GP": "WGAN-GP"}
        shown.update({f"{first}: {e}": f"AE-OT: {e}" for e in ("simplex, no filter", "simplex, 75 %")})
        drawn.append((data, {title: samples[name][0] for name, title in shown.items()}, noise))
    draw(drawn, options.out / "toys.png")
    results["seconds"] = log.seconds
    report.write(options.out, "toys", results, tables(results))


if __name__ == "__main__":
    main()
