"""A grid of images out of noise, as a PGM (grey) or PPM (colour) file:

python generate.py MODEL OUTPUT [SEED]
"""

import sys

import brenier

with brenier.load(sys.argv[1]) as model:
    images = model.sample(64, seed=int(sys.argv[3]) if len(sys.argv) > 3 else 0, dtype="uint8", layout="NHWC")
n, height, width, channels = images.shape
grid = images.reshape(8, 8, height, width, channels).swapaxes(1, 2)  # [row, y, column, x, channel]
with open(sys.argv[2], "wb") as file:
    file.write(f"P{5 if channels == 1 else 6} {8 * width} {8 * height} 255\n".encode() + grid.tobytes())
