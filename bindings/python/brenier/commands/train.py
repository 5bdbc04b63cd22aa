"""Makes a model of images: trains an autoencoder, fits the map from noise to its codes, writes the model
file and two pictures beside it, reconstructions and samples.

IMAGES are a folder of images, or .npy, .npz (FILE.npz:NAME) or IDX files, also gzipped; sides of 28 to 256
pixels, 1 or 3 channels.

Examples:
  brenier train photos/ --size 64 --out photos.safetensors
  brenier train train-images-idx3-ubyte.gz --out digits.safetensors
  brenier train terrain64.npz:tiles --decoder upsample --minutes 30 --out terrain.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys

from ..training import train
from ..training.settings import DECODERS, LOSS_NAMES, PRECISIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGES", help="a folder, or data files of one shape")
    add("--out", default="model.safetensors", metavar="FILE", help="the model file (default %(default)s)")
    add(
        "--size",
        type=int,
        metavar="N",
        help="crop a folder's images to the middle square and scale it to N pixels",
    )
    add("--latent", type=int, metavar="N", help="the codes' dimension; else by the images' size")
    add(
        "--base", type=int, default=32, metavar="N", help="channels of the largest maps (default %(default)s)"
    )
    add("--decoder", choices=DECODERS, default=DECODERS[0], help="how it enlarges (default %(default)s)")
    add(
        "--loss",
        choices=LOSS_NAMES,
        default=LOSS_NAMES[0],
        help="of the reconstruction (default %(default)s)",
    )
    add(
        "--noise",
        type=float,
        default=0.1,
        metavar="SD",
        help="on the codes while training (default %(default)s)",
    )
    add("--adversarial", type=float, default=0.0, metavar="W", help="weight of an adversarial term; 0: none")
    add("--epochs", type=int, metavar="N", help="else as many as see 1.2 million images")
    add("--minutes", type=float, metavar="M", help="train no longer than this")
    add("--batch", type=int, default=128, metavar="N", help="images in a step (default %(default)s)")
    add("--rate", type=float, default=2e-3, metavar="R", help="highest learning rate (default %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same weights (default 0)")
    add("--tol", type=float, default=1e-2, metavar="T", help="chi-squared of the fit (default %(default)s)")
    add("--weights", choices=("f32", "f16"), default="f32", help="what weights and codes are kept as")
    add(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="of products while training; auto: bfloat16 on a GPU that has it, else float32",
    )
    add("--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 (default auto)")
    add("--threads", type=int, metavar="N", help="CPU threads; else all processors")
    add("--resume", action="store_true", help="go on from FILE.checkpoint, which an interrupted run leaves")
    add("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    trained = train(
        arguments.images,
        arguments.out,
        size=arguments.size,
        latent=arguments.latent,
        base=arguments.base,
        decoder=arguments.decoder,
        loss=arguments.loss,
        noise=arguments.noise,
        adversarial=arguments.adversarial,
        epochs=arguments.epochs,
        minutes=arguments.minutes,
        batch=arguments.batch,
        rate=arguments.rate,
        seed=arguments.seed,
        tol=arguments.tol,
        weights="float16" if arguments.weights == "f16" else "float32",
        precision=arguments.precision,
        device=arguments.device,
        threads=arguments.threads,
        resume=arguments.resume,
    )
    report = trained.report
    if arguments.json:
        json.dump(report, sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
        return 0
    seconds, fit = report["seconds"], report["fit"]
    errors = ", ".join(f"{value:.2e} {name.replace('_', ' ')}" for name, value in report["error"].items())
    print(f"{trained.model_path}: {report['images']['count']:,} codes of {report['settings']['latent']}")
    print(f"reconstruction error: {errors}")
    print(f"fit: chi2 {fit['chi2']:.2e} +- {fit['chi2_error']:.0e}, {fit['empty']} empty cells")
    print(f"seconds: {', '.join(f'{name} {value:.0f}' for name, value in seconds.items())}")
    print(f"pictures: {', '.join(trained.pictures)}")
    return 0
