"""Training: the same seed gives the same weights, a run may be cut, and the engine has the file."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile

torch = pytest.importorskip("torch", reason="torch is not installed: training is not tested")
pytest.importorskip("PIL", reason="pillow is not installed: training is not tested")

from brenier.__main__ import main  # noqa: E402
from brenier.training import loop, networks  # noqa: E402
from brenier.training.progress import Progress  # noqa: E402
from brenier.training.settings import Settings  # noqa: E402


def blobs(n: int, side: int = 28, channels: int = 1) -> Any:
    """Images [n, C, side, side] of a bright spot in some place."""
    rng = np.random.default_rng(0)
    centre = rng.uniform(0.3 * side, 0.7 * side, (n, 2, 1, 1))
    rows, columns = np.mgrid[:side, :side]
    square = (rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2
    images = (255 * np.exp(-square / (side / 4) ** 2)).astype(np.uint8)
    return np.repeat(images[:, None], channels, 1)


def settings(**changes: Any) -> Settings:
    usual: dict[str, Any] = {
        "latent": 4, "base": 4, "decoder": "transpose", "loss": "mse", "noise": 0.1, "adversarial": 0.0,
        "epochs": 3, "batch": 16, "rate": 3e-3, "seed": 5,
        "precision": "float32",
    }  # fmt: skip
    return Settings(**{**usual, **changes})


def trained(path: pathlib.Path, s: Settings, cut: int | None = None) -> loop.Autoencoder:
    """A training, in one go, or cut after some steps and taken up by other objects."""
    images = blobs(40)
    checkpoint = loop.Checkpoint(str(path), s, images)
    autoencoder = loop.Autoencoder(s, (1, 28, 28), "cpu")
    with loop.deterministic(threads=1):
        loop.train(autoencoder, images, Progress(quiet=True), checkpoint, stop_at=cut)
        if cut is not None:
            autoencoder = loop.Autoencoder(s, (1, 28, 28), "cpu")
            checkpoint.load(autoencoder)
            assert autoencoder.step == cut
            loop.train(autoencoder, images, Progress(quiet=True), checkpoint)
    return autoencoder


@pytest.fixture(scope="module")
def half() -> str:
    """bfloat16, where this PyTorch trains with it on this processor."""
    try:
        return loop.precision("bfloat16", "cpu")
    except brenier.UnsupportedError as error:
        pytest.skip(str(error))


def same(a: loop.Autoencoder, b: loop.Autoencoder) -> bool:
    pairs = [(a.modules[m].state_dict(), b.modules[m].state_dict()) for m in a.modules]
    return all(torch.equal(left[key], right[key]) for left, right in pairs for key in left)


@pytest.mark.parametrize("adversarial", [0.0, 0.01])
def test_the_same_seed_gives_the_same_weights_and_so_does_a_cut_run(
    adversarial: float, tmp_path: pathlib.Path
) -> None:
    s = settings(adversarial=adversarial)
    one = trained(tmp_path / "c", s)
    assert same(one, trained(tmp_path / "c", s))
    for cut in (3, 5):
        assert same(one, trained(tmp_path / "c", s, cut))
    assert not same(one, trained(tmp_path / "c", settings(adversarial=adversarial, seed=6)))


def test_a_checkpoint_of_other_settings_or_images_is_refused(tmp_path: pathlib.Path) -> None:
    s = settings()
    trained(tmp_path / "c", s, cut=1)
    other = settings(rate=1e-3)
    with pytest.raises(brenier.InvalidArgumentError, match=r"rate 0\.003, now 0\.001"):
        loop.Checkpoint(str(tmp_path / "c"), other, blobs(40)).load(
            loop.Autoencoder(other, (1, 28, 28), "cpu")
        )
    with pytest.raises(brenier.InvalidArgumentError, match="images .* crc"):
        loop.Checkpoint(str(tmp_path / "c"), s, blobs(41)).load(loop.Autoencoder(s, (1, 28, 28), "cpu"))
    (tmp_path / "c").write_bytes(b"no checkpoint")
    with pytest.raises(brenier.FileError, match="damaged"):
        loop.Checkpoint(str(tmp_path / "c"), s, blobs(40)).load(loop.Autoencoder(s, (1, 28, 28), "cpu"))
    with pytest.raises(brenier.FileError, match="no checkpoint to resume"):
        loop.Checkpoint(str(tmp_path / "none"), s, blobs(40)).load(loop.Autoencoder(s, (1, 28, 28), "cpu"))


@pytest.mark.parametrize("kind", ["transpose", "upsample"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 29, 50), (3, 64, 64), (1, 256, 256)])
def test_the_engine_decodes_and_encodes_as_every_size_s_networks(
    kind: str, shape: tuple[int, int, int], tmp_path: pathlib.Path
) -> None:
    torch.manual_seed(0)
    decoder = networks.decoder(*shape, 6, 2, kind)
    encoder = networks.encoder(*shape, 6, 2)
    images = torch.rand(8, *shape)
    assert encoder(images).shape == (8, 6)  # statistics other than 0 and 1, as the decoder's
    decoder(torch.randn(8, 6))
    brenier.export(tmp_path / "m", decoder, encoder=encoder)
    z = torch.randn(3, 6)
    with torch.no_grad():
        want = decoder.eval().double()(z.double()).numpy()
        codes = encoder.eval().double()(images.double()).numpy()
    assert want.shape == (3, *shape)
    with brenier.load(tmp_path / "m") as model:
        np.testing.assert_allclose(model.decode(z.numpy()), want, atol=1e-5)
        np.testing.assert_allclose(model.encode(images.numpy()), codes, atol=1e-5 * np.ptp(codes))


def share_lost(autoencoder: loop.Autoencoder) -> float:
    """The share of the images' variance that reconstructions miss."""
    images = blobs(40)
    made = loop.decode(autoencoder, loop.encode(autoencoder, images))
    return float(np.mean((made - images / 255) ** 2) / np.var(images / 255, axis=0).mean())


