"""The engine's errors. Each says in plain sentences what was wrong and what to do about it.

Every failure that a user can cause ends in one of these errors. The command line turns them into its exit codes. Any
other exception is a bug and keeps its traceback.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the process. docs/reference/formats.md lists them for users."""

    DONE = 0
    BUG = 1
    USAGE = 2
    BAD_INPUT = 3
    ENVIRONMENT = 4
    OUT_OF_MEMORY = 5
    CANCELLED = 130


class BgsError(Exception):
    """Base of all errors meant for users. `message` says what was wrong, and `hint` says what to do next."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(BgsError):
    """The arguments do not make sense together."""

    exit_code = ExitCode.USAGE


class InputError(BgsError):
    """A file or folder is missing, damaged or of the wrong kind, or an output cannot be written."""

    exit_code = ExitCode.BAD_INPUT


class OutputError(InputError):
    """A file or folder cannot be written: the disk is full, damaged or read-only, or the name is too long.

    Nothing is wrong with the input. What was made so far is kept, so that the job can go on once there is room.
    """


class EnvironmentLacksError(BgsError):
    """The request needs a package, model or device that this machine does not have."""

    exit_code = ExitCode.ENVIRONMENT


class MemoryExhaustedError(BgsError):
    """Host or device memory ran out, even after the work was cut into smaller pieces."""

    exit_code = ExitCode.OUT_OF_MEMORY


class CancelledError(BgsError):
    """The user asked to stop. Everything worth keeping is on disk."""

    exit_code = ExitCode.CANCELLED

    def __init__(self, message: str = "Cancelled.", hint: str = "") -> None:
        super().__init__(message, hint)
