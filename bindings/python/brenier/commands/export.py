"""Makes a model file of a decoder made elsewhere: an ONNX model, or a program that torch.export saved.

What the model file does is held against what ONNX Runtime or PyTorch makes of a few codes. With --points
and --fit, or --heights, it has a map from noise to the codes too; without, it decodes only.

Examples:
  brenier export decoder.onnx --range=-1,1 --out decoder.safetensors
  brenier export decoder.pt2 --points codes.npy --fit --encoder encoder.pt2 --out faces.safetensors
"""

from __future__ import annotations

import argparse
import os
import tempfile
from typing import Any

import numpy as np

from ..exporter import export
from ..fitting import fit
from ..model import load
from . import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("decoder", metavar="DECODER", help="FILE.onnx or FILE.pt2")
    add("--out", default="model.safetensors", metavar="FILE", help="the model file (default %(default)s)")
    add("--encoder", metavar="FILE", help="FILE.onnx or FILE.pt2 that makes codes of images")
    add("--range", default="0,1", metavar="LOW,HIGH", help="of the images' values (default %(default)s)")
    add("--input", metavar="SHAPE", help="of a code, as 64,1,1, where the decoder leaves it open")
    add("--output", metavar="SHAPE", help="of an image, as 1,28,28, where the decoder makes a vector")
    add("--points", metavar="FILE", help="the codes of the data [N,d], an .npy file")
    add("--fit", action="store_true", help="find the points' heights")
    add("--heights", metavar="FILE", help="the points' heights [N], an .npy file")
    add("--tol", type=float, default=1e-3, metavar="T", help="chi-squared of the fit (default %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of the fit's noise (default %(default)s)")
    add(
        "--images",
        type=int,
        default=2048,
        metavar="N",
        help="with points: keep the mean and deviation of N images in the model (default %(default)s)",
    )
    add("--weights", choices=("f32", "f16"), default="f32", help="what weights are kept as")


def run(arguments: argparse.Namespace) -> int:
    for flag in ("decoder", "encoder"):
        path = getattr(arguments, flag)
        if path is not None and os.path.splitext(path)[1].lower() not in (".onnx", ".pt2"):
            raise UsageError(
                f"{flag} {path}: want FILE.onnx or FILE.pt2; brenier import takes a state dict and its layers"
            )
    if (arguments.points is None) != (not arguments.fit and arguments.heights is None):
        raise UsageError("--points goes with --fit or --heights, and they with --points")
    if arguments.images < 0:
        raise UsageError(f"--images: want 0 or more, got {arguments.images}")
    if arguments.fit and arguments.heights is not None:
        raise UsageError("want --fit or --heights, not both")
    low, high = _range(arguments.range)
    input_shape, output_shape = (_shape(flag, getattr(arguments, flag)) for flag in ("input", "output"))
    points, heights = _array("--points", arguments.points), _array("--heights", arguments.heights)

    def write(path: str, fitted: Any, images: int = arguments.images) -> None:
        export(
            path,
            arguments.decoder,
            points,
            fitted,
            encoder=arguments.encoder,
            output_range=(low, high),
            input_shape=input_shape,
            output_shape=output_shape,
            weights="float16" if arguments.weights == "f16" else "float32",
            images=images,
        )

    if not arguments.fit:
        write(arguments.out, heights)
    else:
        with tempfile.TemporaryDirectory() as folder:  # what cannot be exported is said before a long fit
            write(os.path.join(folder, "model.safetensors"), np.zeros(len(points)), images=0)
        found = fit(points, tol=arguments.tol, seed=arguments.seed)
        with found.model:
            write(arguments.out, found)
    with load(arguments.out, device="cpu") as model:
        info = model.info
        size = f"{info.channels} x {info.height} x {info.width}"
        print(f"{arguments.out}: codes of {info.dimension} to images {size}, {info.points:,} points")
    return 0


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--range: want LOW,HIGH, as 0,1, got {text!r}") from None
    return low, high


def _shape(flag: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"--{flag}: want whole numbers from 1, as 64 or 64,1,1, got {text!r}")
    return tuple(int(part) for part in parts)


def _array(flag: str, path: str | None) -> Any:
    if path is None:
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UsageError(f"{flag} {path}: not an .npy file: {error}") from None
