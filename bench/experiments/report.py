"""What an experiment leaves behind: numbers as JSON, and its tables in the page beside the folder."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import time
from collections.abc import Iterable, Sequence
from typing import Any


def arguments(description: str | None, **more: dict[str, Any]) -> argparse.Namespace:
    """The command line: ``--out``, ``--threads``, and what an experiment has beside them."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--out", required=True, metavar="FOLDER", help="of results and figures")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all processors")
    for name, options in more.items():
        parser.add_argument(f"--{name}", **options)
    chosen = parser.parse_args()
    chosen.out = pathlib.Path(chosen.out)
    chosen.out.mkdir(parents=True, exist_ok=True)
    return chosen


class Log:
    """Lines with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._start, 1)

    def __call__(self, text: str) -> None:
        print(f"{self.seconds:6.0f} s  {text}", flush=True)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(out: pathlib.Path, name: str, results: dict[str, Any], tables: str) -> None:
    """Writes ``OUT/NAME.json``, and into ``OUT.md``, if there is such a page, the tables between its marks.

    The marks are comments: ``<!-- NAME -->`` and ``<!-- /NAME -->``.
    """
    (out / f"{name}.json").write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    page = out.with_suffix(".md")
    if page.exists():
        page.write_text(spliced(page.read_text(), name, tables))
    print(tables)


def spliced(page: str, name: str, text: str) -> str:
    """The page with the text between the marks of that name."""
    marks = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(marks.findall(page)) != 1:
        raise ValueError(f"the page needs the marks <!-- {name} --> and <!-- /{name} -->, once each")
    return marks.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)
