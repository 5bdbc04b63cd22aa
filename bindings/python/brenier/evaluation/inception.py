"""Inception's features as clean-fid takes them, where that package and its weights are at hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InvalidArgumentError, UnsupportedError

if TYPE_CHECKING:
    from ..info import ModelInfo

_FOLDER = "/tmp"  # where clean-fid puts the weights and looks for them
_WEIGHTS = "inception-2015-12-05.pt"
_BATCH = 32


def inception(info: ModelInfo) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """From images ``[m, C, H, W]`` of a model, C 1 or 3, to the 2048 features of the Frechet inception
    distance: each image as bytes, scaled to 299 x 299 as clean-fid does (Parmar, Zhang and Zhu, "On aliased
    resizing", CVPR 2022), grey ones in three equal channels. Nothing is fetched."""
    try:
        import torch
        from cleanfid.inception_torchscript import InceptionV3W
        from cleanfid.resize import build_resizer
    except ImportError as error:
        raise UnsupportedError(
            f"features: Inception comes with clean-fid: {error}; install it, or give another network"
        ) from error
    path = os.path.join(_FOLDER, _WEIGHTS)
    if not os.path.exists(path):
        raise FileError(
            f"features: Inception's weights are not at {path}, where clean-fid keeps what it has fetched; "
            "fetch them with it, or give another network"
        )
    device = info.engine.device if torch.cuda.is_available() else "cpu"
    network = InceptionV3W(_FOLDER, download=False, resize_inside=False).to(device).eval()
    resize = build_resizer("clean")

    def features(images: NDArray[Any]) -> NDArray[np.float32]:
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise InvalidArgumentError(
                f"features: Inception sees images of 1 or 3 channels, not rows {list(images.shape[1:])}"
            )
        unit = (images - info.low) / (info.high - info.low)
        pixels = np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8).transpose(0, 2, 3, 1)
        pixels = np.broadcast_to(pixels, (*pixels.shape[:3], 3))
        made = []
        for at in range(0, len(pixels), _BATCH):
            scaled = np.stack([resize(image).transpose(2, 0, 1) for image in pixels[at : at + _BATCH]])
            with torch.inference_mode():
                made.append(network(torch.from_numpy(scaled).to(device)).cpu().numpy())
        return np.concatenate(made)

    return features
