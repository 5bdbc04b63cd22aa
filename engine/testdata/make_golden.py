"""Writes anew the digits of golden.safetensors: what PyTorch makes, in float64, of the networks in
examples/models/mnist.safetensors.

    python engine/testdata/make_golden.py trained.safetensors t10k-images-idx3-ubyte.gz

``trained.safetensors`` has the networks in float32: what the first command of examples/models/make.sh writes
without ``--weights f16``.

    mnist.images              eight digits that the networks have not seen, [8,1,28,28] in [0,1]
    mnist.z, mnist.x          their codes, and the images of these codes, by the networks in float32
    mnist.kept.z, .kept.x     the same of the weights that the example model keeps; .x is also of mnist.z
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import numpy as np
import torch

from brenier import datasets
from brenier.exporter import safetensors
from brenier.training import networks

HERE = pathlib.Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "models" / "mnist.safetensors"
LATENT, BASE = 64, 24  # as make.sh trains them
DTYPES = {"F16": "<f2", "F32": "<f4"}


def read(path: str | pathlib.Path) -> dict[str, Any]:
    data = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, end = (start + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[first:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def loaded(net: Any, tensors: dict[str, Any], prefix: str) -> Any:
    """The network in float64 and evaluation mode, with the weights of a model file."""
    state = net.state_dict()
    for name in state:
        if not name.endswith("num_batches_tracked"):
            state[name] = torch.from_numpy(tensors[prefix + name].astype(np.float64))
    net.load_state_dict(state)
    return net.double().eval()


@torch.no_grad()
def main() -> None:
    trained, digits = sys.argv[1:]
    images = datasets.images(digits)[:8].astype(np.float32) / 255
    golden = {name: a for name, a in read(HERE / "golden.safetensors").items() if name.startswith("terrain.")}
    golden["mnist.images"] = images
    for prefix, path in (("mnist.", trained), ("mnist.kept.", EXAMPLE)):
        tensors = read(path)
        encoder = loaded(networks.encoder(1, 28, 28, LATENT, BASE), tensors, "encoder.")
        decoder = loaded(networks.decoder(1, 28, 28, LATENT, BASE, "transpose"), tensors, "decoder.")
        for name, net, given in (("z", encoder, "mnist.images"), ("x", decoder, "mnist.z")):
            made = net(torch.from_numpy(golden[given]).double())
            golden[prefix + name] = made.numpy().astype(np.float32)
    safetensors.write(HERE / "golden.safetensors", golden, {}, check=lambda path: None)


if __name__ == "__main__":
    main()
