"""From images to a model file: train, encode, fit, export, and pictures of what came out."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Callable, Literal

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from ..errors import DeviceError, FileError, InvalidArgumentError, UnsupportedError
from ..exporter import export
from ..fitting import FitProgress, fit
from ..model import Model, load
from . import pictures
from .progress import Progress
from .settings import PRECISIONS, Settings, default_epochs

if TYPE_CHECKING:
    from torch import nn

    from .loop import Autoencoder

_SHOWN = 12  # images in a row of a picture
_LEARNABLE = datasets.Form(rows=(28, 256), columns=(28, 256), fewest=32)


@dataclass(frozen=True)
class Trained:
    """What :func:`train` made.

    Attributes
    ----------
    model_path : str
        The model file.
    pictures : tuple of str
        Reconstructions (rows of originals, each with their reconstructions below) and samples.
    report : dict
        ``images``, ``settings``, ``error`` (mean square of a pixel, in [0, 1], of the reconstructions of
        images that were learnt from, ``train``, and, where some were held out, of those, ``held_out``),
        ``seconds`` of every stage, and ``fit``, the certificate as in :attr:`brenier.Fit.report`.
        As JSON has it.
    encoder, decoder : torch.nn.Module
        In evaluation mode, on the CPU.
    """

    model_path: str
    pictures: tuple[str, ...]
    report: dict[str, Any]
    encoder: nn.Module
    decoder: nn.Module

    def load(self, **options: Any) -> Model:
        """The model; ``options`` as of :func:`brenier.load`."""
        return load(self.model_path, **options)


def train(
    images: Any,
    out: str | os.PathLike[str] = "model.safetensors",
    *,
    size: int | None = None,
    latent: int | None = None,
    base: int = 32,
    decoder: Literal["transpose", "upsample"] = "transpose",
    loss: Literal["mse", "bce", "l1"] = "mse",
    noise: float = 0.1,
    adversarial: float = 0.0,
    epochs: int | None = None,
    minutes: float | None = None,
    batch: int = 128,
    rate: float = 2e-3,
    seed: int = 0,
    tol: float = 1e-2,
    weights: Literal["float32", "float16"] = "float32",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Trained:
    """Makes a model of images.

    An encoder and a decoder are trained on them, all of them are encoded, the map from noise to their
    codes is fitted, and both networks and the map are written as a model file, beside it two pictures.
    While it works there is a checkpoint at ``OUT.checkpoint``; Ctrl-C leaves one.

    Parameters
    ----------
    images : path, sequence of paths or array
        A folder of images; .npy, .npz (``FILE.npz:NAME``) or IDX files, also gzipped; or an array
        ``[n, H, W]``, ``[n, C, H, W]`` or ``[n, H, W, C]``, bytes or floats in [0, 1]. Sides of 28 to
        256 pixels, 1 or 3 channels, at least 32 images.
    out : path
        The model file.
    size : int, optional
        Crop the middle square of a folder's images and scale it to so many pixels.
    latent : int, optional
        The codes' dimension d. Default: 32 up to 32 pixels, 64 up to 64, 128 beyond.
    base : int
        Channels of the largest feature maps; smaller ones have more. Time grows with its square.
    decoder : {"transpose", "upsample"}
        Transposed convolutions, or upsampling and convolutions: smoother, and dearer.
    loss : {"mse", "bce", "l1"}
        Of the reconstruction.
    noise : float
        Standard deviation of the noise on the codes while training, whose coordinates have variance 1:
        it makes the decoder smooth between them.
    adversarial : float
        Weight of an adversarial term, which acts on the decoder in the second half of the training and
        makes images sharper, as in An et al., AE-OT-GAN (2020). 0: none; 0.01 is much for "mse".
    epochs : int, optional
        Default: as many as see 1.2 million images, 10 to 400.
    minutes : float, optional
        Train no longer than this: the schedule ends by then. The weights then depend on the time.
    batch, rate : int, float
        Images in a step of Adam, and its highest learning rate.
    seed : int
        The same seed, images, settings, machine and number of threads give the same weights.
    tol : float
        Of the fit, see :func:`brenier.fit`.
    weights : {"float32", "float16"}
        What weights and codes are kept as.
    precision : {"auto", "float32", "bfloat16"}
        Of the networks' products while training; weights and losses are float32. "auto": bfloat16 on a GPU
        from Ampere on, float32 elsewhere.
    device : str
        "auto", "cpu", "cuda", "cuda:1", to train and to fit on.
    threads : int, optional
        CPU threads. Default: all processors.
    resume : bool
        Go on from the checkpoint. The weights are those of a run that was not interrupted.
    progress : bool
        Show on the standard error stream how far it is.

    Raises
    ------
    UnsupportedError
        PyTorch or Pillow is missing, or bfloat16 is asked for where there is none.
    InvalidArgumentError, FileError
        Images that cannot be learnt from, a checkpoint in the way or of other settings.

    Examples
    --------
    >>> trained = brenier.train("faces/", "faces.safetensors", size=64)     # doctest: +SKIP
    >>> with trained.load() as model:                                       # doctest: +SKIP
    ...     images = model.sample(16, seed=7)
    """
    torch = _torch()
    from . import loop

    out = os.fspath(out)
    show = Progress(quiet=not progress)
    folder = os.path.dirname(os.path.abspath(out))
    if not os.path.isdir(folder):
        raise FileError(f"{out}: there is no folder {folder}")
    if weights not in ("float32", "float16"):
        raise InvalidArgumentError(f"weights: want float32 or float16, got {weights!r}")
    if minutes is not None and not minutes > 0:
        raise InvalidArgumentError(f"minutes: want a number above 0, got {minutes}")
    checkpoint_path = f"{out}.checkpoint"
    if os.path.exists(checkpoint_path) and not resume:
        raise InvalidArgumentError(
            f"{checkpoint_path}: a training that has not ended; resume it (--resume), or remove the file"
        )
    torch_device = _device(torch, device)
    if precision not in PRECISIONS:
        raise InvalidArgumentError(f"precision: want one of {', '.join(PRECISIONS)}, got {precision!r}")
    resolved = loop.precision(precision, torch_device)

    watch = _Watch()
    array = datasets.images(images, _LEARNABLE, size)
    n, channels, height, width = array.shape
    held_out = min(n // 20, 1000)
    chosen = np.random.default_rng(seed).permutation(n)
    learnt, kept_back = np.sort(chosen[held_out:]), np.sort(chosen[:held_out])
    learning = np.ascontiguousarray(array[learnt])
    settings = Settings(
        latent=_latent(height, width) if latent is None else latent,
        base=base,
        decoder=decoder,
        loss=loss,
        noise=noise,
        adversarial=adversarial,
        epochs=default_epochs(len(learning)) if epochs is None else epochs,
        batch=batch,
        rate=rate,
        seed=seed,
        precision=resolved,
    )
    watch.lap("read")
    show.note(
        f"{n:,} images of {height}x{width}x{channels}, codes of {settings.latent}, {settings.epochs} epochs, "
        f"{settings.precision} on {torch_device}"
    )
    with loop.deterministic(threads):
        autoencoder = loop.Autoencoder(settings, (channels, height, width), torch_device)
        checkpoint = loop.Checkpoint(checkpoint_path, settings, learning)
        if resume:
            checkpoint.load(autoencoder)
        loop.train(autoencoder, learning, show, checkpoint, None if minutes is None else 60 * minutes)
        checkpoint.save(autoencoder)  # the fit may be interrupted too
        trained_seconds = autoencoder.seconds
        watch.lap("train")
        codes = loop.encode(autoencoder, array).astype(weights)
        sheets, errors = _reconstructions(autoencoder, array, codes, learnt, kept_back)
        watch.lap("encode")
    for net in (autoencoder.encoder, autoencoder.decoder):
        loop.place(net, "cpu", torch.contiguous_format)

    fitted = fit(
        codes, tol=tol, seed=seed, progress=_fit_reporter(show) if progress else False,
        device=device, threads=threads,
    )  # fmt: skip
    watch.lap("fit")
    export(out, autoencoder.decoder, codes, fitted, weights=weights, encoder=autoencoder.encoder)
    watch.lap("export")

    stem = os.path.splitext(out)[0]
    files = (f"{stem}-reconstructions.png", f"{stem}-samples.png")
    pictures.write(files[0], pictures.sheet(sheets))
    with load(out, device=device, threads=threads) as model:
        samples = model.sample(6 * _SHOWN, seed=seed)
    pictures.write(files[1], pictures.sheet(list(samples.reshape(6, _SHOWN, *samples.shape[1:]))))
    watch.lap("pictures")
    checkpoint.remove()
    show.close()
    report = {
        "model": out,
        "pictures": list(files),
        "images": {"count": n, "channels": channels, "height": height, "width": width},
        "settings": {**asdict(settings), "tol": tol, "weights": weights, "device": torch_device},
        "steps": autoencoder.step,
        "error": errors,
        "seconds": {**watch.laps, "train": trained_seconds},
        "fit": fitted.report,
        "torch": torch.__version__,
    }
    return Trained(out, files, report, autoencoder.encoder, autoencoder.decoder)


class _Watch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage], self._last = round(now - self._last, 2), now


def _torch() -> Any:
    try:
        import PIL  # noqa: F401
        import torch
    except ImportError as error:
        raise UnsupportedError(
            f"training needs PyTorch and Pillow: {error}; pip install 'brenier[train]' has both"
        ) from error
    return torch


def _latent(height: int, width: int) -> int:
    from .networks import latent_width

    return latent_width(height, width)


def _device(torch: Any, device: str) -> str:
    """The device in PyTorch's words."""
    if device == "auto":
        device = os.environ.get("BRENIER_DEVICE", "") or ("cuda" if torch.cuda.is_available() else "cpu")
    if device != "cpu" and not device.startswith("cuda"):
        raise InvalidArgumentError(f"device: want auto, cpu, cuda or cuda:1, got {device!r}")
    if device != "cpu" and not torch.cuda.is_available():
        raise DeviceError(f"device: {device} asked for, but this PyTorch finds no GPU")
    return device


