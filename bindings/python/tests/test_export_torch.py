"""Export of torch modules, held against what PyTorch makes of the same codes."""

from __future__ import annotations

import inspect
import pathlib
from typing import Any

import numpy as np
import pytest

import brenier
import modelfile
from brenier.exporter.functional import FUNCTIONS
from brenier.exporter.layers import LAYERS

torch = pytest.importorskip("torch", reason="torch is not installed: the export of modules is not tested")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import make_goldens  # noqa: E402  (needs torch)
from modules import Dependent, InPlace  # noqa: E402


def exported(tmp_path: pathlib.Path, decoder: Any, shape: tuple[int, ...], **arguments: Any) -> list[str]:
    """Exports, compares with PyTorch in float64, and gives the operators in the file."""
    path = tmp_path / "model.safetensors"
    brenier.export(path, decoder, output_range=(-1, 1), **arguments)
    z = torch.randn(5, *shape)
    training = decoder.training
    decoder.eval()
    with torch.no_grad():
        want = decoder.double()(z.double()).numpy()
    decoder.float().train(training)
    with brenier.load(path) as model:
        np.testing.assert_allclose(model.decode(z.reshape(5, -1).numpy()), want, rtol=1e-5, atol=2e-5)
        return [node["op"] for node in model.info.metadata["graph"]["nodes"]]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(1)


@pytest.mark.parametrize("case", ["dcgan", "mlp", "upsample", "nested", "shuffle"])
def test_sequential(case: str, tmp_path: pathlib.Path) -> None:
    decoder, shape = make_goldens.decoders()[case]
    make_goldens.randomise(decoder)
    exported(tmp_path, decoder, shape)
    layers = tmp_path / "layers"
    brenier.export(layers, decoder.state_dict(), layers=str(decoder), output_range=(-1, 1))
    assert layers.read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_instance_norm_by_running_statistics(tmp_path: pathlib.Path) -> None:
    norm = nn.InstanceNorm2d(3, affine=True, track_running_stats=True)
    decoder = nn.Sequential(nn.ConvTranspose2d(4, 3, 3), norm)
    make_goldens.randomise(decoder)
    assert exported(tmp_path, decoder, (4, 1, 1)) == ["ConvTranspose", "BatchNormalization"]


class Block(nn.Module):
    """TAESD's: three convolutions and a skip."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, out, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1),
        )
        self.skip = nn.Conv2d(channels, out, 1, bias=False) if channels != out else nn.Identity()
        self.fuse = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.fuse(self.conv(x) + self.skip(x))


class Decoder(nn.Module):
    """Every way to write things that the tests could think of."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4 * 3 * 3)
        self.blocks = nn.ModuleList([Block(4, 4), Block(4, 6)])
        self.norm = nn.GroupNorm(3, 6)
        self.bn = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(12, 6, 4, 2, 1)
        self.scale = nn.Parameter(torch.randn(6, 1, 1))
        self.register_buffer("offset", torch.randn(1, 6, 1, 1))
        # A parametrisation since PyTorch 2.0; before that, the one that is kept to this day.
        weight_norm = getattr(nn.utils.parametrizations, "weight_norm", nn.utils.weight_norm)
        self.out = weight_norm(nn.Conv2d(6, 2, 3, padding="same"))

    def forward(self, z: Any) -> Any:
        z = torch.tanh(z / 3) * 3
        x = self.fc(z).view(z.size(0), -1, 3, 3)
        for block in self.blocks:
            x = block(x)
        a, b = F.silu(self.norm(x)), F.leaky_relu(self.bn(x), 0.3)
        x = torch.cat([a, b], dim=1)
        x = self.up(x)
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = x * self.scale + self.offset
        x = 1 - x.clamp(-2, max=2.5)
        x = F.dropout(x, 0.5, self.training)
        x -= 0.25
        height = x.shape[2]
        x = F.interpolate(x, size=(height + 1, x.shape[-1] * 2))
        return torch.sigmoid(self.out(F.relu6(x))) * 2.0 - 1.0


def test_a_module_with_branches(tmp_path: pathlib.Path) -> None:
    decoder = Decoder()
    make_goldens.randomise(decoder)
    ops = set(exported(tmp_path, decoder, (8,)))
    assert ops == {
        "Gemm", "Reshape", "Conv", "Relu", "Add", "GroupNormalization", "Silu", "BatchNormalization",
        "LeakyRelu", "Concat", "ConvTranspose", "Resize", "Mul", "Clip", "Sigmoid", "Tanh",
    }  # fmt: skip
    assert decoder.training and decoder.bn.training
    assert decoder.bn.num_batches_tracked == 0


