"""Evaluation against closed forms and brute force."""

from __future__ import annotations

import gzip
import json
import pathlib
import sys
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile
from brenier import evaluation
from brenier.__main__ import main
from conftest import Parts


def test_frechet_of_known_moments() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((50, 3))
    a -= a.mean(0)
    scale, shift = np.array([2.0, 0.5, 3.0]), np.array([1.0, -2.0, 0.0])
    turn, _ = np.linalg.qr(np.cov(a.T))
    white = a @ np.linalg.inv(np.linalg.cholesky(np.cov(a.T))).T  # covariance I, exactly
    b = white * scale @ turn + shift
    want = (shift**2).sum() + ((1 - scale) ** 2).sum()  # (I, S): sum (1 - sqrt s)^2
    assert evaluation.frechet(white, b) == pytest.approx(want, rel=1e-9)
    assert evaluation.frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_manifold_equals_brute_force() -> None:
    rng = np.random.default_rng(1)
    data, samples, k = rng.standard_normal((60, 4)), 1.3 * rng.standard_normal((40, 4)) + 0.5, 3
    far = lambda p, q: np.linalg.norm(p[:, None] - q[None], axis=2)  # noqa: E731
    r, s = np.sort(far(data, data), 1)[:, k], np.sort(far(samples, samples), 1)[:, k]
    between = far(data, samples)
    got = evaluation.manifold(data, samples, k)
    assert got["precision"] == (between < r[:, None]).any(0).mean()
    assert got["recall"] == (between < s[None]).any(1).mean()
    assert got["density"] == pytest.approx((between < r[:, None]).sum(0).mean() / k)
    assert got["coverage"] == (between.min(1) < r).mean()
    with pytest.raises(brenier.InvalidArgumentError, match="k: want 1 or more"):
        evaluation.manifold(data, samples, 40)


@pytest.mark.parametrize(
    ("n", "m", "d", "k", "printed"),
    [
        (300, 250, 8, 1, [0.544, 0.6066666666666667, 0.72, 0.36]),
        (300, 250, 8, 5, [0.852, 0.9333333333333333, 0.7416, 0.8566666666666667]),
        (300, 250, 8, 10, [0.912, 0.9766666666666667, 0.7084, 0.9733333333333334]),
        (400, 500, 1000, 5, [0.626, 0.6325, 0.9892, 0.99]),
    ],
)
def test_manifold_equals_the_prdc_package(n: int, m: int, d: int, k: int, printed: list[float]) -> None:
    """What prdc 0.2, the authors' package, printed for these arrays; NumPy keeps RandomState's stream."""
    random = np.random.RandomState(7)
    data = random.standard_normal((n, d))
    samples = random.standard_normal((m, d))
    if d == 8:
        samples = 1.1 * samples + 0.3
    got = evaluation.manifold(data, samples, k)
    names = ("precision", "recall", "density", "coverage")
    assert [got[name] for name in names] == pytest.approx(printed, rel=1e-12)


def test_novelty() -> None:
    rng = np.random.default_rng(2)
    training, new = rng.standard_normal((500, 3)), rng.standard_normal((400, 3))
    copied = evaluation.novelty(training, training[:100], new)
    assert copied["copies"] == 1 and copied["closer"] == 1 and copied["farther"] == 0
    fresh = evaluation.novelty(training, rng.standard_normal((400, 3)), new)
    assert fresh["copies"] == 0
    assert abs(fresh["closer"] - 0.05) < 4 * fresh["closer_error"]
    assert abs(fresh["farther"] - 0.5) < 4 * fresh["farther_error"]


def test_modes() -> None:
    got = evaluation.modes([0, 0, 1, 1], [0, 0, 0, 1])
    assert got["covered"] == got["modes"] == 2
    assert got["kl"] == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert evaluation.modes([0, 1], [2])["kl"] == np.inf
    centres = np.array([[0.0, 0], [10, 0]])
    got = evaluation.mixture([[0.1, 0], [0, 0.2], [5, 0]], centres, 0.1)
    assert got["high_quality"] == pytest.approx(2 / 3) and got["covered"] == 1
    assert got["kl"] == pytest.approx(np.log(2))


def test_masses_and_transport_on_the_line() -> None:
    points = np.linspace(-2, 2, 20, dtype=np.float32)[:, None]
    with brenier.fit(points, progress=False, device="cpu").model as model:
        got = evaluation.masses(model)
        assert abs(got["chi2"]) < 5 * got["chi2_error"] and got["empty"] == 0
        # On the line W2 is that of sorted samples.
        moved = evaluation.transport(model, 4000, mode="simplex", theta=1.0)
        codes = np.sort(model.codes(4000, mode="simplex", theta=1.0)[:, 0])
        own = np.sort(model.codes(4000, mode="cell")[:, 0])
        w2 = np.sqrt(((codes - own) ** 2).mean())
        assert moved["w2_lower"] <= w2 + 1e-6 and w2 <= moved["w2_upper"] + 1e-6
        assert evaluation.transport(model, 1000, mode="cell")["w2_upper"] == 0


