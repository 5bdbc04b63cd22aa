"""Export by way of ``torch.export``, held against what PyTorch makes of the same codes in float64."""

from __future__ import annotations

import copy
import inspect
import pathlib
from typing import Any

import numpy as np
import pytest

import brenier

torch = pytest.importorskip("torch", reason="torch is not installed: the export of programs is not tested")
if not hasattr(torch, "export"):
    pytest.skip("this PyTorch has no torch.export: programs are not tested", allow_module_level=True)

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import make_goldens  # noqa: E402  (needs torch)
from modules import Dependent, InPlace  # noqa: E402

BATCH = torch.export.Dim("n")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(1)


def program(decoder: Any, shape: tuple[int, ...], batch: int | None = None) -> Any:
    """Of any batch, or of one."""
    codes = torch.zeros(batch or 2, *shape)
    dynamic = ({0: BATCH},) if batch is None else None
    return torch.export.export(decoder.eval(), (codes,), dynamic_shapes=dynamic)


def agree(path: pathlib.Path, decoder: Any, shape: tuple[int, ...]) -> list[str]:
    """Within the contract of PyTorch in float64; gives the operators in the file."""
    z = torch.randn(5, *shape)
    with torch.no_grad():
        want = copy.deepcopy(decoder).eval().double()(z.double()).numpy()
    with brenier.load(path) as model:
        got = model.decode(z.reshape(5, -1).numpy())
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * max(np.ptp(want), 1))
        return [node["op"] for node in model.info.metadata["graph"]["nodes"]]


# ---- programs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize("case", ["dcgan", "mlp", "upsample", "nested", "shuffle"])
def test_layers(case: str, core: bool, tmp_path: pathlib.Path) -> None:
    """In ATen's operators as PyTorch calls them, and in the fewer that it makes of them."""
    decoder, shape = make_goldens.decoders()[case]
    make_goldens.randomise(decoder)
    exported = program(decoder, shape)
    if core and case == "shuffle":
        pytest.skip("core ATen has no instance normalisation, PReLU or pixel shuffle")
    if core:
        exported = exported.run_decompositions()
    brenier.export(tmp_path / "m", exported, output_range=(-1, 1))
    agree(tmp_path / "m", decoder, shape)


class Everything(nn.Module):
    """What the layers do not show."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(6, 8)), nn.Parameter(torch.randn(36))
        self.slopes = nn.PReLU(4)
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3, padding=1))
        self.register_buffer("scale", torch.rand(4, 1, 1) + 0.5, persistent=False)

    def forward(self, z: Any) -> Any:
        z = z.unsqueeze(-1).squeeze(2)
        z = z @ self.w.t()[:6] * 0.5  # arithmetic on weights is done by the exporter
        x = torch.addmm(self.v, z, self.w.repeat(1, 5)[:, :36], beta=0.5, alpha=0.1)
        x = x.view(z.size(0), 4, 3, 3)
        x = F.instance_norm(x, weight=self.scale.flatten())
        x = self.slopes(x)
        x += 1
        y = F.leaky_relu_(x * self.scale, 0.1)
        x = F.interpolate(torch.cat([x, y - x.clamp_min(0.1)], 1), scale_factor=2.0)
        x = F.pixel_shuffle(x.expand(-1, 8, 6, 6)[:, :, :], 1).clamp_max(2.5)
        a, b = F.hardswish(x), F.hardsigmoid(x)
        x = F.conv2d(F.pad(a * b, (1, 0, 0, 2)), torch.ones(4, 8, 1, 1).to(x) / 8)
        x = F.interpolate(x, size=(16, 14), mode="bilinear")
        x = F.interpolate(self.conv(x), scale_factor=3.0, mode="nearest-exact")
        x = F.silu(F.relu6(x)).permute(0, 1, 3, 2).transpose(2, 3)
        x = torch.rsub(x.to(torch.float32), 2.0, alpha=0.5)
        return torch.tanh(3 - x / 2) + torch.sigmoid(-x)


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_operators(batch: int | None, tmp_path: pathlib.Path) -> None:
    decoder = Everything()
    before = copy.deepcopy(decoder.state_dict())
    brenier.export(tmp_path / "m", program(decoder, (6,), batch), output_range=(-1, 1))
    agree(tmp_path / "m", decoder, (6,))
    for name, tensor in decoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name


class WeightInPlace(nn.Module):
    """Writes over a weight's copy."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(3, 4, 3)

    def forward(self, z: Any) -> Any:
        return self.conv(z) * self.conv.bias.clone().mul_(2).view(4, 1, 1)


