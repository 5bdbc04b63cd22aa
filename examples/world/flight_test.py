"""The game flown without a person: python3 flight_test.py WORLD BRENIER MODEL.

A flight of 600 frames in a display of its own. Ground must be there in every pixel whose ray meets the
level of the sea nearer than the far level ends, every job must end once, and a view straight down
must show the heights that `brenier field` gives. That the checks can fail is checked too: without
waiting for the far level there are holes, and another seed is another world.

Exits with 77 where there is no Xvfb.
"""
import array
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import zlib

WORLD, BRENIER, MODEL = (os.path.abspath(path) for path in sys.argv[1:])
FLIGHT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flight.txt")
OCTAVES = "8,1:0.2:1"
RELIEF, SEA, SEED = 12, -0.15, 7
SIZE = 96  # of the view straight down, pixels
HEIGHT = 60  # of its camera
HALF_VIEW = math.tan(math.radians(28))


class Display:
    """An X server on a free display, gone at the end."""

    def __enter__(self):
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
            pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as number:
            name = number.readline().strip()
        if not name:
            self.server.wait()
            raise RuntimeError("Xvfb does not start")
        self.environment = dict(os.environ, DISPLAY=":" + name, LIBGL_ALWAYS_SOFTWARE="1", SDL_VIDEODRIVER="x11")
        return self

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait()

    def fly(self, stats, *arguments):
        subprocess.run(
            [WORLD, "--model", MODEL, "--device", "cpu", "--octaves", OCTAVES, "--relief", str(RELIEF), "--sea", str(SEA),
             "--levels", "4", "--detail", "1.5", "--quads", "8", "--stats", stats, *arguments],
            env=self.environment, check=True)
        with open(stats) as file:
            return json.load(file)


def check_jobs(stats):
    jobs = stats["jobs"]
    assert jobs["submitted"] == jobs["done"] + jobs["cancelled"], f"jobs were lost: {jobs}"


def read_png(path):
    """[height][width] of red: 8-bit RGB without a filter, as the game writes."""
    with open(path, "rb") as file:
        data = file.read()
    at, content = 8, b""
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "big")
        name, chunk = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        assert zlib.crc32(name + chunk) == int.from_bytes(data[at + 8 + length:at + 12 + length], "big"), name
        if name == b"IHDR":
            width, height = int.from_bytes(chunk[:4], "big"), int.from_bytes(chunk[4:8], "big")
        if name == b"IDAT":
            content += chunk
        at += 12 + length
    rows = zlib.decompress(content)
    pitch = 3 * width + 1
    assert len(rows) == pitch * height
    return [rows[y * pitch + 1:(y + 1) * pitch:3] for y in range(height)]


def field(seed, x, y, size, directory):
    """[size][size] of heights over the sea, in pixels."""
    out = os.path.join(directory, "field.raw")
    subprocess.run([BRENIER, "field", MODEL, "--device", "cpu", "--seed", str(seed), "--octaves", OCTAVES, "--offset", str(-SEA * RELIEF),
                    "--scale", str(RELIEF), "--region", f"{x},{y},{size}x{size}", "--dtype", "f32", "--out", out],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    values = array.array("f")
    with open(out, "rb") as file:
        values.frombytes(file.read())
    return [values[row * size:(row + 1) * size] for row in range(size)]


def seen(heights, origin, x, z):
    """The grey of every pixel of a view straight down from (x, HEIGHT, z), from the field alone."""
    def height(px, pz):
        u, v = px - origin[0] - 0.5, pz - origin[1] - 0.5  # a sample's centre is at its half
        i, j = int(u), int(v)
        s, t = u - i, v - j
        a, b = heights[j], heights[j + 1]
        return (a[i] * (1 - s) + a[i + 1] * s) * (1 - t) + (b[i] * (1 - s) + b[i + 1] * s) * t

    rows = []
    for row in range(SIZE):
        greys = []
        for column in range(SIZE):
            dx = ((2 * column + 1) / SIZE - 1) * HALF_VIEW
            dz = ((2 * row + 1) / SIZE - 1) * HALF_VIEW
            ground = 0.0
            for _ in range(12):  # where the ray meets the ground: the slopes are far below 1 / tan
                value = height(x + dx * (HEIGHT - ground), z + dz * (HEIGHT - ground))
                ground = max(value, 0.0)
            greys.append(min(max(0.5 + 0.25 * value / RELIEF, 0), 1) * 255)
        rows.append(greys)
    return rows


def alike(a, b):
    """The share of pixels that differ by less than 2 of 255 greys."""
    differences = [abs(p - q) for row_a, row_b in zip(a, b) for p, q in zip(row_a, row_b)]
    return sum(d < 2 for d in differences) / len(differences)


def main():
    if not shutil.which("Xvfb"):
        print("skipped: no Xvfb, which Debian has as xvfb")
        return 77
    with Display() as display, tempfile.TemporaryDirectory() as directory:
        def file(name):
            return os.path.join(directory, name)

        flown = display.fly(file("flight.json"), "--seed", str(SEED), "--size", "240x136", "--path", FLIGHT, "--frames", "600",
                            "--holes", "--hidden")
        print(f"{flown['frames']} frames by {flown['renderer']}: {flown['jobs']}, waited {flown['waits_for_far_level']} times, "
              f"{flown['hole_pixels']} pixels without ground")
        assert flown["frames"] == len(flown["frame"]) == 600
        assert flown["hole_pixels"] == 0, [f for f in flown["frame"] if f["hole_pixels"]][:3]
        check_jobs(flown)

        early = display.fly(file("early.json"), "--seed", str(SEED), "--size", "64x36", "--frames", "2", "--path", FLIGHT, "--wait", "0",
                            "--holes", "--hidden")
        assert early["hole_pixels"] > 100, "the far level was not there, and nobody saw a hole"
        check_jobs(early)

        x, z = 1000, -2000
        with open(file("down.txt"), "w") as path:
            path.write(f"0 {x} {HEIGHT} {z} 0 -90\n")
        display.fly(file("down.json"), "--seed", str(SEED), "--size", f"{SIZE}x{SIZE}", "--path", file("down.txt"), "--frames", "1",
                    "--heights", "--quads", "64", "--detail", "3", "--hidden", "--screenshot", file("down.png"))
        picture = read_png(file("down.png"))
        origin, size = (x - 48, z - 48), 96
        same = alike(picture, seen(field(SEED, *origin, size, directory), origin, x, z))
        shifted = alike(picture, seen(field(SEED, *origin, size, directory), (origin[0] + 1, origin[1]), x, z))
        other = alike(picture, seen(field(SEED + 1, *origin, size, directory), origin, x, z))
        print(f"pixels as the field of the seed has them {same:.3f}, one pixel off {shifted:.3f}, of another seed {other:.3f}")
        # Where the ground is steeper than the ray, what is in front hides what `seen` finds behind it.
        assert same > 0.85 and shifted < 0.6 and other < 0.3
    return 0


if __name__ == "__main__":
    sys.exit(main())
