"""Data from files: images, their labels, and rows of codes or features.

Images lie in a folder, or in an .npy, .npz or IDX file (MNIST's format), also gzipped. Of an .npz with
several arrays that could be meant, ``FILE:NAME`` is one.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Union

import numpy as np
from numpy.typing import NDArray

from .errors import FileError, InvalidArgumentError, UnsupportedError

PathLike = Union[str, "os.PathLike[str]"]

_EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@dataclass(frozen=True)
class Form:
    """What images must be: their channels, the least and the most rows and columns, the range of floats,
    and how many at least."""

    channels: tuple[int, ...] = (1, 3)
    rows: tuple[int, int] = (1, 1 << 16)
    columns: tuple[int, int] = (1, 1 << 16)
    values: tuple[float, float] = (0.0, 1.0)
    fewest: int = 1

    def has_sides(self, rows: int, columns: int) -> bool:
        return self.rows[0] <= rows <= self.rows[1] and self.columns[0] <= columns <= self.columns[1]

    def check_sides(self, rows: int, columns: int, name: str) -> None:
        if not self.has_sides(rows, columns):
            want = " by ".join(
                str(low) if low == high else f"{low} to {high}" for low, high in (self.rows, self.columns)
            )
            raise InvalidArgumentError(f"{name}: images of {rows}x{columns} pixels; want {want}")

    def channels_wanted(self) -> str:
        return " or ".join(map(str, self.channels))


def images(source: Any, form: Form | None = None, size: int | None = None) -> NDArray[Any]:
    """Images ``[n, C, H, W]``, as uint8 0 .. 255 or as float32.

    Parameters
    ----------
    source : path, sequence of paths or array
        A folder of images, with those in folders below it; an .npy, .npz or IDX file, also gzipped. Or the
        images: ``[n, H, W]``, ``[n, C, H, W]`` or ``[n, H, W, C]``.
    form : Form, optional
        What they must be. Default: 1 or 3 channels, of any size, floats in [0, 1].
    size : int, optional
        Of a folder's images, crop the middle square and scale it to so many pixels.

    Raises
    ------
    FileError
        A file is missing or cannot be read.
    InvalidArgumentError
        A folder without images, mixed sizes, images that are not as ``form`` has them.
    UnsupportedError
        A folder, and Pillow is not installed.
    """
    form = form or Form()
    if isinstance(source, (str, os.PathLike)):
        found = _images_at(source, form, size)
        name = os.fspath(source)
    elif isinstance(source, Sequence) and source and all(isinstance(s, (str, os.PathLike)) for s in source):
        parts = [_images_at(path, form, size) for path in source]
        name = ", ".join(os.fspath(path) for path in source)
        for path, part in zip(source, parts):
            if part.shape[1:] != parts[0].shape[1:] or part.dtype != parts[0].dtype:
                raise InvalidArgumentError(
                    f"{os.fspath(path)}: images {_described(part)}, but {os.fspath(source[0])} has "
                    f"{_described(parts[0])}; all must be of one shape and kind"
                )
        found = np.concatenate(parts)
    else:
        name = "images"
        found = _normal(np.asarray(source), name, form)
    if len(found) < form.fewest:
        raise InvalidArgumentError(f"{name}: want at least {form.fewest} images, got {len(found)}")
    return found


def images_or_rows(path: PathLike, form: Form, size: int | None = None) -> NDArray[Any]:
    """As :func:`images` of one path; but rows of numbers ``[n, f]`` in a file are taken as they are."""
    if Path(path).is_dir():
        return images(path, form, size)
    array, name = _load(path, "images or rows of numbers", lambda a: _is_rows(a) or _is_images(a, form))
    return array if _is_rows(array) else images(_normal(array, name, form), form)


def rows(path: PathLike) -> NDArray[Any]:
    """Rows of numbers ``[n, f]``, of an .npy, .npz or IDX file."""
    array, name = _load(path, "rows of numbers [n, f]", _is_rows)
    if not _is_rows(array):
        raise InvalidArgumentError(
            f"{name}: want rows of numbers [n, f], got {list(array.shape)} {array.dtype}"
        )
    return array


def labels(path: PathLike) -> NDArray[Any]:
    """Classes ``[n]``: whole numbers of an .npy, .npz or IDX file; or names, where the path is a folder of
    images. An image's class is then the folder right below that it lies in, and the order is that of
    :func:`images`."""
    folder = Path(path)
    if folder.is_dir():
        names = []
        for file in _files(folder):
            inside = file.relative_to(folder).parts
            if len(inside) < 2:
                raise InvalidArgumentError(
                    f"{file}: lies in no folder below {folder}, whose name would be its class"
                )
            names.append(inside[0])
        return np.array(names)
    array, name = _load(path, "labels [n]", lambda a: a.ndim == 1 and a.dtype.kind in "iu")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InvalidArgumentError(
            f"{name}: want labels [n], whole numbers, got {list(array.shape)} {array.dtype}"
        )
    return array


def _described(images: NDArray[Any]) -> str:
    _, channels, height, width = images.shape
    return f"of {height}x{width}x{channels} {images.dtype}"


def _is_rows(array: NDArray[Any]) -> bool:
    return array.ndim == 2 and array.dtype.kind in "uif"


def _images_at(source: PathLike, form: Form, size: int | None) -> NDArray[Any]:
    path = Path(source)
    if path.is_dir():
        return _folder(path, form, size)
    if size is not None:
        raise InvalidArgumentError(f"{path}: only the images of a folder are scaled; leave size out")
    array, name = _load(source, "images", lambda a: _is_images(a, form))
    return _normal(array, name, form)


# ---- files of arrays -------------------------------------------------------------------------------


def _load(source: PathLike, what: str, wanted: Callable[[NDArray[Any]], bool]) -> tuple[NDArray[Any], str]:
    """The array of a file, and its name. Of several in an .npz, the only one that is wanted."""
    path, name = Path(source), ""
    if not path.exists() and ":" in path.name:
        text, _, name = os.fspath(source).rpartition(":")
        path = Path(text)
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: could not be read: {getattr(error, 'strerror', None) or error}") from error
    if data[:2] == b"PK":
        return _npz(path, data, name, what, wanted)
    if name:
        raise InvalidArgumentError(f"{path}: no .npz file, so it has no array {name!r}")
    if data[:6] == b"\x93NUMPY":
        try:
            return np.load(io.BytesIO(data), allow_pickle=False), str(path)
        except (ValueError, EOFError) as error:
            raise FileError(f"{path}: a .npy file that cannot be read: {error}") from error
    if data[:2] == b"\0\0" and len(data) >= 4 and data[2] in _IDX_TYPES:
        return _idx(path, data), str(path)
    raise InvalidArgumentError(f"{path}: neither a folder of images nor an .npy, .npz or IDX file")


def _npz(
    path: Path, data: bytes, name: str, what: str, wanted: Callable[[NDArray[Any]], bool]
) -> tuple[NDArray[Any], str]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = list(arrays.files)
            found = {n: arrays[n] for n in names if n == name or not name}
    except (ValueError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise FileError(f"{path}: a .npz file that cannot be read: {error}") from error
    if name and not found:
        raise InvalidArgumentError(f"{path}: no array {name!r}; it has {', '.join(names)}")
    if len(found) > 1:
        found = {n: array for n, array in found.items() if wanted(array)}
    if len(found) != 1:
        which = f"could be any of {', '.join(found)}" if found else f"are none of {', '.join(names)}"
        raise InvalidArgumentError(f"{path}: {what} {which}; name one as {path}:NAME")
    ((key, array),) = found.items()
    return array, f"{path}:{key}"


def _idx(path: Path, data: bytes) -> NDArray[Any]:
    """The format of MNIST: two zeros, the type, the number of axes, their extents, the values."""
    axes = data[3]
    start = 4 + 4 * axes
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    dtype = np.dtype(_IDX_TYPES[data[2]])
    want = start + dtype.itemsize * math.prod(shape)
    if len(data) != want:
        raise FileError(f"{path}: a damaged IDX file: its header says {want} bytes, it has {len(data)}")
    # A copy: PyTorch warns of arrays that cannot be written to.
    return np.frombuffer(data, dtype, offset=start).reshape(shape).copy()


# ---- folders ---------------------------------------------------------------------------------------


def _files(path: Path) -> list[Path]:
    """The images of a folder and of those below it, in order; none that is hidden. Links are followed,
    each folder once."""
    files: list[Path] = []
    seen: set[str] = set()

    def fail(error: OSError) -> None:
        raise FileError(f"{error.filename}: could not be read: {error.strerror}") from error

    for at, below, names in os.walk(path, followlinks=True, onerror=fail):
        if os.path.realpath(at) in seen:
            below.clear()
            continue
        seen.add(os.path.realpath(at))
        below[:] = sorted(b for b in below if b[0] != ".")
        files += [Path(at, n) for n in names if n[0] != "." and Path(n).suffix.lower() in _EXTENSIONS]
    files = sorted(file for file in files if file.is_file())
    if not files:
        others = sorted(p.name for p in path.iterdir())[:3]
        holds = f"it has {', '.join(others)}; name a data file itself" if others else "it is empty"
        raise InvalidArgumentError(f"{path}: no images in this folder; {holds}")
    return files


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    from PIL import Image

    try:
        with Image.open(file) as image:
            yield image
    except InvalidArgumentError:
        raise
    except Exception as error:  # what a reader of a format raises over a broken file is up to that reader
        raise FileError(f"{file}: cannot be read as an image: {error}") from error


def _folder(path: Path, form: Form, size: int | None) -> NDArray[Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise UnsupportedError(f"{path}: a folder of images needs Pillow (pip install pillow)") from error

    files = _files(path)
    if size is not None and not form.has_sides(size, size):
        low, high = max(form.rows[0], form.columns[0]), min(form.rows[1], form.columns[1])
        raise InvalidArgumentError(f"size: want {low} to {high} pixels, got {size}")

    # The headers first: what is wrong shows before anything long begins.
    extent: tuple[int, int] | None = None
    coloured: Path | None = None
    for file in files:
        with _opened(file) as image:
            here, mode = image.size, image.mode
        if mode[0] in "IF":
            raise InvalidArgumentError(f"{file}: more than 8 bits a channel; convert the images to 8 bits")
        if coloured is None and mode not in ("1", "L", "LA"):
            coloured = file
        extent = here if extent is None else extent
        if size is None and here != extent:
            raise InvalidArgumentError(
                f"{file}: {here[0]}x{here[1]} pixels, but {files[0].name} has {extent[0]}x{extent[1]}; "
                "give a size (--size) to crop and scale all to"
            )
    assert extent is not None
    width, height = (size, size) if size is not None else extent
    form.check_sides(height, width, str(files[0]))
    channels = 3 if coloured is not None or 1 not in form.channels else 1
    if channels not in form.channels:
        raise InvalidArgumentError(
            f"{coloured or files[0]}: an image of {channels} channels; want {form.channels_wanted()}"
        )
    images = np.empty((len(files), height, width, channels), np.uint8)
    for index, file in enumerate(files):
        with _opened(file) as image:
            picture = image.convert("RGB" if channels == 3 else "L")
        if size is not None:
            picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
        images[index] = np.asarray(picture).reshape(height, width, channels)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


# ---- arrays of images ------------------------------------------------------------------------------


def _channels_axis(array: NDArray[Any], form: Form) -> int | None:
    """Where the channels are: 1, 3, or 0 where there is no such axis; None: these are no images."""
    shape = array.shape
    if array.dtype.kind not in "uif" or array.ndim not in (3, 4) or min(shape[1:]) < 1:
        return None
    if array.ndim == 3:
        return 0 if 1 in form.channels else None
    return next((axis for axis in (1, 3) if shape[axis] in form.channels), None)


def _is_images(array: NDArray[Any], form: Form) -> bool:
    axis = _channels_axis(array, form)
    if axis is None:
        return False
    return form.has_sides(*(array.shape[2:] if axis == 1 else array.shape[1:3]))


def _normal(array: NDArray[Any], name: str, form: Form) -> NDArray[Any]:
    """Checks an array of images and puts its channels second."""
    axis = _channels_axis(array, form)
    if axis is None:
        raise InvalidArgumentError(
            f"{name}: want images [n, H, W], [n, C, H, W] or [n, H, W, C] with C {form.channels_wanted()}, "
            f"got {list(array.shape)} {array.dtype}"
        )
    if axis == 0:
        array = array[:, None]
    elif axis == 3:
        array = array.transpose(0, 3, 1, 2)
    form.check_sides(array.shape[2], array.shape[3], name)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=(1, 2, 3)))[0])
        raise InvalidArgumentError(f"{name}: image {row} has values that are not finite")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if array.dtype.kind in "ui" and low >= 0 and high <= 255:
        return np.ascontiguousarray(array, np.uint8)
    if array.dtype.kind != "f" or low < form.values[0] or high > form.values[1]:
        raise InvalidArgumentError(
            f"{name}: values from {low:g} to {high:g}; want bytes 0 .. 255 or floats in "
            f"[{form.values[0]:g}, {form.values[1]:g}]"
        )
    return np.ascontiguousarray(array, np.float32)
