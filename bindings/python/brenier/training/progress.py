"""How far the work is: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 30


class Progress:
    """Writes to a stream, or nothing if it is quiet."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._terminal = self._stream.isatty()
        self._told = time.monotonic()
        self._bar = False

    def show(self, share: float, text: str) -> None:
        """Work of which a share in [0, 1] is done."""
        now = time.monotonic()
        if self._quiet or now - self._told < (0.1 if self._terminal else 10):
            return
        self._told = now
        if not self._terminal:
            self._write(f"{100 * share:3.0f} %  {text}\n")
            return
        done = max(0, min(_WIDTH, int(share * _WIDTH)))
        self._write(f"\r\x1b[K[{'#' * done}{'.' * (_WIDTH - done)}] {100 * share:3.0f} %  {text}")
        self._bar = True

    def note(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self.close()
            self._write(f"{text}\n")

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar:
            self._write("\r\x1b[K")
            self._bar = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