LEARNS: dict[str, Any] = {"base": 8, "rate": 1e-2, "epochs": 75, "batch": 20}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> loop.Autoencoder:
    """Of the settings LEARNS in float32."""
    return trained(tmp_path_factory.mktemp("learnt") / "c", settings(**LEARNS))


def test_training_learns(learnt: loop.Autoencoder) -> None:
    assert share_lost(learnt) < 0.4


@pytest.mark.parametrize("loss", ["l1", "bce"])
def test_training_learns_by_other_losses(loss: str, tmp_path: pathlib.Path) -> None:
    assert share_lost(trained(tmp_path / "c", settings(loss=loss, **LEARNS))) < 0.4


# ---- precision ---------------------------------------------------------------------------------


def test_bfloat16_learns_as_well_and_leaves_float32(
    learnt: loop.Autoencoder, half: str, tmp_path: pathlib.Path
) -> None:
    autoencoder = trained(tmp_path / "c", settings(precision=half, **LEARNS))
    assert not same(autoencoder, learnt)
    assert abs(share_lost(autoencoder) - share_lost(learnt)) < 0.1
    brenier.export(tmp_path / "m", autoencoder.decoder, encoder=autoencoder.encoder)
    assert {tensor.dtype.name for tensor in modelfile.read(tmp_path / "m")[0].values()} == {"float32"}
    images = blobs(8).astype(np.float32) / 255
    codes = loop.encode(autoencoder, images)
    with brenier.load(tmp_path / "m", device="cpu") as model:
        np.testing.assert_allclose(model.encode(images), codes, atol=1e-5 * np.ptp(codes))
        np.testing.assert_allclose(model.decode(codes), loop.decode(autoencoder, codes), atol=1e-5)


@pytest.mark.parametrize("loss", ["mse", "l1", "bce"])
def test_bfloat16_is_of_the_networks_products_alone(
    loss: str, half: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtypes: dict[str, set[Any]] = {"products": set(), "losses": set()}

    def watched(usual: Any) -> Any:
        def call(*images: Any) -> Any:
            value = usual(*images)
            dtypes["losses"].update(tensor.dtype for tensor in (*images, value))
            return value

        return call

    def look(module: Any, _inputs: Any, made: Any) -> None:
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) and made.requires_grad:  # while training
            dtypes["products"].add(made.dtype)

    monkeypatch.setitem(loop.losses.LOSSES, loss, watched(loop.losses.LOSSES[loss]))
    for name in ("decoder_hinge", "discriminator_hinge"):
        monkeypatch.setattr(loop.losses, name, watched(getattr(loop.losses, name)))
    hook = torch.nn.modules.module.register_module_forward_hook(look)
    try:
        autoencoder = trained(tmp_path / "c", settings(loss=loss, precision=half, adversarial=0.01))
    finally:
        hook.remove()
    assert dtypes == {"products": {torch.bfloat16}, "losses": {torch.float32}}
    for module in autoencoder.modules.values():
        assert {t.dtype for t in module.state_dict().values() if t.is_floating_point()} == {torch.float32}


