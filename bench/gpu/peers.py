"""Other programs on the same shapes, for the same machine and minute: peers.py OUT.json

PyTorch's matrix product and maximum in float32 and float16, the product alone, a fused Triton kernel
of the kind that one writes first, and the decoders through torch.compile. Medians, in microseconds.
"""

import json
import os
import sys
import traceback

import torch
import triton
import triton.language as tl

# (B, N, d): the shapes of the engine's own benchmarks.
LOCATE = [
    (65536, 60000, 64),
    (65536, 60000, 128),
    (16384, 1281167, 256),
    (1, 1000000, 64),
    (1, 60000, 64),
]
ROWS = 8192  # of a piece, where the scores would not fit the memory


def median_us(run, budget_ms=400) -> float:
    return 1e3 * triton.testing.do_bench(run, warmup=50, rep=budget_ms, return_mode="median")


@triton.jit
def fused(x, y, h, best, cell, B, N, d: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    k = tl.arange(0, d)
    xs = tl.load(x + rows[:, None] * d + k[None, :], mask=rows[:, None] < B, other=0.0)
    top = tl.full((BM,), -float("inf"), tl.float32)
    at = tl.zeros((BM,), tl.int32)
    for first in range(0, N, BN):
        cells = first + tl.arange(0, BN)
        ys = tl.load(y + cells[None, :] * d + k[:, None], mask=cells[None, :] < N, other=0.0)
        s = tl.dot(xs, ys) + tl.load(h + cells, mask=cells < N, other=-float("inf"))[None, :]
        m, i = tl.max(s, 1, return_indices=True)
        at = tl.where(m > top, first + i, at)
        top = tl.maximum(top, m)
    tl.store(best + rows, top, mask=rows < B)
    tl.store(cell + rows, at, mask=rows < B)


def locate(B: int, N: int, d: int) -> dict:
    torch.manual_seed(0)
    found = {}
    x, y, h = (torch.randn(s, device="cuda") for s in ((B, d), (N, d), (N,)))
    for name, dtype in (("torch fp32", torch.float32), ("torch fp16", torch.float16)):
        a, b, c = x.to(dtype), y.to(dtype), h.to(dtype)

        def scores_then_max():
            for first in range(0, B, ROWS):
                torch.addmm(c, a[first : first + ROWS], b.T).max(1)

        found[name] = median_us(scores_then_max)
        if dtype is torch.float16:
            piece = min(B, ROWS)
            scores = torch.empty(piece, N, device="cuda", dtype=dtype)

            def product_alone():
                for first in range(0, B, piece):
                    torch.mm(a[first : first + piece], b.T, out=scores[: min(piece, B - first)])

            found["cuBLAS product alone"] = median_us(product_alone)
            best, cell = torch.empty(B, device="cuda"), torch.empty(B, device="cuda", dtype=torch.int32)
            tile = 128 if d <= 128 else 64
            grid = (triton.cdiv(B, tile),)
            found["Triton fused, inexact"] = median_us(
                lambda: fused[grid](a, b, h, best, cell, B, N, d, tile, tile, num_warps=8, num_stages=3)
            )
    return found


def transposed(ins, outs, kernel, stride, pad, normal=True):
    layers = [torch.nn.ConvTranspose2d(ins, outs, kernel, stride, pad, bias=not normal)]
    return layers + [torch.nn.BatchNorm2d(outs), torch.nn.ReLU()] if normal else layers


def decoders() -> dict:
    """The decoders that the benchmarks run, with random weights: net, dimension of the code, batches."""
    nn = torch.nn
    mnist = transposed(64, 256, 7, 1, 0) + transposed(256, 128, 4, 2, 1) + transposed(128, 1, 4, 2, 1, False)
    terrain = [nn.ConvTranspose2d(128, 512, 4), nn.BatchNorm2d(512), nn.LeakyReLU(0.2)]
    for ins, outs in ((512, 256), (256, 128), (128, 64), (64, 32)):
        terrain += [nn.Upsample(scale_factor=2), nn.Conv2d(ins, outs, 3, padding=1), nn.BatchNorm2d(outs), nn.LeakyReLU(0.2)]
    terrain += [nn.Conv2d(32, 1, 3, padding=1), nn.Tanh()]
    return {
        "mnist": (nn.Sequential(*mnist, nn.Sigmoid()), 64, (1, 4096)),
        "terrain": (nn.Sequential(*terrain), 128, (1, 1024)),
    }


def decode(keep) -> None:
    found: dict = {}
    for name, (net, latent, batches) in decoders().items():
        net = net.cuda().half().eval().to(memory_format=torch.channels_last)
        compiled = torch.compile(net, mode="max-autotune")
        for batch in batches:
            z = torch.randn(batch, latent, 1, 1, device="cuda", dtype=torch.float16)
            with torch.inference_mode():
                found[f"{name}/{batch}"] = {"torch fp16": median_us(lambda: net(z))}
                keep(found)
                found[f"{name}/{batch}"]["torch.compile"] = median_us(lambda: compiled(z))
                keep(found)


def main() -> int:
    found: dict = {"torch": torch.__version__, "triton": triton.__version__, "locate": {}}

    def keep(part: str, values: dict) -> None:  # what was measured, whatever comes after
        found[part] = values
        new = sys.argv[1] + ".new"
        with open(new, "w") as to:
            json.dump(found, to, indent=1)
        os.replace(new, sys.argv[1])

    for shape in LOCATE:
        name = "x".join(map(str, shape))
        try:
            measured = locate(*shape)
        except Exception:
            measured = {"error": traceback.format_exc(limit=3)}
        print(name, measured, flush=True)
        keep("locate", found["locate"] | {name: measured})
    try:
        decode(lambda values: keep("decode", values))
    except Exception:
        keep("decode", found.get("decode", {}) | {"error": traceback.format_exc(limit=3)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
