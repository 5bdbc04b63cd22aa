r"""Terrain: tiles of the map, and whether they are new.

    python bench/experiments/terrain.py --data terrain64.npz \
        --model examples/models/terrain.safetensors --out docs/experiments

Distances of samples to the nearest tile of the training set or of its mirror images, beside those of tiles
that the model never saw. ``--data`` holds ``tiles`` uint8 [n,64,64]; the model learnt from all but the
last 300. Tiles are compared by the means of their squares of 4 x 4 pixels, which a decoder's blur hardly
changes, and of 2 x 2. The Frechet distance to the training set is that of the means of 8 x 8.
"""

from __future__ import annotations

import pathlib
from typing import Any

import figures
import numpy as np
import report
from extensions import EXTENSIONS
from numpy.typing import NDArray

import brenier
from brenier import evaluation
from brenier.evaluation.neighbours import nearest

Tiles = NDArray[np.float32]

SAMPLES, SHOWN, UNSEEN = 1000, 9, 300
SQUARES = (4, 2)  # pixels, where distances are measured
COARSE = 8  # and where the Frechet distance is: 64 values a tile


def means(tiles: Tiles, square: int) -> Tiles:
    """``[n, f]``, of squares of so many pixels."""
    n, rows, columns = tiles.shape
    parts = tiles.reshape(n, rows // square, square, columns // square, square)
    return parts.mean(axis=(2, 4)).reshape(n, -1)


def mirrored(tiles: Tiles) -> Tiles:
    """The tiles, and then their three mirror images."""
    return np.concatenate([tiles, tiles[:, :, ::-1], tiles[:, ::-1], tiles[:, ::-1, ::-1]])


def roughness(tiles: Tiles) -> float:
    """The mean difference of neighbouring pixels."""
    return float((np.abs(np.diff(tiles, axis=1)).mean() + np.abs(np.diff(tiles, axis=2)).mean()) / 2)


def draw_tiles(rows: dict[str, Tiles], path: pathlib.Path) -> None:
    plt = figures.pyplot()
    figure, axes = plt.subplots(len(rows), 1, figsize=(7.5, 0.72 * len(rows)))
    for axis, (name, tiles) in zip(axes, rows.items()):
        axis.imshow(np.concatenate(list(tiles), axis=1), cmap="terrain", vmin=-1.3, vmax=1.1)
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    figure.subplots_adjust(left=0.15, right=1, top=1, bottom=0, hspace=0.04)
    figures.save(figure, path, dpi=100)


def draw_distances(distances: dict[str, NDArray[np.float64]], path: pathlib.Path) -> None:
    plt = figures.pyplot()
    figure, axis = plt.subplots(figsize=(5, 2.8), layout="constrained")
    edges = np.linspace(0, np.quantile(np.concatenate(list(distances.values())), 0.995), 50)
    for (name, values), colour in zip(distances.items(), ["black", *figures.COLOURS]):
        shares, _ = np.histogram(values, edges)
        axis.stairs(shares / len(values), edges, color=colour, label=name, lw=1.6 if colour == "black" else 1)
    axis.set(xlabel="distance to the nearest training tile", ylabel="share of tiles")
    axis.legend(fontsize=7, frameon=False)
    figures.save(figure, path)


def tables(results: dict[str, Any]) -> str:
    header = ["tiles", "roughness", "Frechet"]
    for square in SQUARES:
        header += [f"{square} x {square}: distance", "closer, %", "farther, %"]
    rows = []
    for name, r in results["tiles"].items():
        row = [name, f"{r['roughness']:.3f}", f"{r['frechet']:.2f}"]
        for square in SQUARES:
            of = r[f"squares_{square}"]
            row += [f"{of['distance']:.2f}", f"{100 * of['closer']:.1f}", f"{100 * of['farther']:.1f}"]
        rows.append(row)
    return report.table(header, rows)


def main() -> None:
    options = report.arguments(
        __doc__,
        data={"required": True, "help": "terrain64.npz"},
        model={"required": True, "help": "a model of its tiles, in [-1,1]"},
    )
    log = report.Log()
    with np.load(options.data) as arrays:
        tiles = arrays["tiles"].astype(np.float32) / 127.5 - 1
    training, unseen = tiles[:-UNSEEN], tiles[-UNSEEN:]
    model = brenier.load(options.model, threads=options.threads)
    random = np.random.default_rng(0)
    points = model.points.astype(np.float64)
    factor = np.linalg.cholesky(np.cov(points.T))
    prior = points.mean(axis=0) + random.standard_normal((SAMPLES, points.shape[1])) @ factor.T

    made = {"held out": unseen}
    made.update(
        {name: model.sample(SAMPLES, seed=1, **extension)[:, 0] for name, extension in EXTENSIONS.items()}
    )
    made["Gaussian prior on the codes"] = model.decode(prior.astype(np.float32))[:, 0]
    log("tiles made")
    coarse = means(training, COARSE)
    measured: dict[str, dict[str, Any]] = {
        name: {"roughness": roughness(rows), "frechet": evaluation.frechet(coarse, means(rows, COARSE))}
        for name, rows in made.items()
    }
    distances = {}
    for square in SQUARES:
        known, new = means(mirrored(training), square), means(unseen, square)
        for name, rows in made.items():
            told = evaluation.novelty(known, means(rows, square), new)
            measured[name][f"squares_{square}"] = {key: round(value, 4) for key, value in told.items()}
            log(f"{name}, squares of {square}: measured")
        if square == SQUARES[0]:
            for name in ("held out", "cell", "simplex, 25 %", "simplex, no filter"):
                distances[name] = nearest(means(made[name], square), known)[1]
            like, _ = nearest(means(made["simplex, 25 %"][:SHOWN], square), known)
    draw_distances(distances, options.out / "terrain-novelty.png")
    names = ("cell", "simplex, 25 %", "simplex, no filter", "Gaussian prior on the codes")
    rows = {"held out": unseen[:SHOWN], **{name: made[name][:SHOWN] for name in names}}
    rows = {name.replace(" on the codes", ""): images for name, images in rows.items()}
    draw_tiles(rows, options.out / "terrain-tiles.png")
    pairs = {"simplex, 25 %": made["simplex, 25 %"][:SHOWN], "nearest tile learnt": mirrored(training)[like]}
    draw_tiles(pairs, options.out / "terrain-nearest.png")
    results = {
        "settings": {"samples": SAMPLES, "held_out": UNSEEN, "points": len(points)},
        "tiles": measured,
        "seconds": log.seconds,
    }
    report.write(options.out, "terrain", results, tables(results))


if __name__ == "__main__":
    main()