class Functional(nn.Module):
    """Weights in the author's own hands, and shapes by every idiom."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.b1 = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.randn(6))
        self.w2 = nn.Parameter(torch.randn(6, 4, 3, 3))
        self.w3, self.b3 = nn.Parameter(torch.randn(2, 4, 2, 2)), nn.Parameter(torch.randn(2))
        self.register_buffer("mean", torch.randn(4))
        self.register_buffer("var", torch.rand(4) + 0.5)

    def forward(self, z: Any) -> Any:
        x = F.linear(z, self.w1, self.b1)[:, :, None, None]
        x = F.conv_transpose2d(x, self.w2, stride=2)
        x = F.batch_norm(x, self.mean, self.var, eps=1e-3)
        x = F.group_norm(x * 0.01, 2)  # small enough for epsilon to matter
        x = F.conv2d(x, self.w3, self.b3, padding=1, stride=1)
        x = torch.flatten(x, 1).unflatten(1, (2, -1))
        x = (
            x.reshape(-1, 2, 4, 4)
            .flatten(2, 3)
            .unsqueeze(-1)
            .squeeze(3)
            .view(len_of(x), 2, 4, 4)
            .contiguous()
        )
        return F.hardtanh(-x, -0.5, 0.75)


def len_of(x: Any) -> Any:
    return x.shape[0]


def test_functional_forms(tmp_path: pathlib.Path) -> None:
    decoder = Functional()
    with pytest.raises(brenier.ExportError, match="input_shape"):
        brenier.export(tmp_path / "m", decoder)
    exported(tmp_path, decoder, (4,), input_shape=(4,))


def test_in_place_operators_are_seen_by_later_readers(tmp_path: pathlib.Path) -> None:
    exported(tmp_path, InPlace(), (3, 1, 1))


def test_shared_weights_are_kept_once(tmp_path: pathlib.Path) -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    exported(tmp_path, nn.Sequential(nn.ConvTranspose2d(3, 3, 4), conv, nn.ReLU(), conv), (3, 1, 1))
    assert len(modelfile.read(tmp_path / "model.safetensors")[0]) == 4


def test_what_is_computed_and_not_used_is_left_out(tmp_path: pathlib.Path) -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.ConvTranspose2d(3, 1, 4), nn.ConvTranspose2d(3, 1, 5)

        def forward(self, z: Any) -> Any:
            self.b(z)
            return self.a(z)

    assert exported(tmp_path, Unused(), (3, 1, 1)) == ["ConvTranspose"]
    assert set(modelfile.read(tmp_path / "model.safetensors")[0]) == {"decoder.a.weight", "decoder.a.bias"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions(dtype: str, tmp_path: pathlib.Path) -> None:
    decoder = nn.Sequential(nn.ConvTranspose2d(4, 2, 5), nn.Tanh()).to(getattr(torch, dtype))
    brenier.export(
        tmp_path / "m", decoder, output_range=(-1, 1), weights="float16" if dtype != "float64" else "float32"
    )
    z = torch.randn(2, 4, 1, 1)
    with brenier.load(tmp_path / "m") as model, torch.no_grad():
        want = decoder.double()(z.double()).numpy()
        np.testing.assert_allclose(
            model.decode(z.reshape(2, 4).numpy()), want, atol=2e-5 if dtype != "bfloat16" else 2e-3
        )


def test_interpolation_takes_pytorch_s_rows(tmp_path: pathlib.Path) -> None:
    """Whole scales and others; the sizes are some where float32's rounding decides."""
    for have, want in [
        (3, 6),
        (7, 49),
        (5, 7),
        (9, 13),
        (2, 82),
        (6, 4),
        (4, 4),
        (13, 11),
        (14, 28),
        (41, 82),
    ]:
        resize = nn.Sequential(nn.Identity(), nn.Upsample((want, 2)))
        brenier.export(tmp_path / "m", resize, input_shape=(1, have, 1), output_range=(-1, 1))
        rows = np.arange(have, dtype=np.float32)
        theirs = resize(torch.from_numpy(rows).view(1, 1, have, 1))[0, 0, :, 0].numpy()
        with brenier.load(tmp_path / "m") as model:
            np.testing.assert_array_equal(model.decode(rows[None])[0, 0, :, 0], theirs)
    with pytest.raises(brenier.ExportError, match="chooses some by rounding"):
        brenier.export(tmp_path / "m", nn.Upsample((2, 1)), input_shape=(1, 14, 1))


