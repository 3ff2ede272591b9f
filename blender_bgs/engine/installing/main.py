"""The installer's start: `locate.install_command` writes its command line.

Blender watches it like any other job: events on standard output, log on standard error, `cancel` or the end of standard
input stops it.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bgs_engine import __version__
from bgs_engine.core.errors import ExitCode
from bgs_engine.core.events import PROTOCOL

from . import place, steps
from .commands import Cancelled, Runner, say
from .failures import CommandFailed, in_words
from .lock import Locked, read_lock
from .machine import extras_for


def main() -> int:
    """Exit codes as the engine's: 0 done, 2 usage, 4 environment lacks something, 130 cancelled."""
    parser = argparse.ArgumentParser(description="Make an environment with the segmentation engine.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("wheel")
    parser.add_argument("--lock", type=Path, required=True, help="lock file: the packages and their hashes")
    parser.add_argument("--python", default=sys.executable, help="the Python to make it from, 3.11 or newer")
    parser.add_argument("--extras", default="masks")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--untested", action="store_true", help="the newest versions, without hashes")
    options = parser.parse_args()
    started = time.monotonic()
    say("hello", protocol=PROTOCOL, version=__version__, command="install")
    folder = options.folder.absolute()
    refusal = place.why_refused(folder)
    if refusal:
        return _failed(ExitCode.USAGE, refusal, "Choose a new or empty folder.")
    earlier = place.environment_python(folder).is_file()
    try:
        with place.installing_in(folder) as environment:
            install(Runner(environment), options, read_lock(options.lock))
            place.put_into_use(folder, environment)
    except Cancelled:
        return _failed(ExitCode.CANCELLED, "Cancelled.", "")
    except BlockingIOError:
        return _failed(ExitCode.USAGE, f"Another installation runs in {folder}.", "Wait for it, or cancel it.")
    except (OSError, CommandFailed) as error:
        sentence, hint = in_words(error)
        kept = " The earlier engine is as it was." if earlier else ""
        return _failed(ExitCode.ENVIRONMENT, f"The engine could not be installed. {sentence}{kept}", hint)
    say("artifact", kind="environment", path=str(folder))
    say("done", seconds=round(time.monotonic() - started, 3))
    return int(ExitCode.DONE)


def install(runner: Runner, options: argparse.Namespace, locked: list[Locked]) -> None:
    """Make the environment of `runner`. Raises what `Runner.run` raises."""
    runner.watch()
    python = place.python_in(runner.environment)
    extras = extras_for(options.extras, options.device)
    work: list[tuple[str, Callable[[], None]]] = [
        ("making the environment", partial(steps.make_environment, runner, options.python))
    ]
    if options.untested:
        untested = partial(steps.install_untested, runner, python, options.wheel, extras, options.device)
        work.append(("installing the packages", untested))
    else:
        work.append(("installing the packages", partial(steps.install_packages, runner, python, extras, locked)))
        if extras:
            work.append(("installing torch", partial(steps.install_torch, runner, python, options.device, locked)))
    work.append(("installing the engine", partial(steps.install_engine, runner, python, options.wheel)))
    if extras != options.extras:
        work.append(("fitting the driver", partial(steps.fit_the_driver, runner, python, locked)))
    if "masks" in options.extras:
        work.append(("fetching the mask model", partial(steps.fetch_mask_model, runner, python, locked)))
    work.append(("checking", partial(steps.check, runner, python, extras)))
    for number, (name, step) in enumerate(work):
        say("stage", name=name)
        say("progress", done=number, total=len(work), eta=None)
        step()
    say("progress", done=len(work), total=len(work), eta=0)
    shutil.rmtree(runner.scratch, ignore_errors=True)


def _failed(code: ExitCode, message: str, hint: str) -> int:
    say("error", code=int(code), message=message, hint=hint)
    return int(code)
