"""Finding the library, and processes. Each case is a fresh interpreter."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

import brenier
from conftest import Parts


def environment(**variables: str) -> dict[str, str]:
    """For an interpreter that is to find this package and library."""
    paths = [str(pathlib.Path(brenier.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "BRENIER_LIBRARY": str(brenier.library_path())}
    return {**os.environ, **own, **variables}


def python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_package_is_whole() -> None:
    """Typed, and with the library in it unless another one was asked for."""
    folder = pathlib.Path(brenier.__file__).parent
    assert (folder / "py.typed").exists()
    chosen = os.environ.get("BRENIER_LIBRARY")
    assert brenier.library_path() == pathlib.Path(chosen or folder / "lib" / "libbrenier.so").absolute()
    assert all(hasattr(brenier, name) for name in brenier.__all__)


def test_importing_loads_nothing() -> None:
    done = python(
        """
        import sys, brenier
        assert "torch" not in sys.modules
        print(brenier.__version__)
        """,
        BRENIER_LIBRARY="/nonexistent.so",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == brenier.__version__


LOAD = """
    import sys, brenier
    try:
        brenier.load(sys.argv[1])
    except brenier.LibraryError as error:
        assert isinstance(error, ImportError)
        print(error)
    """


def test_a_missing_library_is_named(parts: Parts) -> None:
    done = python(LOAD, str(parts.path), BRENIER_LIBRARY="/nonexistent/libbrenier.so")
    assert "/nonexistent/libbrenier.so: no such file" in done.stdout, done.stderr


def test_another_library_is_refused(parts: Parts, tmp_path: pathlib.Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("not a library")
    done = python(LOAD, str(parts.path), BRENIER_LIBRARY=str(text))
    assert str(text) in done.stdout and "tried" in done.stdout, done.stderr

    other = tmp_path / "other.so"
    compile_(other, "int nothing;")
    done = python(LOAD, str(parts.path), BRENIER_LIBRARY=str(other))
    assert "no brenier_version" in done.stdout, done.stderr

    compile_(other, "unsigned brenier_version(void) { return 2007001; }")
    done = python(LOAD, str(parts.path), BRENIER_LIBRARY=str(other))
    assert "is 2.7.1" in done.stdout, done.stderr


def compile_(path: pathlib.Path, source: str) -> None:
    try:
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-xc", "-", "-o", str(path)], input=source, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("no C compiler to make a foreign library with")


def test_the_environment_chooses_the_device(parts: Parts) -> None:
    done = python(
        """
        import os, sys, brenier
        print(brenier.load(sys.argv[1]).info.engine.threads)
        os.environ["BRENIER_THREADS"] = "4"
        print(brenier.load(sys.argv[1], device="cpu").info.engine.threads)
        """,
        str(parts.path),
        BRENIER_DEVICE="cpu",
        BRENIER_THREADS="3",
    )
    assert done.stdout.split() == ["3", "4"], done.stderr
    done = python(
        """
        import sys, brenier
        try:
            brenier.load(sys.argv[1])
        except brenier.InvalidArgumentError as error:
            print(error)
        """,
        str(parts.path),
        BRENIER_DEVICE="abacus",
    )
    assert "abacus" in done.stdout, done.stderr


def test_a_forked_child_is_told_so(parts: Parts) -> None:
    done = python(
        """
        import os, sys, brenier

        model = brenier.load(sys.argv[1], device="cpu")
        want = model.sample(3, seed=5).tobytes()
        child = os.fork()
        if child == 0:
            told = 0
            for call in (lambda: model.sample(1), lambda: brenier.load(sys.argv[1])):
                try:
                    call()
                except brenier.ForkError as error:
                    told += "spawn" in str(error)
            model.close()  # let be: the handle is the parent's
            del model
            os._exit(told)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
        assert model.sample(3, seed=5).tobytes() == want
        print("intact")
        """,
        str(parts.path),
    )
    assert done.stdout.strip() == "intact", done.stderr


def test_spawned_workers(parts: Parts, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "workers.py"
    program.write_text(
        textwrap.dedent(
            """
            import multiprocessing, sys
            import brenier

            def work(first):
                with brenier.load(sys.argv[1], device="cpu") as model:
                    return model.codes(2, seed=5, first=first).tobytes()

            if __name__ == "__main__":
                with brenier.load(sys.argv[1], device="cpu") as model:
                    want = model.codes(4, seed=5).tobytes()
                    with multiprocessing.get_context("spawn").Pool(2) as pool:
                        assert b"".join(pool.map(work, [0, 2])) == want
                    print("same")
            """
        )
    )
    # Workers import the main program by its path, so it has to be a file.
    done = subprocess.run(
        [sys.executable, str(program), str(parts.path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "same", done.stderr
