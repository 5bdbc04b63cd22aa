"""Sheets of images, as PNG files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exporter.safetensors import replacing

_GAP = 2


def sheet(rows: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Rows of images ``[n, C, H, W]`` in [0, 1] as one picture ``[height, width, C]``."""
    n, channels, height, width = rows[0].shape
    picture = np.full(
        (len(rows) * (height + _GAP) - _GAP, n * (width + _GAP) - _GAP, channels), 255, np.uint8
    )
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            top, left = r * (height + _GAP), c * (width + _GAP)
            pixels = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
            picture[top : top + height, left : left + width] = pixels.transpose(1, 2, 0)
    return picture


def write(path: str, picture: NDArray[Any]) -> None:
    """Writes a picture ``[height, width, C]``, C 1 or 3."""
    from PIL import Image

    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", optimize=True)
