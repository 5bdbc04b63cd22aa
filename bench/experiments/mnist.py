"""AE-OT on MNIST: its manifold, reconstructions and samples, and how far they are from real digits.

    python bench/experiments/mnist.py --data mnist/ --out docs/experiments [--model mnist.safetensors]

``--data`` is the folder of MNIST's four files, ``.gz``; ``--model`` what ``brenier train`` made of
train-images-idx3-ubyte.gz with seed 0; without one the script does that first. Samples are judged in the
features of a classifier that is trained here, 10,000 of them against the 10,000 test images.
"""

from __future__ import annotations

import pathlib
from typing import Any

import digits
import figures
import numpy as np
import report
import torch
from digits import Images, Judge

import brenier
from brenier import evaluation

SAMPLES, NEAREST, EMBEDDED = 10_000, 5_000, 4_000
EPOCHS = 20  # of the VAE and the GAN, as of brenier.train
LATENT, BASE = 32, 32  # as brenier.train chooses for MNIST
QUANTILES = (0.05, 0.25, 0.5, 0.75, 1.0)
COLUMNS = {
    "frechet": (1, ".1f"),
    "unclear": (100, ".1f"),
    "precision": (1, ".3f"),
    "recall": (1, ".3f"),
    "kl": (1, ".4f"),
    "kept": (100, ".1f"),
}
KEPT_BACK = 1000  # images that brenier.train did not learn from


def of_map() -> dict[str, dict[str, Any]]:
    """The extensions of the map that are tried, by name."""
    tried: dict[str, dict[str, Any]] = {"cell": {"mode": "cell"}}
    for mode, k in (("simplex", 5), ("simplex", 20), ("pair", 5)):
        for theta in QUANTILES:
            limit = "no filter" if theta == 1 else f"{100 * theta:.0f} %"
            name = mode if mode == "pair" else f"{mode} k={k}"
            tried[f"{name}, {limit}"] = {"mode": mode, "k": k, "theta": theta}
    return tried


def gaussian(points: Images, random: np.random.Generator) -> Images:
    """Codes of a Gaussian with the mean and the covariance of the points."""
    factor = np.linalg.cholesky(np.cov(points.T.astype(np.float64)))
    codes = points.mean(axis=0) + random.standard_normal((SAMPLES, points.shape[1])) @ factor.T
    return codes.astype(np.float32)


class Ruler:
    """Images against the test set."""

    def __init__(self, judge: Judge, images: Images, labels: Any) -> None:
        self._judge, self._labels = judge, labels
        self._features, chances = judge(images)
        self.accuracy = float((chances.argmax(axis=1) == labels).mean())

    def __call__(self, images: Images, origins: Any = None) -> dict[str, Any]:
        """``origins``: the labels of the training images whose cells the samples fell into."""
        features, chances = self._judge(images)
        found = chances.argmax(axis=1)
        near = evaluation.manifold(self._features[:NEAREST], features[:NEAREST])
        return {
            "frechet": round(evaluation.frechet(self._features, features), 3),
            "unclear": round(float((chances.max(axis=1) < digits.SURE).mean()), 4),
            "precision": round(near["precision"], 4),
            "recall": round(near["recall"], 4),
            "kl": round(evaluation.modes(self._labels, found)["kl"], 5),
            "kept": None if origins is None else round(float((found == origins).mean()), 4),
        }


