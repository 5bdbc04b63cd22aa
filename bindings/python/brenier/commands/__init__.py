"""The commands: one module each, with ``add_arguments(parser)`` and ``run(arguments) -> int``.

A module's docstring is the text of its help. ``run`` returns the exit status; it raises
:class:`UsageError` for a wrong call and :class:`brenier.Error` for a failure.
"""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import InvalidArgumentError

__all__ = ["COMMANDS", "Command", "Parser", "UsageError", "find"]


class UsageError(InvalidArgumentError):
    """A wrong call, as against a failure."""


@dataclass(frozen=True)
class Command:
    """A command by its name. Its module is loaded when it is called, so that no command needs what
    another one imports."""

    name: str
    summary: str
    module: str

    def load(self) -> Any:
        return importlib.import_module(f".{self.module}", __package__)


COMMANDS: tuple[Command, ...] = (
    Command("train", "Make a model of images: train an autoencoder, fit its codes", "train"),
    Command("export", "Make a model of a decoder from ONNX or torch.export", "export"),
    Command("eval", "Measure what a model makes against data", "eval"),
)


def find(name: str) -> Command | None:
    """The command of that name, or None."""
    return next((command for command in COMMANDS if command.name == name), None)


class Parser(argparse.ArgumentParser):
    """argparse, with a wrong call as an exception."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)
