"""What a command of `bgs` is, and how it answers."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bgs_engine.cli.streams import write_answer
from bgs_engine.core.events import Reporter
from bgs_engine.core.printable import printable


@dataclass(frozen=True)
class Command:
    """One sub-command of `bgs`. talks: it reads standard input itself, and always writes events to standard output."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Reporter], None]
    talks: bool = False


def print_answer(text: str, arguments: argparse.Namespace) -> None:
    """Write an answer to standard output, or to standard error if events go to standard output."""
    write_answer(printable(text, keep="\n") + "\n", sys.stderr if arguments.events else sys.stdout)
