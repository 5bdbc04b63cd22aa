"""The networks by the images' size: an encoder, a decoder that mirrors it, and the discriminator.

All are plain ``nn.Sequential`` of layers that a model file has.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

Pair = tuple[int, int]

_SMALLEST = 8  # no side is halved below it
_WIDEST = 256  # channels


def latent_width(height: int, width: int) -> int:
    """The codes' dimension where none is asked for: 32 up to 32 pixels, 64 up to 64, 128 beyond."""
    side = max(height, width)
    return 32 if side <= 32 else 64 if side <= 64 else 128


def pyramid(height: int, width: int) -> list[Pair]:
    """The sizes of the feature maps, the image first; each step halves both sides, rounded up.

    >>> pyramid(28, 28), pyramid(50, 64)
    ([(28, 28), (14, 14), (7, 7)], [(50, 64), (25, 32), (13, 16), (7, 8)])
    """
    sizes = [(height, width)]
    while max(sizes[-1]) > _SMALLEST:
        rows, columns = sizes[-1]
        sizes.append(((rows + 1) // 2, (columns + 1) // 2))
    return sizes


def _channels(base: int, levels: int) -> list[int]:
    """Of the halved maps, the largest first: doubled at each step, up to a limit."""
    return [min(base << level, max(_WIDEST, base)) for level in range(levels)]


def _kernel(size: Pair) -> Pair:
    """Of the strided convolution between a map and its half: with padding 1, kernel 4 joins an even
    side and its half, kernel 3 an odd one and its half rounded up, there and back."""
    rows, columns = size
    return 4 - rows % 2, 4 - columns % 2


def encoder(channels: int, height: int, width: int, latent: int, base: int) -> nn.Sequential:
    """Images ``[n, channels, height, width]`` to codes ``[n, latent]``.

    The last layer standardises each coordinate over the batch, so that noise on the codes has a scale
    that the network cannot grow out of; of the data as a whole, codes have mean 0 and variance 1.
    """
    sizes = pyramid(height, width)
    widths = _channels(base, len(sizes) - 1)
    layers: list[nn.Module] = []
    before = channels
    for level, after in enumerate(widths):
        layers.append(nn.Conv2d(before, after, _kernel(sizes[level]), stride=2, padding=1, bias=level == 0))
        if level > 0:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(0.2))
        before = after
    rows, columns = sizes[-1]
    layers += [
        nn.Flatten(),
        nn.Linear(before * rows * columns, latent, bias=False),
        nn.BatchNorm1d(latent, affine=False),
    ]
    return nn.Sequential(*layers)


def decoder(channels: int, height: int, width: int, latent: int, base: int, kind: str) -> nn.Sequential:
    """Codes ``[n, latent]`` to images ``[n, channels, height, width]`` in [0, 1].

    Parameters
    ----------
    kind : {"transpose", "upsample"}
        Transposed convolutions as in DCGAN, or nearest upsampling and 3x3 convolutions.
    """
    sizes = pyramid(height, width)
    widths = _channels(base, len(sizes) - 1)
    rows, columns = sizes[-1]
    layers: list[nn.Module] = [
        nn.Linear(latent, widths[-1] * rows * columns, bias=False),
        nn.Unflatten(1, (widths[-1], rows, columns)),
        nn.BatchNorm2d(widths[-1]),
        nn.ReLU(),
    ]
    enlarge = {"transpose": _transposed, "upsample": _upsampled}[kind]
    for level in reversed(range(len(widths))):
        last = level == 0
        after = channels if last else widths[level - 1]
        layers += enlarge(widths[level], after, sizes[level], last)
        layers += [nn.Sigmoid()] if last else [nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def _transposed(before: int, after: int, size: Pair, bias: bool) -> list[nn.Module]:
    return [nn.ConvTranspose2d(before, after, _kernel(size), stride=2, padding=1, bias=bias)]


def _upsampled(before: int, after: int, size: Pair, bias: bool) -> list[nn.Module]:
    return [nn.Upsample(size=size), nn.Conv2d(before, after, 3, padding=1, bias=bias)]


def discriminator(channels: int, height: int, width: int, base: int) -> nn.Sequential:
    """Images to scores ``[n, 1]``. Spectral norms keep it from growing steep (Miyato et al., 2018)."""
    normed: Callable[[nn.Module], nn.Module] = nn.utils.parametrizations.spectral_norm
    sizes = pyramid(height, width)
    layers: list[nn.Module] = []
    before = channels
    for size, after in zip(sizes, _channels(base, len(sizes) - 1)):
        layers += [normed(nn.Conv2d(before, after, _kernel(size), stride=2, padding=1)), nn.LeakyReLU(0.2)]
        before = after
    rows, columns = sizes[-1]
    layers += [nn.Flatten(), normed(nn.Linear(before * rows * columns, 1))]
    return nn.Sequential(*layers)
