"""`python -m bgs_engine` is the same program as `bgs`."""

import signal
import sys
from typing import NoReturn


def start() -> NoReturn:
    """Run the program.

    Until the command line is loaded there is nothing to save, and Ctrl-C ends the process without a traceback. After a
    job was cancelled, threads that are still computing are not waited for.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bgs_engine.cli import main
    from bgs_engine.cli.stopping import end_at_once
    from bgs_engine.core.errors import ExitCode

    try:
        code = main(enforce=True)
    except KeyboardInterrupt:  # in the moment between two blocks that expect it
        code = int(ExitCode.CANCELLED)
    if code == ExitCode.CANCELLED:
        end_at_once(code)
    sys.exit(code)


if __name__ == "__main__":
    start()