# ---- what is refused ---------------------------------------------------------------------------


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 16)
        self.shuffle = nn.PixelUnshuffle(2)

    def forward(self, z: Any) -> Any:
        x = F.softmax(self.head(z), dim=1).view(-1, 4, 2, 2)
        x = self.shuffle(x)
        x = x.roll(1)
        return x.mean()


def test_every_fault_is_listed_with_its_place(tmp_path: pathlib.Path) -> None:
    with pytest.raises(brenier.ExportError) as error:
        brenier.export(tmp_path / "m", Unsupported())
    faults = error.value.faults
    assert [fault.split()[0] for fault in faults] == ["softmax", "shuffle", "roll", "mean"]
    assert "(PixelUnshuffle)" in faults[1]
    assert f"in forward, {__file__}:" in faults[0]
    assert all(fault in str(error.value) for fault in faults)
    assert list(tmp_path.iterdir()) == []


class Two(nn.Module):
    def forward(self, z: Any, y: Any) -> Any:
        return z + y


class Pair(nn.Module):
    def forward(self, z: Any) -> Any:
        return z, z


class Noisy(nn.Module):
    """Lies about being a function of the code: PyTorch's own result differs from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(4, 1, 3)
        self.calls = 0

    def forward(self, z: Any) -> Any:
        self.calls += 1
        return self.conv(z) * float(self.calls)


@pytest.mark.parametrize(
    ("decoder", "arguments", "text"),
    [
        (Dependent(), {"input_shape": (1, 2, 2)}, "cannot be traced by torch.fx"),
        (Two(), {"input_shape": (1, 2, 2)}, "takes a second input, 'y'"),
        (Pair(), {"input_shape": (1, 2, 2)}, "returns tuple"),
        (Noisy(), {}, "differs from the module"),
        (nn.Sequential(nn.Linear(4, 4)), {}, "makes [4]; want images"),
        (
            nn.Sequential(nn.ConvTranspose2d(4, 3, 2), nn.BatchNorm2d(3, track_running_stats=False)),
            {},
            "running ones",
        ),
        (
            nn.Sequential(nn.ConvTranspose2d(4, 3, 2), nn.Conv2d(4, 1, 1)),
            {},
            "wants 4 channels, the input has 3",
        ),
    ],
)
def test_decoders_that_cannot_be_exported(
    decoder: Any, arguments: Any, text: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(brenier.ExportError) as error:
        brenier.export(tmp_path / "m", decoder, **arguments)
    assert text in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_without_torch_export(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "export", raising=False)
    with pytest.raises(
        brenier.ExportError, match=r"torch\.fx: .*; torch\.export comes with PyTorch 2\.1; this"
    ):
        brenier.export(tmp_path / "m", Dependent(), input_shape=(1, 2, 2))
    with pytest.raises(brenier.ExportError, match=r"torch\.export comes with PyTorch 2\.1"):
        brenier.export(tmp_path / "m", tmp_path / "decoder.pt2")
    with pytest.raises(TypeError, match="want a torch.nn.Module, .* got int"):
        brenier.export(tmp_path / "m", 3)  # type: ignore[arg-type]


def test_defaults_are_pytorch_s() -> None:
    """A layer's or function's argument that is left out means what it means to PyTorch."""
    compared = 0
    for name, ours, theirs in [
        *((kind, layer, getattr(nn, kind)) for kind, layer in LAYERS.items()),
        *((name, function, getattr(F, name, None)) for name, function in FUNCTIONS.items()),
    ]:
        if theirs is None or inspect.isbuiltin(theirs) or name in ("Identity", "dropout", "dropout2d"):
            continue
        wanted = inspect.signature(theirs).parameters
        for parameter in inspect.signature(ours).parameters.values():
            if parameter.name in wanted and parameter.default is not parameter.empty:
                assert parameter.default == wanted[parameter.name].default, (name, parameter.name)
                compared += 1
    assert compared > 60


def test_something_else_than_a_module(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TypeError, match="want a torch.nn.Module, .* or a state dict, got int"):
        brenier.export(tmp_path / "m", 3)  # type: ignore[arg-type]
