"""Points in few dimensions, as many as asked for, written to the standard output as a .npy of float32.

python bench/fit/points.py torus 100000 | brenier fit - --tol 0.05
"""

import sys

import numpy as np


def torus(n: int, random: np.random.Generator) -> np.ndarray:
    """A torus of radii 2 and 0.7 in space, blurred by 0.05 [n,3]."""
    around, across = random.uniform(0, 2 * np.pi, (2, n))
    out = 2 + 0.7 * np.cos(across)
    points = np.stack([out * np.cos(around), out * np.sin(around), 0.7 * np.sin(across)], 1)
    return points + 0.05 * random.normal(size=points.shape)


def cube(n: int, random: np.random.Generator) -> np.ndarray:
    """Uniform in a cube of side 1 [n,3]."""
    return random.uniform(size=(n, 3))


def spiral(n: int, random: np.random.Generator) -> np.ndarray:
    """A spiral of one and a half turns in the plane, blurred by 0.05 [n,2]."""
    angle = random.uniform(1.5, 4.5, n) * np.pi
    points = np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1) / 10
    return points + 0.05 * random.normal(size=(n, 2))


SHAPES = {f.__name__: f for f in (torus, cube, spiral)}


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in SHAPES or not sys.argv[2].isdecimal():
        sys.exit(f"usage: points.py {'|'.join(SHAPES)} N")
    points = SHAPES[sys.argv[1]](int(sys.argv[2]), np.random.default_rng(1))
    np.save(sys.stdout.buffer, points.astype(np.float32))


if __name__ == "__main__":
    main()
