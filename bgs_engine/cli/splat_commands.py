"""The commands that work on splat files: convert."""

import argparse
from pathlib import Path

from bgs_engine.cli.command import Command, print_answer
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    from bgs_engine.formats.read import endings

    parser.add_argument("source", metavar="IN", type=Path, help=f"run folder, or a splat: {', '.join(endings())}")
    parser.add_argument("out", metavar="OUT", type=Path, help=f"file to write: {', '.join(endings(written=True))}")
    parser.add_argument("--run", dest="run_folder", metavar="RUN", type=Path, help="a run of IN, for its labels")
    text = "bits of each level of codes that come without a label table, such as 12,10,10 (the default)"
    parser.add_argument("--level-bits", metavar="BITS", help=text)


def _convert(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from bgs_engine.pipeline.convert import convert

    layout = BitLayout.parse(arguments.level_bits) if arguments.level_bits else None
    said = convert(arguments.source, arguments.out, reporter, arguments.run_folder, layout)
    print_answer(said, arguments)


SPLAT_COMMANDS = (
    Command("convert", "a splat or a run → a splat file of another format", _convert_arguments, _convert),
)