@pytest.mark.parametrize("module", [InPlace, WeightInPlace])
def test_in_place_operators_are_seen_by_later_readers(module: Any, tmp_path: pathlib.Path) -> None:
    decoder = module()
    brenier.export(tmp_path / "m", program(decoder, (3, 1, 1)), output_range=(-1, 1))
    agree(tmp_path / "m", decoder, (3, 1, 1))


def test_tensors_have_the_module_s_names(tmp_path: pathlib.Path) -> None:
    decoder, shape = make_goldens.decoders()["nested"]
    brenier.export(tmp_path / "traced", decoder, output_range=(-1, 1))
    brenier.export(tmp_path / "exported", program(decoder, shape), output_range=(-1, 1))
    with brenier.load(tmp_path / "traced") as traced, brenier.load(tmp_path / "exported") as exported:
        names = [
            {
                name
                for node in model.info.metadata["graph"]["nodes"]
                for name in node["inputs"]
                if name[0] == "d"
            }
            for model in (traced, exported)
        ]
    assert names[0] == names[1] and "decoder.0.1.0.running_var" in names[0]


def test_files(tmp_path: pathlib.Path) -> None:
    decoder, shape = make_goldens.decoders()["upsample"]
    path = tmp_path / "decoder.pt2"
    torch.export.save(program(decoder, shape), path)
    brenier.export(tmp_path / "m", path, output_range=(-1, 1))
    agree(tmp_path / "m", decoder, shape)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(brenier.ExportError, match="not a program that torch.export saved"):
        brenier.export(tmp_path / "m", path)
    with pytest.raises(brenier.FileError, match="could not be read"):
        brenier.export(tmp_path / "m", str(tmp_path / "none.pt2"))


def test_open_extents(tmp_path: pathlib.Path) -> None:
    decoder = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Upsample(scale_factor=2), nn.Tanh())
    sizes = ({0: BATCH, 2: torch.export.Dim("rows"), 3: torch.export.Dim("cols")},)
    exported = torch.export.export(decoder, (torch.zeros(2, 2, 4, 5),), dynamic_shapes=sizes)
    with pytest.raises(brenier.ExportError, match=r"is \[n, 2, \?, \?\]; give input_shape"):
        brenier.export(tmp_path / "m", exported)
    with pytest.raises(brenier.ExportError, match=r"input_shape: \[3, 4, 7\], but"):
        brenier.export(tmp_path / "m", exported, input_shape=(3, 4, 7))
    brenier.export(tmp_path / "m", exported, input_shape=(2, 4, 7), output_range=(-1, 1))
    agree(tmp_path / "m", decoder, (2, 4, 7))


# ---- modules that torch.fx cannot trace --------------------------------------------------------


class Pythonic(nn.Module):
    """Asks for shapes in Python, in a dictionary's order, and works on weights."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({"up": nn.ConvTranspose2d(6, 4, 4), "out": nn.Conv2d(4, 1, 3, padding=1)})

    def forward(self, z: Any) -> Any:
        assert z.shape[1] == 6
        if z.dim() == 2:
            z = z.reshape(len(z), -1, 1, 1)
        for name, part in self.parts.items():
            z = part(z)
            if z.shape[-1] < 8 and name == "up":
                z = F.interpolate(z, size=[2 * int(extent) for extent in z.shape[2:]])
        return torch.sigmoid(z)


class Weights(nn.Module):
    """torch.fx traces it, but it works on its weights, which torch.fx leaves to whoever reads the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 12))

    def forward(self, z: Any) -> Any:
        return (z @ (self.weight / self.weight.norm(dim=0)).cos()).view(-1, 3, 2, 2)


@pytest.mark.parametrize(
    ("decoder", "shape", "ops"),
    [
        (Pythonic(), (6, 1, 1), ["ConvTranspose", "Resize", "Conv", "Sigmoid"]),
        (Pythonic(), (6,), ["Reshape", "ConvTranspose", "Resize", "Conv", "Sigmoid"]),
        (Weights(), (5,), ["Gemm", "Reshape"]),
    ],
)
def test_modules(decoder: Any, shape: tuple[int, ...], ops: list[str], tmp_path: pathlib.Path) -> None:
    training = decoder.training
    arguments = {} if len(shape) == 3 else {"input_shape": shape}
    brenier.export(tmp_path / "m", decoder, output_range=(-1, 1), **arguments)
    assert agree(tmp_path / "m", decoder, shape) == ops
    assert decoder.training == training


def test_half_precision(tmp_path: pathlib.Path) -> None:
    decoder = Pythonic()
    brenier.export(tmp_path / "m", copy.deepcopy(decoder).half(), input_shape=(6,))
    brenier.export(tmp_path / "single", decoder, input_shape=(6,))
    z = np.random.default_rng(1).standard_normal((4, 6), np.float32)
    with brenier.load(tmp_path / "m") as half, brenier.load(tmp_path / "single") as single:
        np.testing.assert_allclose(half.decode(z), single.decode(z), atol=3e-3)


