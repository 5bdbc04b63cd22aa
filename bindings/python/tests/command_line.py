"""The command line that was built beside the library, for tests that hold the two together."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

_COMMAND = os.environ.get("BRENIER_COMMAND", "")

needed = pytest.mark.skipif(not _COMMAND, reason="BRENIER_COMMAND does not name brenier's command line")


def run(folder: pathlib.Path, *arguments: str) -> None:
    """Runs a command in a folder; it must succeed."""
    done = subprocess.run([_COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
