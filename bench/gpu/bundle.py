"""Gathers the folder for a GPU machine: bundle.py ROOT FOLDER --library FILE --programs FILE...

    lib/      the library under its SONAME
    bin/      the command line, the latency program, the tests
    tree/     what the tests read, where they expect it: they run in tree/<their package>
    models/   the example models
    run.py peers.py predicted.json sources.txt
"""

import argparse
import shutil
from pathlib import Path

import sources

LIMIT = 64 << 20
READ_BY_TESTS = (
    "examples/models",
    "engine/internal/cpu/testdata",
    "engine/internal/layers/testdata",
    "engine/internal/reference/testdata",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--programs", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    root, final = options.root, options.folder
    folder = final.with_name(final.name + ".new")
    shutil.rmtree(folder, ignore_errors=True)

    (folder / "lib").mkdir(parents=True)
    (folder / "bin").mkdir()
    soname = ".".join(options.library.name.split(".")[:3])  # libbrenier.so.0 of libbrenier.so.0.1.0
    shutil.copy(options.library, folder / "lib" / soname)
    for program in options.programs:
        shutil.copy(program, folder / "bin" / program.name)
        package = program.stem.replace("-", "/")
        if program.suffix == ".test":
            (folder / "tree" / package).mkdir(parents=True)
    for name in READ_BY_TESTS:
        shutil.copytree(root / name, folder / "tree" / name)
    shutil.copy(root / "go.mod", folder / "tree" / "go.mod")  # by which they know the root
    (folder / "models").symlink_to("tree/examples/models")
    here = Path(__file__).parent
    for name in ("run.py", "peers.py"):
        shutil.copy(here / name, folder / name)
    shutil.copy(root / "docs/predicted.json", folder / "predicted.json")
    (folder / "sources.txt").write_text(sources.digest(root) + "\n")

    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if size > LIMIT:
        raise SystemExit(f"{folder}: {size} bytes; want at most {LIMIT}")
    shutil.rmtree(final, ignore_errors=True)
    folder.rename(final)
    print(f"{final}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
