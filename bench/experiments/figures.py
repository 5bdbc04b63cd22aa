"""Figures as small PNG files."""

from __future__ import annotations

import io
import pathlib
from typing import Any

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito's


def pyplot() -> Any:
    """matplotlib.pyplot, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def save(figure: Any, path: pathlib.Path, dpi: int = 100, colours: int = 64) -> None:
    """Writes a figure in so many colours, which takes a fraction of the bytes."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=dpi, format="png")
    drawn.seek(0)
    Image.open(drawn).convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