def _reconstructions(
    autoencoder: Autoencoder,
    array: NDArray[Any],
    codes: NDArray[Any],
    learnt: NDArray[Any],
    kept_back: NDArray[Any],
) -> tuple[list[NDArray[np.float32]], dict[str, float]]:
    """Rows of a picture, and the mean squares of the errors."""
    from . import loop

    rows: list[NDArray[np.float32]] = []
    errors: dict[str, float] = {}
    for name, indices in (("train", learnt[:1000]), ("held_out", kept_back)):
        if not len(indices):
            continue
        want = array[indices].astype(np.float32) / (255 if array.dtype == np.uint8 else 1)
        made = loop.decode(autoencoder, codes[indices].astype(np.float32))
        errors[name] = float(np.mean((made - want) ** 2))
        for first in range(0, min(2 * _SHOWN, len(want) // _SHOWN * _SHOWN), _SHOWN):
            rows += [want[first : first + _SHOWN], made[first : first + _SHOWN]]
    return rows, errors


def _fit_reporter(show: Progress) -> Callable[[FitProgress], None]:
    def report(p: FitProgress) -> None:
        measured = "" if np.isnan(p.chi_squared) else f", chi2 {p.chi_squared:.2e}, {p.empty} empty cells"
        show.show(
            p.samples / max(p.samples_max, 1), f"fit: {p.samples:,} samples, {p.seconds:.0f} s{measured}"
        )

    return report