def test_singular_set_of_two_points() -> None:
    points = np.array([[1.0, 0], [-1, 0]], np.float32)  # their normals are at a right angle
    with brenier.fit(points, progress=False, device="cpu").model as model:
        assert evaluation.singular_set(model, 1.57, 1000)["alone"] == 1
        assert evaluation.singular_set(model, 1.58, 1000)["touched"] == 0


SIDE = 4
GREY = np.random.default_rng(5).integers(0, 256, (60, SIDE, SIDE), np.uint8)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A model of images [1, 4, 4] in [-1, 1]: the code, clamped."""
    d, shape = SIDE * SIDE, {"shape": [0, 1, SIDE, SIDE]}
    nodes = [
        {"name": "clamp", "op": "Clip", "inputs": ["z"], "output": "c", "attributes": {"min": -1, "max": 1}},
        {"name": "image", "op": "Reshape", "inputs": ["c"], "output": "i", "attributes": shape},
    ]  # fmt: skip
    points = np.random.default_rng(6).uniform(-1, 1, (60, d)).astype(np.float32)
    return modelfile.write(
        tmp_path_factory.mktemp("grey") / "model.safetensors",
        {"ot.points": points, "ot.heights": (-(points**2).sum(1) / 2).astype(np.float32)},
        {
            "graph": {"input": {"name": "z", "shape": [d]}, "output": "i", "nodes": nodes},
            "output": {"range": [-1, 1], "channels": 1, "height": SIDE, "width": SIDE},
        },
    )


def idx(array: Any) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()
    )


def in_files(folder: pathlib.Path) -> dict[str, str]:
    """The same images in every kind of file."""
    (folder / "images.gz").write_bytes(gzip.compress(idx(GREY)))
    np.savez(folder / "d.npz", images=GREY[..., None], labels=np.arange(60) % 3)
    np.save(folder / "floats.npy", (GREY / 127.5 - 1).astype(np.float32)[:, None])
    kinds = {"idx": "images.gz", "npz": "d.npz", "floats": "floats.npy"}
    return {kind: str(folder / name) for kind, name in kinds.items()}


def test_data_is_the_same_from_every_kind_of_file(grey: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with brenier.load(grey, device="cpu") as model:
        want = brenier.evaluate(
            model, (GREY / 127.5 - 1).astype(np.float32)[:, None], samples=300, mode="cell"
        )
        made = model.sample(300, mode="cell").reshape(300, -1)
        rows = (GREY.reshape(60, -1) / 127.5 - 1).astype(np.float32)
        assert want.report["frechet"]["frechet"] == pytest.approx(evaluation.frechet(rows, made), rel=1e-6)
        files = in_files(tmp_path)
        for source in (GREY, *files.values()):
            got = brenier.evaluate(model, source, samples=300, mode="cell").report
            for part in ("frechet", "manifold"):
                assert got[part] == pytest.approx(want.report[part], rel=1e-5)
        both = brenier.evaluate(model, GREY, training=files["idx"], samples=300, mode="cell").report
        assert both["novelty"]["copies"] == 0 and both["novelty"]["distance_of_new"] == 0


def test_folder_of_classes(grey: pathlib.Path, tmp_path: pathlib.Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed: folders are not tested")
    for i, array in enumerate(GREY):
        (tmp_path / f"kind {i % 3}").mkdir(exist_ok=True)
        image.fromarray(array).save(tmp_path / f"kind {i % 3}" / f"{i:02}.png")
    in_order = np.concatenate([GREY[i::3] for i in range(3)])
    with brenier.load(grey, device="cpu") as model:
        got = brenier.evaluate(model, tmp_path, labels=tmp_path, samples=300, mode="cell")
        want = brenier.evaluate(model, in_order, labels=np.repeat([0, 1, 2], 20), samples=300, mode="cell")
        names = got.report["modes"]["balance"].pop("names")
        assert names == ["kind 0", "kind 1", "kind 2"] and got.report == want.report
        image.fromarray(np.repeat(np.repeat(GREY[0], 10, 0), 30, 1)[:, 40:80]).save(
            tmp_path / "kind 0" / "a.png"
        )
        bigger = brenier.evaluate(model, tmp_path, samples=10).report  # cropped and scaled
        assert bigger["manifold"].keys() == want.report["manifold"].keys()


def means(rows: Any) -> Any:
    return rows.reshape(len(rows), SIDE, -1).mean(axis=2)


def brightness(rows: Any) -> Any:
    return (rows.reshape(len(rows), -1).mean(axis=1) > 0).astype(int)


def test_networks(grey: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features and classes by functions, and saved features, against the parts called by hand."""
    rows = (GREY / 127.5 - 1).astype(np.float32)[:, None]
    (tmp_path / "its_networks.py").write_text("from test_evaluation import means\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)
    np.save(tmp_path / "saved.npy", means(rows))
    with brenier.load(grey, device="cpu") as model:
        made = model.sample(300)
        want = evaluation.compare(
            means(rows), means(made), labels=brightness(rows), sample_labels=brightness(made)
        )
        np.testing.assert_allclose(
            np.bincount(brightness(made)) / 300, want["modes"]["balance"]["samples"], rtol=1e-12
        )
        for features in (means, "its_networks:means"):
            got = brenier.evaluate(model, rows, features=features, classifier=brightness, samples=300).report
            assert {part: got[part] for part in want} == want
        scores = lambda r: np.stack([1 - brightness(r), brightness(r)], 1) * 0.5  # noqa: E731
        got = brenier.evaluate(
            model, data_features=str(tmp_path / "saved.npy"), training_features=means(rows), features=means,
            labels=brightness(rows), classifier=scores, samples=300,
        ).report  # fmt: skip
        assert got["novelty"]["distance_of_new"] == 0
        assert {part: got[part] for part in want} == want
        for wrong in (lambda r: r[:1], lambda r: r[0, 0], lambda r: "x"):
            with pytest.raises(
                brenier.InvalidArgumentError, match=r"features: want numbers \[60, f\] of 60 rows"
            ):
                brenier.evaluate(model, rows, features=wrong, samples=10)
        with pytest.raises(
            brenier.InvalidArgumentError, match=r"classifier: want whole numbers \[60\] or scores"
        ):
            brenier.evaluate(model, rows, classifier=means and (lambda r: r), samples=10)


def test_images_are_compared_as_the_encoder_sees_them(model: brenier.Model) -> None:
    rows = model.sample(60, seed=3, dtype="uint8")
    want = evaluation.compare(model.encode(rows), model.encode(model.sample(300)))
    got = brenier.evaluate(model, rows, samples=300).report
    assert got["frechet"] == pytest.approx(want["frechet"], rel=1e-5)
    assert "novelty" not in got


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"features": "no.pt"}, r"features: no\.pt: no such file, nor is it MODULE:NAME or inception"),
        ({"features": "no_module:f"}, "features: no_module:f: cannot be imported: No module named"),
        ({"classifier": "math:no"}, "classifier: math:no: cannot be imported: .* no attribute 'no'"),
        ({"features": "math:pi"}, "features: want a function or a torch module, got float"),
        ({"features": "nan"}, r"features of data: want finite \[n, f\]"),
        ({"data": np.zeros((9, 3))}, r"data: want codes of 16 numbers, got \[9, 3\]"),
        ({"data": np.zeros((9, 5, 4))}, "images: images of 5x4 pixels; want 4 by 4"),
        ({"data": np.full((9, 4, 4), 1.5)}, r"values from 1.5 to 1.5; want bytes .* floats in \[-1, 1\]"),
        ({"data": np.full((9, 16), np.inf)}, "data: want finite rows, and one at least"),
        ({"labels": [0, 1]}, r"labels: want \[60\], a label a row, got \[2\]"),
        ({"labels": np.zeros(60)}, r"labels: want \[n\] whole numbers of 0 or more, got float64"),
        ({"training": np.zeros((9, 16))}, "training: want images for images, codes for codes"),
        ({"data_features": np.zeros((9, 2))}, "data: give it or its features, not both"),
        ({"data": None, "data_features": np.zeros((9, 2))}, r"of samples: want \[n, 2\] as those of"),
        ({"data": None, "labels": [0]}, "labels: takes data to compare with"),
        ({"data": None, "data_features": [[1.0]], "classifier": means}, "classifier: takes data"),
        ({"samples": 1}, "samples: want 2 or more, got 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_evaluation(grey: pathlib.Path, arguments: dict[str, Any], text: str) -> None:
    if arguments.get("features") == "nan":
        arguments = {"features": lambda rows: means(rows) * np.nan}
    usual = {"data": GREY, "samples": 10}
    with brenier.load(grey, device="cpu") as model, pytest.raises(brenier.Error, match=text):
        brenier.evaluate(model, **{**usual, **arguments})


def test_torch_modules(grey: pathlib.Path, tmp_path: pathlib.Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: networks of it are not tested")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 2), torch.nn.BatchNorm2d(3), torch.nn.Tanh())
    net(torch.randn(50, 1, SIDE, SIDE))
    rows = (GREY / 127.5 - 1).astype(np.float32)[:, None]
    torch.jit.save(torch.jit.script(net), tmp_path / "net.pt")
    torch.jit.save(torch.jit.freeze(torch.jit.script(net.eval())), tmp_path / "frozen.pt")
    with torch.no_grad():
        features = lambda x: net(torch.from_numpy(x)).flatten(1).numpy()  # noqa: E731
        with brenier.load(grey, device="cpu") as model:
            want = evaluation.compare(features(rows), features(model.sample(300)))
            net.train()
            for source in (net, str(tmp_path / "net.pt"), tmp_path / "frozen.pt"):
                got = brenier.evaluate(model, rows, features=source, samples=300).report
                assert got["frechet"] == pytest.approx(want["frechet"], rel=1e-4)
            assert net.training
            torch.save(net.state_dict(), tmp_path / "pickled.pt")
            for source, kind, text in [
                (tmp_path / "pickled.pt", brenier.FileError, r"pickled\.pt: no module that torch\.jit"),
                (torch.nn.Linear(3, 2), brenier.InvalidArgumentError, r"on rows \[60, 1, 4, 4\]: mat1 and"),
                (torch.nn.MaxPool2d(2, return_indices=True), brenier.InvalidArgumentError, "network of one"),
            ]:  # fmt: skip
                with pytest.raises(kind, match=text):
                    brenier.evaluate(model, rows, features=source, samples=10)


def test_inception_is_where_clean_fid_has_it(
    grey: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with brenier.load(grey, device="cpu") as model:
        monkeypatch.setitem(sys.modules, "cleanfid", None)
        with pytest.raises(
            brenier.UnsupportedError, match="Inception comes with clean-fid: .*install it, or give"
        ):
            brenier.evaluate(model, GREY, features="inception")
        monkeypatch.undo()
        pytest.importorskip(
            "cleanfid.utils", reason="clean-fid is not installed: its features are not compared"
        )
        import torch
        from cleanfid import inception_torchscript, utils

        from brenier.evaluation import inception

        monkeypatch.setattr(inception, "_FOLDER", str(tmp_path))
        with pytest.raises(brenier.FileError, match="weights are not at .*, where clean-fid keeps"):
            brenier.evaluate(model, GREY, features="inception")

        class Layers(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return (
                    torch.nn.functional.adaptive_avg_pool2d(x, 26)
                    .flatten(1)
                    .repeat(1, 2)[:, :2048]
                    .contiguous()
                )

        stand_in = torch.nn.Module()
        stand_in.layers = Layers()
        torch.jit.save(torch.jit.script(stand_in), tmp_path / "inception-2015-12-05.pt")
        np.save(tmp_path / "0.npy", np.repeat(GREY[0][..., None], 3, 2))
        theirs = inception_torchscript.InceptionV3W(str(tmp_path), download=False)
        want = theirs(utils.ResizeDataset([tmp_path / "0.npy"], "clean")[0][None]).numpy()
        got = inception.inception(model.info)((GREY[:1, None] / 127.5 - 1).astype(np.float32))
        np.testing.assert_array_equal(got, want)


def test_command(
    grey: pathlib.Path, parts: Parts, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "codes.npy"
    np.save(data, parts.points)
    assert main(["eval", str(parts.path), "--data", str(data), "-n", "200", "--mode", "cell", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"masses", "transport", "singular", "frechet", "manifold", "novelty"}
    assert report["novelty"]["copies"] == 1

    files = in_files(tmp_path)
    arguments = ["eval", str(grey), "--data", f"{files['npz']}:images", "--labels", files["npz"], "-n", "100"]
    assert main(arguments) == 0
    assert "class 2                0." in capsys.readouterr().out

    features = tmp_path / "features.npy"
    np.save(features, means(GREY))
    saved = ["eval", "--data-features", str(features), "--sample-features", str(features), "--json"]
    assert main([*saved, "--training-features", str(features), "--labels", files["npz"]]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"frechet", "manifold", "novelty", "modes"}
    assert report["manifold"]["precision"] == 1 and report["modes"]["kl"] == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["m", "--labels", "x"], "--labels goes with --data or --data-features"),
        (["m", "--training", "x"], "--training goes with --data or --data-features"),
        ([], "want MODEL, or --sample-features in its place"),
        (["m", "--data-features", "x", "--sample-features", "x"], "want MODEL, or --sample-features in its"),
        (["m", "--data", "x", "--data-features", "x"], "want --data or --data-features, not both"),
        (["--data-features", "x", "--sample-features", "x", "--features", "x"], "--features goes with MODEL"),
    ],
)
def test_wrong_calls(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"brenier: eval: {text}") and error.count("\n") == 1
