"""Images, labels and rows from files: what is read, and the sentence for what is not."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import re
from typing import Any, Callable

import numpy as np
import pytest

import brenier
from brenier import datasets
from brenier.datasets import Form
from brenier.training.pipeline import _LEARNABLE

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 30, 40), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 30, 40, 3), np.uint8)
CODES = RNG.standard_normal((5, 7)).astype(np.float32)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


def idx(array: Any, code: int | None = None) -> bytes:
    """MNIST's format, written from its description."""
    types = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
    code = types[array.dtype.str[1:]] if code is None else code
    head = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def npy(array: Any, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def npz(save: Callable[..., None] = np.savez, **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def put(folder: pathlib.Path, name: str, data: bytes) -> pathlib.Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# ---- arrays in files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (idx(GREY), GREY[:, None]),
        (gzip.compress(idx(GREY)), GREY[:, None]),
        (idx(GREY.astype(np.int32)), GREY[:, None]),
        (idx(GREY.astype(np.int16)), GREY[:, None]),
        (idx(GREY / 255), (GREY / 255).astype(np.float32)[:, None]),
        (idx((GREY / 255).astype(np.float32)), (GREY / 255).astype(np.float32)[:, None]),
        (idx((GREY // 2).astype(np.int8)), (GREY // 2)[:, None]),
        (npy(GREY), GREY[:, None]),
        (gzip.compress(npy(COLOUR)), COLOUR.transpose(0, 3, 1, 2)),
        (npy(COLOUR.transpose(0, 3, 1, 2)), COLOUR.transpose(0, 3, 1, 2)),
        (npy(np.asfortranarray(GREY)), GREY[:, None]),
        (npy(GREY[..., None]), GREY[:, None]),
        (npy((GREY / 255).astype(np.float16)), (GREY / 255).astype(np.float16).astype(np.float32)[:, None]),
        (npz(x=GREY), GREY[:, None]),
        (npz(np.savez_compressed, x=GREY), GREY[:, None]),
        (npz(images=GREY, codes=CODES, labels=LABELS), GREY[:, None]),
    ],
)
def test_images_of_a_file(data: bytes, want: Any, tmp_path: pathlib.Path) -> None:
    got = datasets.images(put(tmp_path, "images", data))
    assert got.dtype == want.dtype and got.flags.c_contiguous and got.flags.writeable
    np.testing.assert_array_equal(got, want)


def test_of_several_arrays_one_is_named(tmp_path: pathlib.Path) -> None:
    path = put(tmp_path, "d.npz", npz(test=GREY[:2], train=GREY, codes=CODES, labels=LABELS, other=LABELS))
    np.testing.assert_array_equal(datasets.images(f"{path}:test"), GREY[:2, None])
    np.testing.assert_array_equal(datasets.labels(f"{path}:other"), LABELS)
    np.testing.assert_array_equal(datasets.rows(path), CODES)
    with pytest.raises(brenier.InvalidArgumentError, match="could be any of test, train; name one as"):
        datasets.images(path)
    with pytest.raises(brenier.InvalidArgumentError, match=r"labels \[n\] could be any of labels, other"):
        datasets.labels(path)
    with pytest.raises(brenier.InvalidArgumentError, match=r"could be any of test, train, codes; name one"):
        datasets.images_or_rows(path, Form())
    with pytest.raises(brenier.InvalidArgumentError, match=r"no array 'val'; it has test, train, codes"):
        datasets.images(f"{path}:val")
    with pytest.raises(brenier.InvalidArgumentError, match=r"d.npz:codes: want images \[n, H, W\]"):
        datasets.images(f"{path}:codes")
    colon = put(tmp_path, "a:b", npy(GREY))
    np.testing.assert_array_equal(datasets.images(colon), GREY[:, None])


def test_several_files_are_one_set(tmp_path: pathlib.Path) -> None:
    a, b = put(tmp_path, "a", idx(GREY)), put(tmp_path, "b", npy(GREY[:1]))
    np.testing.assert_array_equal(datasets.images([a, str(b)]), np.concatenate([GREY, GREY[:1]])[:, None])
    c = put(tmp_path, "c", npy(COLOUR))
    with pytest.raises(
        brenier.InvalidArgumentError, match=r"c: images of 30x40x3 uint8, but .*a has of 30x40x1 uint8; all"
    ):
        datasets.images([a, c])


def test_images_or_rows_and_labels(tmp_path: pathlib.Path) -> None:
    np.testing.assert_array_equal(datasets.images_or_rows(put(tmp_path, "c", npy(CODES)), Form()), CODES)
    np.testing.assert_array_equal(
        datasets.images_or_rows(put(tmp_path, "i", npy(GREY)), Form()), GREY[:, None]
    )
    np.testing.assert_array_equal(datasets.labels(put(tmp_path, "l", gzip.compress(idx(LABELS)))), LABELS)
    np.testing.assert_array_equal(datasets.rows(put(tmp_path, "f.npz", npz(f=CODES))), CODES)
    with pytest.raises(brenier.InvalidArgumentError, match=r"c: want labels .* \[5, 7\] float32"):
        datasets.labels(tmp_path / "c")
    with pytest.raises(brenier.InvalidArgumentError, match=r"i: want rows of numbers .* \[5, 30, 40\] uint8"):
        datasets.rows(tmp_path / "i")
    with pytest.raises(brenier.InvalidArgumentError, match=r"l: want images .* got \[5\] uint8"):
        datasets.images_or_rows(tmp_path / "l", Form())


@pytest.mark.parametrize(
    ("name", "data", "error", "text"),
    [
        ("e", b"", "InvalidArgument", "e: neither a folder of images nor an .npy, .npz or IDX file"),
        ("t.csv", b"1,2,3\n", "InvalidArgument", "t.csv: neither a folder of images nor"),
        ("i", idx(GREY)[:-1], "File", "i: a damaged IDX file: its header says 6016 bytes, it has 6015"),
        ("i", idx(GREY) + b"0", "File", "i: a damaged IDX file: its header says 6016 bytes, it has 6017"),
        ("i", idx(GREY)[:9], "File", "i: a damaged IDX file: its header says"),
        (
            "i", b"\0\0\x08\x02" + (1 << 31).to_bytes(4, "big") * 2, "File",
            "i: a damaged IDX file: its header says 4611686018427387916 bytes, it has 12",
        ),
        ("i", b"\0\0\x08\x04" + b"\0\1\0\0" * 4, "File", "i: a damaged IDX file"),  # 2**64 bytes
        ("i", idx(GREY, code=0x07), "InvalidArgument", "i: neither a folder"),
        ("g.gz", gzip.compress(idx(GREY))[:-9], "File", "g.gz: could not be read: Compressed file ended"),
        ("g.gz", b"\x1f\x8b" + b"\7" * 30, "File", "g.gz: could not be read: "),
        ("a.npy", npy(GREY)[:-1], "File", "a.npy: a .npy file that cannot be read: "),
        ("a.npy", npy(np.array([None]), True), "File", "a.npy: .* Object arrays cannot be loaded"),
        ("a.npz", npz(a=GREY)[:-30], "File", "a.npz: a .npz file that cannot be read: "),
        ("a.npz", npz(a=GREY).replace(b"NUMPY", b"DUMPY"), "File", "a.npz: a .npz file that cannot be read"),
        ("a.npz", npz(a=LABELS, b=CODES), "InvalidArgument", "a.npz: images are none of a, b; name one as"),
        ("a.npy", npy(np.array("text")), "InvalidArgument", r"a.npy: want images .* got \[\] <U4"),
        ("a.npy", npy(GREY.astype("c8")), "InvalidArgument", r"C 1 or 3, got \[5, 30, 40\] complex64"),
        ("a.npy", npy(np.zeros((5, 4, 30, 40))), "InvalidArgument", r"C 1 or 3, got \[5, 4, 30, 40\]"),
        ("a.npy", npy(np.zeros((5, 0, 40))), "InvalidArgument", r"a.npy: want images"),
        ("a.npy", npy(np.zeros((0, 30, 40))), "InvalidArgument", "a.npy: want at least 1 images, got 0"),
        ("a.npy", npy(GREY.astype(int) + 1), "InvalidArgument", "values from 1 to 256; want bytes 0 .. 255"),
        ("a.npy", npy(GREY.astype(int) - 1), "InvalidArgument", "values from -1 to 254; want bytes"),
        ("a.npy", npy(GREY / 254), "InvalidArgument", r"from 0 to 1.00394; want .* floats in \[0, 1\]"),
        ("a.npy", npy(GREY / np.nan), "InvalidArgument", "image 0 has values that are not"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(
    name: str, data: bytes, error: str, text: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(getattr(brenier, f"{error}Error"), match=text) as caught:
        datasets.images(put(tmp_path, name, data))
    assert "\n" not in str(caught.value)


def test_what_is_wrong_with_a_path(tmp_path: pathlib.Path) -> None:
    with pytest.raises(brenier.FileError, match=r"none\.npy: could not be read: No such file or directory"):
        datasets.images(tmp_path / "none.npy")
    with pytest.raises(brenier.FileError, match=r"none\.npz: could not be read: No such file"):
        datasets.images(f"{tmp_path / 'none.npz'}:a")
    path = put(tmp_path, "a.npy", npy(GREY))
    with pytest.raises(brenier.InvalidArgumentError, match=r"a\.npy: no \.npz file, so it has no array 'a'"):
        datasets.images(f"{path}:a")
    with pytest.raises(brenier.InvalidArgumentError, match="only the images of a folder are scaled"):
        datasets.images(path, size=28)


def test_images_are_as_asked_for(tmp_path: pathlib.Path) -> None:
    path = put(tmp_path, "a.npy", npy(GREY))
    signed = (GREY / 127.5 - 1).astype(np.float32)
    form = Form((1,), (30, 30), (40, 40), (-1, 1))
    np.testing.assert_array_equal(datasets.images(signed, form), signed[:, None])
    with pytest.raises(brenier.InvalidArgumentError, match=r"a.npy: images of 30x40 pixels; want 30 by 41$"):
        datasets.images(path, Form(rows=(30, 30), columns=(41, 41)))
    with pytest.raises(brenier.InvalidArgumentError, match=r"with C 3, got \[5, 30, 40\] uint8"):
        datasets.images(path, Form(channels=(3,)))
    with pytest.raises(brenier.InvalidArgumentError, match=r"images: want at least 32 images, got 5"):
        datasets.images(GREY, _LEARNABLE)
    for sides in [(27, 28), (28, 257)]:
        with pytest.raises(brenier.InvalidArgumentError, match=r"pixels; want 28 to 256 by 28 to 256$"):
            datasets.images(np.zeros((32, *sides), np.uint8), _LEARNABLE)
    assert datasets.images(np.zeros((32, 28, 256), np.uint8), _LEARNABLE).shape == (32, 1, 28, 256)


# ---- folders ---------------------------------------------------------------------------------------


def picture(array: Any, kind: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed: folders are not tested")
    file = io.BytesIO()
    made = image.fromarray(array)
    (made.convert(mode) if mode else made).save(file, kind, **options)
    return file.getvalue()


def test_folder(tmp_path: pathlib.Path) -> None:
    """In the order of the paths, whatever lies beside images or hidden is left out."""
    put(tmp_path, "b/2.png", picture(GREY[2]))
    put(tmp_path, "b/1.PNG", picture(GREY[1]))
    put(tmp_path, "a/deep/0.bmp", picture(GREY[0], "BMP"))
    put(tmp_path, "c.tiff", picture(GREY[3], "TIFF"))
    put(tmp_path, "d.pgm", picture(GREY[4], "PPM"))
    for name in ("readme.txt", "._d.png", ".thumbnails/1.png", "b/labels.csv"):
        put(tmp_path, name, b"no image")
    (tmp_path / "e.png").mkdir()
    os.symlink(tmp_path, tmp_path / "loop")
    np.testing.assert_array_equal(datasets.images(tmp_path), GREY[:, None])
    np.testing.assert_array_equal(datasets.images(tmp_path, Form((3,))), np.repeat(GREY[:, None], 3, 1))
    with pytest.raises(brenier.InvalidArgumentError, match=r"c\.tiff: lies in no folder below .* its class"):
        datasets.labels(tmp_path)
    (tmp_path / "c.tiff").unlink()
    (tmp_path / "d.pgm").unlink()
    os.symlink(tmp_path / "b", tmp_path / "z")  # a class that is a link; b itself is visited once
    assert datasets.labels(tmp_path).tolist() == ["a", "b", "b"]


def test_a_linked_class_is_read(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "elsewhere/1.png", picture(GREY[1]))
    put(tmp_path, "data/cats/0.png", picture(GREY[0]))
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "dogs")
    np.testing.assert_array_equal(datasets.images(tmp_path / "data"), GREY[:2, None])
    assert datasets.labels(tmp_path / "data").tolist() == ["cats", "dogs"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_of_pixels(mode: str, tmp_path: pathlib.Path) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    put(tmp_path, f"0.{kind.lower()}", picture(COLOUR[0], kind, mode))
    got = datasets.images(tmp_path)
    assert got.shape == (1, 1 if mode in ("1", "L", "LA") else 3, 30, 40)
    if mode in ("RGB", "RGBA"):
        np.testing.assert_array_equal(got[0].transpose(1, 2, 0), COLOUR[0])
    if mode == "1":
        assert set(np.unique(got)) == {0, 255}


def test_grey_among_colours_is_colour(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "0.png", picture(GREY[0]))
    put(tmp_path, "1.png", picture(COLOUR[1]))
    got = datasets.images(tmp_path)
    np.testing.assert_array_equal(got[0], np.repeat(GREY[:1], 3, 0))
    np.testing.assert_array_equal(got[1], COLOUR[1].transpose(2, 0, 1))
    with pytest.raises(brenier.InvalidArgumentError, match=r"1\.png: an image of 3 channels; want 1$"):
        datasets.images(tmp_path, Form((1,)))


def test_jpeg_and_size(tmp_path: pathlib.Path) -> None:
    """A ramp survives JPEG and scaling: the middle of 60 x 90 at half the size is the ramp's middle."""
    ramp = np.repeat((2 * np.arange(90) + 20).astype(np.uint8)[None], 60, 0)
    put(tmp_path, "0.jpg", picture(ramp, "JPEG", quality=95))
    put(tmp_path, "1.jpeg", picture(ramp.T.copy(), "JPEG", quality=95))
    got = datasets.images(tmp_path, size=30).astype(float)
    want = 2 * (15 + 2 * np.arange(30) + 0.5) + 20  # columns 15 .. 74, in pairs
    assert np.abs(got[0, 0, 2:-2, 2:-2] - want[2:-2]).max() <= 2
    assert np.abs(got[1, 0, 2:-2, 2:-2] - want[2:-2, None]).max() <= 2
    with pytest.raises(
        brenier.InvalidArgumentError,
        match=r"1\.jpeg: 60x90 pixels, but 0\.jpg has 90x60; give a size \(--size\) to crop and scale all to",
    ):
        datasets.images(tmp_path)
    with pytest.raises(brenier.InvalidArgumentError, match="size: want 28 to 256 pixels, got 27"):
        datasets.images(tmp_path, _LEARNABLE, size=27)


@pytest.mark.parametrize(
    ("names", "error", "text"),
    [
        ({}, "InvalidArgument", "no images in this folder; it is empty"),
        ({"t.csv": b"", "a.heic": b""}, "InvalidArgument", r"it has a\.heic, t\.csv; name a data"),
        ({"0.png": b"no image"}, "File", r"0\.png: cannot be read as an image: cannot identify image file"),
        ({"0.png": b""}, "File", r"0\.png: cannot be read as an image: "),
    ],
)
def test_what_is_wrong_with_a_folder(
    names: dict[str, bytes], error: str, text: str, tmp_path: pathlib.Path
) -> None:
    pytest.importorskip("PIL", reason="pillow is not installed: folders are not tested")
    for name, data in names.items():
        put(tmp_path, name, data)
    with pytest.raises(getattr(brenier, f"{error}Error"), match=text):
        datasets.images(tmp_path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM"])
def test_a_broken_image_is_named(kind: str, tmp_path: pathlib.Path) -> None:
    put(tmp_path, "0.png", picture(COLOUR[0]))
    whole = picture(COLOUR[1], kind)
    broken = tmp_path / f"1.{kind.lower()}"
    for data in (whole[: len(whole) // 2], whole[:40], whole[:30] + b"\xff" * (len(whole) - 30)):
        broken.write_bytes(data)
        try:
            got = datasets.images(tmp_path)
        except (brenier.FileError, brenier.InvalidArgumentError) as error:
            assert str(broken) in str(error)
        else:  # a reader may take bytes of pixels for what they are
            assert got.shape == (2, 3, 30, 40)
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(brenier.FileError, match=re.escape(f"{broken}: cannot be read as an image: ")):
        datasets.images(tmp_path)


def test_deep_pixels_and_small_images_are_refused(tmp_path: pathlib.Path) -> None:
    path = put(tmp_path, "0.png", picture(GREY[0].astype(np.uint16) * 257))
    with pytest.raises(brenier.InvalidArgumentError, match=r"0\.png: more than 8 bits a channel"):
        datasets.images(tmp_path)
    path.write_bytes(picture(GREY[0, :27]))
    with pytest.raises(brenier.InvalidArgumentError, match=r"0\.png: images of 27x40 pixels; want 28 to 256"):
        datasets.images(tmp_path, _LEARNABLE)
    path.write_bytes(picture(GREY[0]))
    with pytest.raises(brenier.InvalidArgumentError, match="want at least 32 images, got 1"):
        datasets.images(tmp_path, _LEARNABLE)
