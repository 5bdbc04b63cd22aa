"""The command line of the package: ``brenier COMMAND ...``, or ``python -m brenier COMMAND ...``.

It has the commands that need Python. What else ``brenier`` does is in the compiled command line, which
hands these commands to this one, and which this one hands the others to where it is on the PATH.

Exit status: 0 done, 1 failed, 2 wrongly called. Results go to standard output or to the file that
``--out`` names; progress and errors, one sentence each, go to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .commands import COMMANDS, Parser, UsageError, find
from .errors import Error

_DONE, _FAILED, _USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command and its arguments. Default: those of the process.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments:
        sys.stderr.write(_help())
        return _USAGE
    name, *rest = arguments
    if name in ("help", "-h", "-help", "--help"):
        if not rest:
            sys.stdout.write(_help())
            return _DONE
        name, rest = rest[0], ["--help"]
    command = find(name)
    if command is None:
        return _hand_on(name, arguments)
    module = command.load()
    parser = Parser(prog=f"brenier {name}", description=module.__doc__)
    module.add_arguments(parser)
    try:
        parsed = parser.parse_args(rest)
        return int(module.run(parsed))
    except UsageError as error:
        sys.stderr.write(f"brenier: {name}: {error}; brenier help {name} shows how\n")
        return _USAGE
    except (Error, OSError) as error:
        sys.stderr.write(f"brenier: {error}\n")
        return _FAILED
    except KeyboardInterrupt:
        sys.stderr.write("brenier: interrupted\n")
        return _FAILED
    except SystemExit as done:  # argparse's, after --help
        return int(done.code or _DONE)


def _help() -> str:
    lines = "".join(f"  {command.name:<8} {command.summary}\n" for command in COMMANDS)
    return (
        "brenier makes images from noise by optimal transport.\n\n"
        f"Commands of the Python package:\n{lines}\n"
        "brenier help COMMAND shows a command's flags.\n\n"
        "The other commands (sample, info, fit, ...) are in the compiled command line, which is used if it\n"
        "is on the PATH; brenier's sources build it.\n\n"
        "Exit status: 0 done, 1 failed, 2 wrongly called.\n"
    )


def _hand_on(name: str, arguments: Sequence[str]) -> int:
    """Becomes the compiled command line, or says where it is.

    That one sets BRENIER_HANDED_ON for what it starts, so that neither hands back what it was handed.
    """
    compiled = None if "BRENIER_HANDED_ON" in os.environ else _compiled()
    if compiled is not None:
        sys.stdout.flush()
        os.execv(compiled, [compiled, *arguments])
    sys.stderr.write(
        f"brenier: no command {name!r} in the Python package, and the compiled command line, which may have "
        "it, is not on the PATH; brenier help lists what there is\n"
    )
    return _USAGE


def _compiled() -> str | None:
    """The first program of this name on the PATH that is no script, as every package's own is."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder or os.curdir, "brenier")
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            continue
        try:
            with open(path, "rb") as file:
                if file.read(2) != b"#!":
                    return path
        except OSError:
            continue
    return None


if __name__ == "__main__":
    sys.exit(main())