# ---- what is refused ---------------------------------------------------------------------------


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(4, 16), nn.Softmax(1))
        self.shuffle = nn.PixelUnshuffle(2)

    def forward(self, z: Any) -> Any:
        x = self.shuffle(self.head(z).view(-1, 4, 2, 2))
        return x.roll(1).mean()


def test_every_fault_is_listed_with_its_place(tmp_path: pathlib.Path) -> None:
    with pytest.raises(brenier.ExportError) as error:
        brenier.export(tmp_path / "m", program(Unsupported(), (4,)))
    places = [fault.split(":")[0] for fault in error.value.faults]
    assert [place.partition(" in ")[0].rstrip(")") for place in places] == [
        "head.1 (softmax",
        "shuffle (pixel_unshuffle",
        "roll (roll",
        "mean (mean",
    ]
    assert list(tmp_path.iterdir()) == []


class Branch(nn.Module):
    def forward(self, z: Any) -> Any:
        return torch.cond(z.sum() > 0, torch.tanh, torch.sigmoid, (z,))


class Random(nn.Module):
    def forward(self, z: Any) -> Any:
        return z + torch.randn(1, 2, 2)


class OfTheBatch(nn.Module):
    def forward(self, z: Any) -> Any:
        return z + torch.zeros(z.shape[0], 1, 2, 2)


class Two(nn.Module):
    def forward(self, z: Any, y: Any = None) -> Any:
        return (z, z.neg()) if y is None else z + y


class Cut(nn.Module):
    def forward(self, z: Any) -> Any:
        return z[:, :, 1:]


class Constant(nn.Module):
    def forward(self, z: Any) -> Any:
        return torch.ones(1, 1, 2, 2)


class Mixed(nn.Module):
    def forward(self, z: Any) -> Any:
        return z.reshape(1, -1, 2, 2)


TRAINED = nn.Sequential(nn.ConvTranspose2d(1, 2, 2), nn.BatchNorm2d(2), nn.Dropout(0.5))


@pytest.mark.parametrize(
    ("decoder", "text"),
    [
        (Branch(), "cond"),
        (Random(), "is random"),
        (OfTheBatch(), "a tensor of it"),
        (Two(), "returns 2 values"),
        (Cut(), "a slice 1:"),
        (Constant(), "does not depend on its input"),
        (Mixed(), "mixes samples"),
    ],
)
def test_programs_that_cannot_be_exported(decoder: Any, text: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(brenier.ExportError) as error:
        brenier.export(tmp_path / "m", program(decoder, (1, 2, 2)))
    assert text in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_programs_in_training_mode(tmp_path: pathlib.Path) -> None:
    with pytest.raises(brenier.ExportError) as error:
        brenier.export(tmp_path / "m", torch.export.export(TRAINED.train(), (torch.zeros(2, 1, 2, 2),)))
    assert "running ones" in error.value.faults[0] and error.value.faults[0].startswith("1 (batch_norm")
    dropout = nn.Sequential(nn.ConvTranspose2d(1, 2, 2), nn.Dropout(0.5))
    with pytest.raises(brenier.ExportError, match="in training mode"):
        brenier.export(tmp_path / "m", torch.export.export(dropout, (torch.zeros(2, 1, 2, 2),)))


def test_programs_of_other_inputs(tmp_path: pathlib.Path) -> None:
    two = torch.export.export(Two(), (torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)))
    with pytest.raises(brenier.ExportError, match="takes 2 inputs"):
        brenier.export(tmp_path / "m", two)
    whole = torch.export.export(Cut(), (torch.zeros(2, 1, 2, 2, dtype=torch.int64),))
    with pytest.raises(brenier.ExportError, match="want floating-point"):
        brenier.export(tmp_path / "m", whole)


def test_modules_that_depend_on_values(tmp_path: pathlib.Path) -> None:
    with pytest.raises(brenier.ExportError) as error:
        brenier.export(tmp_path / "m", Dependent(), input_shape=(1, 2, 2))
    assert "cannot be traced by torch.fx" in str(error.value) and "by torch.export" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_the_table_has_no_operator_that_aten_does_not() -> None:
    from brenier.exporter import aten, functional

    own = set(aten.ATEN) - set(functional.FUNCTIONS)
    assert own and all(hasattr(torch.ops.aten, name) for name in own)
    # Where the names agree, so does the order of the arguments.
    for name in ("convolution", "batch_norm", "native_batch_norm", "group_norm", "instance_norm"):
        theirs = [a.name for a in getattr(torch.ops.aten, name).default._schema.arguments]
        ours = list(inspect.signature(aten.ATEN[name]).parameters)[2:]
        assert ours == theirs, name
