"""Parsing, reporting and exit codes; the commands themselves are in `commands`."""

import argparse
import contextlib
import errno
import logging
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import bgs_engine
from bgs_engine.cli import commands
from bgs_engine.cli.streams import safe_streams
from bgs_engine.core.errors import BgsError, EnvironmentLacksError, ExitCode, MemoryExhaustedError
from bgs_engine.core.events import PROTOCOL, Reporter, json_sink, watch_stdin
from bgs_engine.devices.choice import is_out_of_memory


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    with safe_streams():
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    arguments = parser.parse_args(argv)
    logging.getLogger("bgs_engine").setLevel(logging.DEBUG if arguments.debug else logging.INFO)
    with _reporter(arguments) as reporter, _signals(reporter):
        try:
            arguments.run(arguments, reporter)
            reporter.done()
        except BgsError as error:
            return _fail(error, reporter, arguments.debug)
        except MemoryError as error:
            failure: BgsError = MemoryExhaustedError(
                "Memory ran out.", "Close other programs, or make views smaller and --cache-gb lower."
            )
            failure.__cause__ = error
            return _fail(failure, reporter, arguments.debug)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("bgs_engine"):
                raise
            failure = EnvironmentLacksError(
                f"The Python package {error.name} is missing.",
                "Install the engine with its extras: pip install 'bgs-engine[masks]'.",
            )
            return _fail(failure, reporter, arguments.debug)
        except KeyboardInterrupt:
            return int(ExitCode.CANCELLED)
        except Exception as error:
            if is_out_of_memory(error):
                failure = MemoryExhaustedError(
                    f"Memory ran out: {str(error).strip().splitlines()[0].rstrip('.')}.",
                    "Close other programs, make views smaller and --cache-gb lower, or use --device cpu.",
                )
                return _fail(failure, reporter, arguments.debug)
            if arguments.debug:
                raise
            bug = BgsError(
                f"The engine failed: {type(error).__name__}: {error}.",
                "This is a bug. Run again with --debug and report what it prints.",
            )
            logging.getLogger("bgs_engine").error("%s", traceback.format_exc())
            return _fail(bug, reporter, debug=False)
    return int(ExitCode.DONE)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="bgs", description="Take a 3D Gaussian splat apart: one 32-bit integer per Gaussian, coarse bits first."
    )
    parser.add_argument("--version", action="version", version=f"bgs {bgs_engine.__version__}")
    common = argparse.ArgumentParser(add_help=False)
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
        sub.set_defaults(run=command.run)
    return parser


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Names every default but None, for which the help text has words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


@contextlib.contextmanager
def _reporter(arguments: argparse.Namespace) -> Iterator[Reporter]:
    if arguments.events:
        reporter = Reporter([json_sink(sys.stdout)])
        reporter.send("hello", protocol=PROTOCOL, version=bgs_engine.__version__, command=arguments.command)
        watch_stdin(reporter)
        yield reporter
        return
    from bgs_engine.cli.terminal import terminal_sink

    with terminal_sink() as sink:
        yield Reporter([sink])


@contextlib.contextmanager
def _signals(reporter: Reporter) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops at the next step; a second one interrupts at once."""

    def stop(number: int, frame: Any) -> None:
        signal.signal(number, signal.default_int_handler)
        reporter.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, earlier, strict=True):
            signal.signal(number, handler)


def _fail(error: BgsError, reporter: Reporter, debug: bool) -> int:
    if _lacked_memory(error):
        error = MemoryExhaustedError(error.message, "Memory ran out: close other programs, or make views smaller.")
    if debug:
        traceback.print_exception(error)
    reporter.error(error)
    return int(error.exit_code)


def _lacked_memory(error: BaseException) -> bool:
    """Whether a file could not be read or written because the system had no memory for it."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno == errno.ENOMEM:
            return True
        found = found.__cause__ or found.__context__
    return False
