"""Installs the package from this tree as its users do, into a virtual environment, and tests it there.

python in_venv.py FOLDER [argument of pytest ...]
"""

import pathlib
import subprocess
import sys
import venv
from importlib.util import find_spec

ROOT = pathlib.Path(__file__).resolve().parents[3]

# PyTorch is too large to fetch for tests: that of the machine is used, where it has one.
TORCH = find_spec("torch") is not None


def main(folder: str, *arguments: str) -> int:
    environment = pathlib.Path(folder).resolve()
    if not (environment / "bin" / "python").exists():
        venv.create(environment, with_pip=True, system_site_packages=TORCH)
    python = str(environment / "bin" / "python")
    # Debian 12 has PyTorch 1.13, which does not work with a NumPy of 2.
    requirements = [f"{ROOT}[test]", *(["numpy<2"] if TORCH else [])]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    # From outside the tree, so that the installed package is tested and not the sources.
    tests = str(ROOT / "bindings" / "python" / "tests")
    command = [python, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), tests, *arguments]
    return subprocess.run(command, cwd=environment).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
