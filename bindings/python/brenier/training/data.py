"""Images from a folder, .npy, .npz or IDX files (also gzipped), as one array ``[n, C, H, W]``."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InvalidArgumentError

Path_ = Union[str, "os.PathLike[str]"]

SMALLEST, LARGEST, FEWEST = 28, 256, 32
_EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read(source: Any, size: int | None = None) -> NDArray[Any]:
    """Images, as uint8 0 .. 255 or as float32 in [0, 1].

    Parameters
    ----------
    source : path, sequence of paths or array
        A folder of images; an .npy, .npz or IDX file, also gzipped; of an .npz with several arrays of
        images, ``FILE:NAME``. Or the images: ``[n, H, W]``, ``[n, C, H, W]`` or ``[n, H, W, C]``, C 1 or 3.
    size : int, optional
        Of a folder's images, crop the middle square and scale it to so many pixels.

    Raises
    ------
    FileError
        A file is missing or cannot be read.
    InvalidArgumentError
        A folder without images, mixed sizes, a size outside 28 .. 256, too few images, other values.
    """
    if isinstance(source, (str, os.PathLike)):
        images = _read_path(source, size)
        name = os.fspath(source)
    elif isinstance(source, Sequence) and source and all(isinstance(s, (str, os.PathLike)) for s in source):
        parts = [_read_path(path, size) for path in source]
        name = ", ".join(os.fspath(path) for path in source)
        for path, part in zip(source, parts):
            if part.shape[1:] != parts[0].shape[1:] or part.dtype != parts[0].dtype:
                raise InvalidArgumentError(
                    f"{os.fspath(path)}: images {_described(part)}, but {os.fspath(source[0])} has "
                    f"{_described(parts[0])}; all must be of one shape and kind"
                )
        images = np.concatenate(parts)
    else:
        name = "images"
        images = _normal(np.asarray(source), name)
    if len(images) < FEWEST:
        raise InvalidArgumentError(f"{name}: want at least {FEWEST} images to learn from, got {len(images)}")
    return images


def _described(images: NDArray[Any]) -> str:
    _, channels, height, width = images.shape
    return f"of {height}x{width}x{channels} {images.dtype}"


def _read_path(source: Path_, size: int | None) -> NDArray[Any]:
    path, name = Path(source), ""
    if not path.exists() and ":" in path.name:
        text, _, name = os.fspath(source).rpartition(":")
        path = Path(text)
    if path.is_dir():
        return _folder(path, size)
    if size is not None:
        raise InvalidArgumentError(f"{path}: only the images of a folder are scaled; leave size out")
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: could not be read: {getattr(error, 'strerror', None) or error}") from error
    if data[:2] == b"PK":
        return _npz(path, data, name)
    if name:
        raise InvalidArgumentError(f"{path}: no .npz file, so it has no array {name!r}")
    if data[:6] == b"\x93NUMPY":
        try:
            return _normal(np.load(io.BytesIO(data), allow_pickle=False), str(path))
        except (ValueError, EOFError) as error:
            if isinstance(error, InvalidArgumentError):
                raise
            raise FileError(f"{path}: a damaged .npy file: {error}") from error
    if data[:2] == b"\0\0" and len(data) >= 4 and data[2] in _IDX_TYPES:
        return _idx(path, data)
    raise InvalidArgumentError(f"{path}: neither a folder nor an .npy, .npz or IDX file")


def _npz(path: Path, data: bytes, name: str) -> NDArray[Any]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            if name and name not in arrays.files:
                raise InvalidArgumentError(f"{path}: no array {name!r}; it has {', '.join(arrays.files)}")
            names = [name] if name else arrays.files
            found = {n: arrays[n] for n in names if name or _channels_axis(arrays[n]) is not None}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise FileError(f"{path}: a damaged .npz file: {error}") from error
    if len(found) != 1:
        which = f"several arrays of images: {', '.join(found)}" if found else f"no images: {', '.join(names)}"
        raise InvalidArgumentError(f"{path}: {which}; name one as {path}:NAME")
    ((key, array),) = found.items()
    return _normal(array, f"{path}:{key}")


def _idx(path: Path, data: bytes) -> NDArray[Any]:
    """The format of MNIST: two zeros, the type, the number of axes, their extents, the values."""
    axes = data[3]
    start = 4 + 4 * axes
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    dtype = np.dtype(_IDX_TYPES[data[2]])
    want = start + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if len(data) != want:
        raise FileError(f"{path}: a damaged IDX file: its header says {want} bytes, it has {len(data)}")
    # A copy: PyTorch warns of arrays that cannot be written to.
    return _normal(np.frombuffer(data, dtype, offset=start).reshape(shape).copy(), str(path))


def _folder(path: Path, size: int | None) -> NDArray[Any]:
    from PIL import Image, ImageOps

    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in _EXTENSIONS and p.is_file())
    if not files:
        others = sorted(p.name for p in path.iterdir())[:3]
        holds = f"it has {', '.join(others)}; name a data file itself" if others else "it is empty"
        raise InvalidArgumentError(f"{path}: no images in this folder; {holds}")
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise InvalidArgumentError(f"size: want {SMALLEST} to {LARGEST} pixels, got {size}")

    # The headers first: what is wrong shows before anything long begins.
    extent: tuple[int, int] | None = None
    colour = False
    for file in files:
        try:
            with Image.open(file) as image:
                here, mode = image.size, image.mode
        except (OSError, ValueError, SyntaxError) as error:
            raise FileError(f"{file}: cannot be read as an image: {error}") from error
        if mode[0] in "IF":
            raise InvalidArgumentError(f"{file}: more than 8 bits a channel; convert the images to 8 bits")
        colour = colour or mode not in ("1", "L", "LA")
        extent = here if extent is None else extent
        if size is None and here != extent:
            raise InvalidArgumentError(
                f"{file}: {here[0]}x{here[1]} pixels, but {files[0].name} has {extent[0]}x{extent[1]}; "
                "give a size (--size) to crop and scale all to"
            )
    assert extent is not None
    width, height = (size, size) if size is not None else extent
    channels = 3 if colour else 1
    _check_sides(height, width, str(files[0]))
    images = np.empty((len(files), height, width, channels), np.uint8)
    for index, file in enumerate(files):
        try:
            with Image.open(file) as image:
                picture = image.convert("RGB" if colour else "L")
        except (OSError, ValueError, SyntaxError) as error:
            raise FileError(f"{file}: cannot be read as an image: {error}") from error
        if size is not None:
            picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
        images[index] = np.asarray(picture).reshape(height, width, channels)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _channels_axis(array: NDArray[Any]) -> int | None:
    """Where the channels are: 1, 3, or 0 where there is no such axis; None: these are no images."""
    shape = array.shape
    if array.dtype.kind not in "uif" or array.ndim not in (3, 4) or min(shape[1:], default=0) < 1:
        return None
    if array.ndim == 3:
        return 0 if min(shape[1:]) >= SMALLEST else None
    for axis in (1, 3):
        if shape[axis] in (1, 3):
            return axis
    return None


def _check_sides(height: int, width: int, name: str) -> None:
    if not all(SMALLEST <= side <= LARGEST for side in (height, width)):
        raise InvalidArgumentError(
            f"{name}: images of {height}x{width} pixels; each side must have {SMALLEST} to {LARGEST}"
        )


def _normal(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Checks an array of images and puts its channels second."""
    if array.ndim == 3:
        array = array[:, None]
    axis = _channels_axis(array)
    if axis is None:
        raise InvalidArgumentError(
            f"{name}: want images [n, H, W], [n, C, H, W] or [n, H, W, C] with C 1 or 3, got "
            f"{list(array.shape)} {array.dtype}"
        )
    if axis == 3:
        array = array.transpose(0, 3, 1, 2)
    _check_sides(array.shape[2], array.shape[3], name)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=(1, 2, 3)))[0])
        raise InvalidArgumentError(f"{name}: image {row} has values that are not finite")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if array.dtype.kind in "ui" and low >= 0 and high <= 255:
        return np.ascontiguousarray(array, np.uint8)
    if array.dtype.kind != "f" or low < 0 or high > 1:
        raise InvalidArgumentError(
            f"{name}: values from {low:g} to {high:g}; want bytes 0 .. 255 or floats in [0, 1]"
        )
    return np.ascontiguousarray(array, np.float32)
