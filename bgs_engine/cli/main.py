"""Parsing, reporting and exit codes; the commands themselves are in `commands`."""

import argparse
import contextlib
import errno
import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import NoReturn

import bgs_engine
from bgs_engine.cli import commands
from bgs_engine.cli.stopping import end_at_once, stopping
from bgs_engine.cli.streams import safe_streams
from bgs_engine.core.errors import BgsError, CancelledError, EnvironmentLacksError, ExitCode, MemoryExhaustedError
from bgs_engine.core.events import PROTOCOL, Reporter, json_sink, watch_stdin
from bgs_engine.core.printable import printable
from bgs_engine.devices.choice import is_out_of_memory


def main(argv: Sequence[str] | None = None, *, enforce: bool = False) -> int:
    """Run one command; returns the process's exit code.

    Args:
        argv: the arguments; None: those of this process.
        enforce: end this process if the job does not stop in time, see `stopping`.
    """
    with safe_streams():
        return _main(argv, enforce)


def _main(argv: Sequence[str] | None, enforce: bool) -> int:
    parser = build_parser()
    arguments = parser.parse_args(argv)
    log = logging.getLogger("bgs_engine")
    log.setLevel(logging.DEBUG if arguments.debug else logging.INFO)
    with _reporter(arguments) as reporter, stopping(reporter, enforce):
        try:
            arguments.run(arguments, reporter)
            reporter.done()
            if enforce and arguments.talks:  # who hung up does not wait for threads and memory to be given back
                end_at_once(int(ExitCode.DONE))
        except (Exception, KeyboardInterrupt) as error:
            if reporter.cancelled.is_set() or isinstance(error, KeyboardInterrupt):
                # An interrupted library may say anything. The reason is that the user asked to stop.
                failure: BgsError = CancelledError()
            else:
                failure = _as_failure(error)
            if arguments.debug and type(failure) is BgsError:
                raise
            if type(failure) is BgsError:
                log.error("%s", printable(traceback.format_exc(), keep="\n"))
            elif arguments.debug:
                sys.stderr.write(printable("".join(traceback.format_exception(failure)), keep="\n"))
            reporter.error(failure)
            return int(failure.exit_code)
    return int(ExitCode.DONE)


def _as_failure(error: BaseException) -> BgsError:
    """What to tell the user about an exception. A plain `BgsError` stands for a bug."""
    if isinstance(error, BgsError):
        if _lacked_memory(error):
            return MemoryExhaustedError(error.message, "Memory ran out: close other programs, or make views smaller.")
        return error
    failure: BgsError = BgsError(
        f"The engine failed: {type(error).__name__}: {error}.",
        "This is a bug. Run again with --debug and report what it prints.",
    )
    if isinstance(error, MemoryError):
        failure = MemoryExhaustedError(
            "Memory ran out.", "Close other programs, or make views smaller and --cache-gb lower."
        )
    elif isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("bgs_engine"):
        failure = EnvironmentLacksError(
            f"The Python package {error.name} is missing.",
            "Install the engine with its extras: pip install 'bgs-engine[masks]'.",
        )
    elif isinstance(error, Exception) and is_out_of_memory(error):  # a library's own error
        failure = MemoryExhaustedError(
            f"Memory ran out: {str(error).strip().splitlines()[0].rstrip('.')}.",
            "Close other programs, make views smaller and --cache-gb lower, or use --device cpu if a card's ran out.",
        )
    failure.__cause__ = error
    return failure


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(
        prog="bgs", description="Take a 3D Gaussian splat apart: one 32-bit integer per Gaussian, coarse bits first."
    )
    parser.add_argument("--version", action="version", version=f"bgs {bgs_engine.__version__}")
    common = _Parser(add_help=False)
    common.add_argument("--events", action="store_true", help="print one JSON object a line on standard output")
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands.COMMANDS:
        sub = subparsers.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            parents=[common],
            formatter_class=_HelpFormatter,
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run, talks=command.talks)
    return parser


class _Parser(argparse.ArgumentParser):
    """Repeats wrong arguments without their control characters."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Names every default but None, for which the help text has words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


@contextlib.contextmanager
def _reporter(arguments: argparse.Namespace) -> Iterator[Reporter]:
    if arguments.events or arguments.talks:
        reporter = Reporter([json_sink(sys.stdout)])
        reporter.send("hello", protocol=PROTOCOL, version=bgs_engine.__version__, command=arguments.command)
        if not arguments.talks:
            watch_stdin(reporter)
        yield reporter
        return
    from bgs_engine.cli.terminal import terminal_sink

    with terminal_sink() as sink:
        yield Reporter([sink])


def _lacked_memory(error: BaseException) -> bool:
    """Whether a file could not be read or written because the system had no memory for it."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno == errno.ENOMEM:
            return True
        found = found.__cause__ or found.__context__
    return False
