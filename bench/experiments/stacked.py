"""Stacked MNIST: three digits as the channels of an image, 1,000 modes.

    python bench/experiments/stacked.py --data mnist/ --out docs/experiments [--model stacked.safetensors]

Which modes do 26,000 samples fall into, by a classifier of digits that looks at each channel, and how evenly:
the measure of Srivastava et al., VEEGAN (2017), in the number of samples of Lin et al., PacGAN (2018).
``--data`` is the folder of MNIST's four files, ``.gz``; ``--model`` and ``--judge`` keep the model and the
classifier for other runs.
"""

from __future__ import annotations

from typing import Any

import digits
import figures
import numpy as np
import report
import torch
from digits import Judge
from extensions import EXTENSIONS
from numpy.typing import NDArray

from brenier import evaluation

STACKS, SAMPLES, EPOCHS = 20_000, 26_000, 10
GAN_EPOCHS = 60  # about as many steps as the GAN of MNIST takes
LATENT, BASE = 64, 32


def stacked(
    images: NDArray[np.uint8], labels: NDArray[np.int64], n: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """n stacks ``[n, 3, 28, 28]`` of digits drawn at random, and their modes."""
    chosen = np.random.default_rng(seed).integers(len(images), size=(n, 3))
    return images[chosen, 0], mode_of(labels[chosen])


def mode_of(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 .. 999, of the three digits' labels ``[n, 3]``."""
    return labels @ np.array([100, 10, 1])


def measure(judge: Judge, stacks: NDArray[np.float32], origins: Any = None) -> dict[str, Any]:
    """``origins``: the modes of the training stacks whose cells the samples fell into."""
    _, chances = judge(stacks.reshape(-1, 1, 28, 28))
    chances = chances.reshape(-1, 3, 10)
    found = mode_of(chances.argmax(axis=2))
    shares = evaluation.modes(np.arange(1000), found)
    return {
        "modes": shares["covered"],
        "kl": round(shares["kl"], 5),
        "unclear": round(float((chances.max(axis=2) < digits.SURE).any(axis=1).mean()), 4),
        "kept": None if origins is None else round(float((found == origins).mean()), 4),
    }


def draw(rows: dict[str, NDArray[np.float32]], path: Any, columns: int = 20) -> None:
    plt = figures.pyplot()
    figure, axes = plt.subplots(len(rows), 1, figsize=(7.5, 0.36 * len(rows)))
    for axis, (name, stacks) in zip(axes, rows.items()):
        axis.imshow(np.concatenate(list(stacks[:columns].transpose(0, 2, 3, 1)), axis=1))
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    figure.subplots_adjust(left=0.2, right=1, top=1, bottom=0, hspace=0.02)
    figures.save(figure, path, dpi=120, colours=128)


def tables(results: dict[str, Any]) -> str:
    rows = [
        [
            name,
            str(r["modes"]),
            f"{r['kl']:.4f}",
            f"{100 * r['unclear']:.1f}",
            "" if r["kept"] is None else f"{100 * r['kept']:.1f}",
        ]
        for name, r in results["generators"].items()
    ]
    return report.table(["generator", "modes of 1,000", "KL", "unclear, %", "mode kept, %"], rows)


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
    log("classifier trained")
    stacks, stack_modes = stacked(train, train_labels, STACKS, seed=0)
    model = digits.model_of(
        stacks,
        options.model,
        options.threads,
        log,
        latent=LATENT,
        base=BASE,
        epochs=EPOCHS,
        weights="float16",
    )
    net = digits.gan(stacks, LATENT, BASE, GAN_EPOCHS, log)
    cells, _ = model.locate(model.noise(SAMPLES, seed=1))
    cell_modes = stack_modes[cells[:, 0]]
    generators, rows = {}, {}
    for name in ("real digits", *EXTENSIONS, "GAN"):
        if name == "real digits":
            made, origins = stacked(test, test_labels, SAMPLES, seed=1)
            made = made.astype(np.float32) / 255
        elif name == "GAN":
            torch.manual_seed(3)
            made, origins = digits.applied(net, torch.randn(SAMPLES, LATENT)), None
        else:
            made, origins = model.sample(SAMPLES, seed=1, **EXTENSIONS[name]), cell_modes
        generators[name], rows[name] = measure(judge, made, origins), made[:20]
        log(f"{name}: {generators[name]}")
    draw(rows, options.out / "stacked.png")
    results = {
        "settings": {
            "stacks": STACKS, "samples": SAMPLES, "epochs": EPOCHS, "gan_epochs": GAN_EPOCHS,
            "latent": LATENT, "base": BASE,
        },
        "generators": generators,
        "fit": digits.certificate(model),
        "seconds": log.seconds,
    }  # fmt: skip
    report.write(options.out, "stacked", results, tables(results))


if __name__ == "__main__":
    main()
