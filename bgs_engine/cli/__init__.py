"""The command line: `bgs COMMAND`, one module per group of commands, exit codes as in docs/reference/formats.md."""

from bgs_engine.cli.main import main

__all__ = ["main"]