def test_bfloat16_is_resumable_with_an_adversary_too(half: str, tmp_path: pathlib.Path) -> None:
    s = settings(adversarial=0.01, precision=half)
    one = trained(tmp_path / "c", s)
    assert same(one, trained(tmp_path / "c", s, cut=5))
    trained(tmp_path / "c", s, cut=1)
    with pytest.raises(brenier.InvalidArgumentError, match="precision 'bfloat16', now 'float32'"):
        loop.Checkpoint(str(tmp_path / "c"), settings(adversarial=0.01), blobs(40)).load(one)


def test_precision_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loop.precision("auto", "cpu") == loop.precision("float32", "cpu") == "float32"
    for capability, kind in (((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert loop.precision("auto", "cuda") == kind and loop.precision("float32", "cuda") == "float32"
    with pytest.raises(brenier.InvalidArgumentError, match="precision: want one of float32, bfloat16"):
        settings(precision="auto")

    def refuse(*_: Any) -> Any:
        raise RuntimeError("no such instructions")

    monkeypatch.setattr(loop, "products", refuse)
    with pytest.raises(brenier.UnsupportedError, match="bfloat16 cannot be trained with on cpu: no such"):
        loop.precision("bfloat16", "cpu")


def test_from_images_to_a_model_file(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "images.npy", blobs(48, 32, 3))
    out = tmp_path / "model.safetensors"
    arguments = ["train", str(tmp_path / "images.npy"), "--out", str(out), "--base", "4", "--latent", "4"]
    arguments += ["--epochs", "4", "--batch", "12", "--tol", "0.05", "--threads", "1", "--device", "cpu"]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == {"count": 48, "channels": 3, "height": 32, "width": 32}
    assert report["fit"]["empty"] == 0 and set(report["error"]) == {"train", "held_out"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "images.npy", "model-reconstructions.png", "model-samples.png", "model.safetensors",
    ]  # fmt: skip
    first = out.read_bytes()
    result = brenier.train(
        blobs(48, 32, 3), out, base=4, latent=4, epochs=4, batch=12, tol=0.05, threads=1, device="cpu",
        progress=False,
    )  # fmt: skip
    with result.load(device="cpu") as model, torch.no_grad():
        points = model.points
        want = result.decoder(torch.from_numpy(np.array(points[:8]))).numpy()
        np.testing.assert_allclose(model.decode(points[:8]), want, atol=1e-5)
        codes = result.encoder(torch.from_numpy(blobs(48, 32, 3)).float() / 255).numpy()
        np.testing.assert_allclose(codes, points, atol=1e-4)
        array = blobs(48, 32, 3)
        encoded = model.encode(array)
        np.testing.assert_allclose(encoded, codes, atol=1e-5 * np.ptp(codes))
        kept = result.decoder(torch.from_numpy(codes)).numpy()
        np.testing.assert_allclose(model.reconstruct(array, dtype="float32"), kept, atol=2e-5)
        way = model.interpolate(array[:3], array[3:6], 5)
        assert way.shape == (3, 5, 3, 32, 32) and way.dtype == np.uint8
        np.testing.assert_array_equal(way[:, 0], model.reconstruct(array[:3]))
        assert model.sample(2, seed=1).shape == (2, 3, 32, 32)
        assert model.image_mean.shape == model.image_deviation.shape == (3, 32, 32)
    with brenier.load(out, device="cpu") as again:
        (tmp_path / "first").write_bytes(first)
        with brenier.load(tmp_path / "first", device="cpu") as before:
            np.testing.assert_array_equal(again.points, before.points)
            np.testing.assert_array_equal(again.heights, before.heights)

    (tmp_path / "model.safetensors.checkpoint").write_bytes(b"")
    assert main(arguments) == 1
    assert "has not ended; resume it" in capsys.readouterr().err
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["train"], 2, "brenier: train: the following arguments are required: IMAGES; brenier help train"),
        (["train", "x", "--loss", "l3"], 2, "brenier: train: argument --loss: invalid choice"),
        (["train", "x", "--precision", "half"], 2, "brenier: train: argument --precision: invalid choice"),
        (["train", "nowhere.npy"], 1, "brenier: nowhere.npy: could not be read: No such file or directory\n"),
        (["train", "x", "--out", "nowhere/m"], 1, "brenier: nowhere/m: there is no folder"),
    ],
)
def test_errors(arguments: list[str], status: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert error.startswith(text) and error.count("\n") == 1
