"""Builds the folder for a GPU machine and runs it through the driver's double: rehearse.py CMAKE BUILD DOUBLE"""

import subprocess
import sys
from pathlib import Path


def main(cmake: str, build: str, double: str) -> int:
    subprocess.run([cmake, "--build", build, "--target", "gpu"], check=True)
    folder = Path(build) / "gpu"
    words = [sys.executable, folder / "run.py", "--out", Path(build) / "gpu-rehearsal", "--double", double]
    return subprocess.run([str(word) for word in words]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