def draw_rows(rows: dict[str, Images], path: pathlib.Path, columns: int = 20) -> None:
    plt = figures.pyplot()
    figure, axes = plt.subplots(len(rows), 1, figsize=(7.5, 0.36 * len(rows)))
    for axis, (name, images) in zip(axes, rows.items()):
        axis.imshow(np.concatenate(list(images[:columns, 0]), axis=1), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    figure.subplots_adjust(left=0.2, right=1, top=1, bottom=0, hspace=0.02)
    figures.save(figure, path, dpi=120, colours=16)


def draw_manifold(model: brenier.Model, labels: Any, path: pathlib.Path) -> None:
    """t-SNE (van der Maaten and Hinton, 2008) of codes of the data together with generated ones."""
    from sklearn.manifold import TSNE

    random = np.random.default_rng(0)
    chosen = random.choice(len(labels), EMBEDDED, replace=False)
    generated = {
        "simplex, 25 %": model.codes(EMBEDDED // 4, seed=3, mode="simplex", k=20, theta=0.25),
        "simplex, no filter": model.codes(EMBEDDED // 4, seed=3, mode="simplex", k=20, theta=1.0),
    }
    every = np.concatenate([model.points[chosen], *generated.values()])
    flat = TSNE(init="pca", random_state=0).fit_transform(every)
    plt = figures.pyplot()
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained", sharex=True, sharey=True)
    first = EMBEDDED
    data = flat[:first]
    for digit in range(10):
        of_digit = data[labels[chosen] == digit]
        axes[0].scatter(*of_digit.T, s=1.5, lw=0, color=plt.cm.tab10(digit))
        axes[0].annotate(str(digit), np.median(of_digit, axis=0), weight="bold", ha="center", va="center")
        for axis in axes[1:]:
            axis.scatter(*of_digit.T, s=1, lw=0, color=plt.cm.tab10(digit), alpha=0.35)
    axes[0].set_title("codes of the data, by digit", fontsize=8)
    for axis, (name, codes) in zip(axes[1:], generated.items()):
        axis.scatter(*flat[first : first + len(codes)].T, s=2, lw=0, color="black")
        axis.set_title(f"generated codes (black): {name}", fontsize=8)
        first += len(codes)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    figures.save(figure, path, dpi=110)


def draw_filter(rows: dict[str, dict[str, float]], path: pathlib.Path) -> None:
    plt = figures.pyplot()
    figure, axis = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
    for colour, mode in zip(figures.COLOURS, ("simplex k=5", "simplex k=20", "pair")):
        limits = ["no filter" if q == 1 else f"{100 * q:.0f} %" for q in QUANTILES]
        values = [rows[f"{mode}, {limit}"]["frechet"] for limit in limits]
        axis.plot(QUANTILES, values, "o-", color=colour, label=mode)
    flat = ("Gaussian prior on the codes", "VAE", "GAN", "training images")
    for name, style in zip(flat, ("-", "--", "-.", ":")):
        axis.axhline(rows[name]["frechet"], color="gray", lw=1, ls=style, label=name)
    axis.set(yscale="log", xlabel="quantile of the angle that is let in", ylabel="Frechet distance")
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    figures.save(figure, path)


def tables(results: dict[str, Any]) -> str:
    rows = [
        [name, *("" if r[key] is None else format(f * r[key], form) for key, (f, form) in COLUMNS.items())]
        for name, r in results["generators"].items()
    ]
    header = ["generator", "Frechet", "unclear, %", "precision", "recall", "KL of digits", "digit kept, %"]
    return report.table(header, rows)


def main() -> None:
    options = report.arguments(
        __doc__,
        **digits.ARGUMENTS,
    )
    torch.set_num_threads(options.threads)
    log = report.Log()
    train, train_labels = digits.read(options.data, "train")
    test, test_labels = digits.read(options.data, "t10k")
    judge = Judge(train, train_labels, options.judge)
    ruler = Ruler(judge, test.astype(np.float32) / 255, test_labels)
    log(f"classifier: {100 * ruler.accuracy:.2f} % of the test set")
    others: dict[str, Images] = {}
    for name, train_net in (("VAE", digits.vae), ("GAN", digits.gan)):
        net = train_net(train, LATENT, BASE, EPOCHS, log)
        torch.manual_seed(3)
        others[name] = digits.applied(net, torch.randn(SAMPLES, LATENT))
    model = digits.model_of(train, options.model, options.threads, log)

    images: dict[str, Images] = {"training images": train[:SAMPLES].astype(np.float32) / 255}
    cells, _ = model.locate(model.noise(SAMPLES, seed=1))
    origins = train_labels[cells[:, 0]]
    mapped = of_map()
    for name, extension in mapped.items():
        images[name] = model.sample(SAMPLES, seed=1, **extension)
    images["Gaussian prior on the codes"] = model.decode(gaussian(model.points, np.random.default_rng(0)))
    images.update(others)
    generators = {name: ruler(made, origins if name in mapped else None) for name, made in images.items()}
    log("samples measured")

    shown = [name for name in images if "k=5" not in name and (name[:4] != "pair" or "25" in name)]
    draw_rows({name: images[name] for name in shown}, options.out / "mnist-samples.png")
    # As brenier.train chooses them, with seed 0.
    kept_back = np.random.default_rng(0).permutation(len(train))[:KEPT_BACK]
    seen = np.sort(np.setdiff1d(np.arange(len(train)), kept_back))[:20]
    unseen = np.sort(kept_back)[:20]
    rows = {}
    for name, chosen in (("learnt from", seen), ("held out", unseen)):
        rows[name] = train[chosen].astype(np.float32) / 255
        rows[f"{name}, decoded"] = model.decode(model.points[chosen])
    draw_rows(rows, options.out / "mnist-reconstructions.png")
    draw_filter(generators, options.out / "mnist-filter.png")
    draw_manifold(model, train_labels, options.out / "mnist-manifold.png")
    log("figures drawn")

    results = {
        "settings": {"samples": SAMPLES, "epochs_of_vae_and_gan": EPOCHS, "latent": LATENT, "base": BASE},
        "classifier_accuracy": ruler.accuracy,
        "generators": generators,
        "fit": digits.certificate(model),
        "seconds": log.seconds,
    }
    report.write(options.out, "mnist", results, tables(results))


if __name__ == "__main__":
    main()
