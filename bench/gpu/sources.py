"""The hash of what a GPU's results depend on: the kernels and the engine's CUDA files.

    sources.py ROOT                      prints it
    sources.py ROOT --check RESULTS...   says which results were measured on other sources
"""

import hashlib
import json
import sys
from pathlib import Path

FOLDERS = {
    "kernels/cuda": (".cu", ".cuh", ".h"),
    "engine/internal/cuda": (".go",),
    "engine/internal/lower": (".go",),
}


def files(root: Path) -> list[Path]:
    """Sorted by name, without tests and without what runs kernels on the host."""
    found = []
    for folder, endings in FOLDERS.items():
        for path in (root / folder).rglob("*"):
            name = path.relative_to(root).as_posix()
            if path.suffix in endings and "_test" not in name and "/host/" not in name:
                found.append(path)
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def digest(root: Path) -> str:
    h = hashlib.sha256()
    for path in files(root):
        text = path.read_bytes()
        h.update(f"{path.relative_to(root).as_posix()} {len(text)}\n".encode())
        h.update(text)
    return h.hexdigest()


def check(root: Path, results: list[Path]) -> int:
    """0 where all results are of these sources or say themselves that they are not any more."""
    now = digest(root)
    stale = 0
    for path in results:
        result = json.loads(path.read_text())
        if result["sources"] == now:
            print(f"{path.name}: measured on these sources")
        elif result.get("superseded"):
            print(f"{path.name}: of older sources, and says so")
        else:
            print(
                f"{path.name}: measured on sources {result['sources'][:12]}, these are {now[:12]}; measure again,"
                ' or set "superseded": true in it and say so where its numbers are used'
            )
            stale += 1
    print(f"{len(results) - stale} passed, {stale} failed")
    return 1 if stale else 0


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    root = Path(arguments[0])
    if arguments[1:2] == ["--check"]:
        return check(root, [Path(path) for path in arguments[2:]])
    print(digest(root))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
