"""A piece of an endless world: python world.py MODEL > world.pgm, for a model of one channel."""

import sys

import brenier

with brenier.load(sys.argv[1]) as model:
    world = model.field([(8, 1), (1, 0.2, 1)], seed=7, channels=1, dtype="uint8")
    sys.stdout.buffer.write(b"P5 512 512 255\n" + world[-256:256, -256:256].tobytes())
