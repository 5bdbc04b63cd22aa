"""Installs the package from this tree as its users do, into a virtual environment, and tests it there.

python in_venv.py FOLDER [argument of pytest ...]
"""

import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[3]


def main(folder: str, *arguments: str) -> int:
    environment = pathlib.Path(folder).resolve()
    if not (environment / "bin" / "python").exists():
        venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[test]"], check=True)
    # From outside the tree, so that the installed package is tested and not the sources.
    tests = str(ROOT / "bindings" / "python" / "tests")
    command = [python, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), tests, *arguments]
    return subprocess.run(command, cwd=environment).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
