"""What generation costs a frame of examples/world.

Flies the same flight in turn without and with generation, at 60 frames a second so that jobs have the
rest, and prints the frame times of each run and how far the medians over the runs lie apart, in ms:

    python3 bench/world/frames.py --runs 5

Without a display, under xvfb-run. On a machine that draws in software, --size and --quads must leave
time over.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARES = ("p50", "p95", "p99", "max")


def fly(arguments: argparse.Namespace, *more: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder, "stats.json")
        command = [
            arguments.world, "--model", ROOT / "examples/models/terrain.safetensors",
            "--path", ROOT / "examples/world/flight.txt", "--frames", str(arguments.frames),
            "--fps", "60", "--size", arguments.size, "--quads", str(arguments.quads),
            "--levels", str(arguments.levels), "--no-overlay", "--hidden", "--stats", stats, *more,
        ]
        subprocess.run(command, check=True)
        return json.loads(stats.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", default=ROOT / "build/examples/world/world", help="the game's program")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--quads", type=int, default=8)
    parser.add_argument("--levels", type=int, default=4)
    arguments = parser.parse_args()
    kinds = {"without": ["--no-generation"], "with": []}

    times: dict[str, list] = {kind: [] for kind in kinds}
    for run in range(arguments.runs):
        for kind, more in kinds.items():
            stats = fly(arguments, *more)
            times[kind].append(stats["frame_ms"])
            figures = "  ".join(f"{share} {stats['frame_ms'][share]:5.1f}" for share in SHARES)
            print(f"run {run + 1}  {kind:7}  {figures}  jobs {stats['jobs']['done']}", flush=True)
    print("median", stats["renderer"])
    for share in SHARES:
        off, on = (statistics.median(t[share] for t in times[kind]) for kind in kinds)
        print(f"  {share:3}  without {off:5.1f}  with {on:5.1f}  difference {on - off:+.1f} ms")


if __name__ == "__main__":
    main()
