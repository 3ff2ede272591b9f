"""The engine's errors: what was wrong, in a plain sentence, and what to do about it.

Everything a user can cause ends in one of these, and the command line turns them into its exit codes. Any other
exception is a bug and keeps its traceback.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns; docs/formats.md lists them for users."""

    DONE = 0
    BUG = 1
    USAGE = 2
    BAD_INPUT = 3
    ENVIRONMENT = 4
    OUT_OF_MEMORY = 5
    CANCELLED = 130


class BgsError(Exception):
    """Base of all errors meant for users: `message` says what was wrong, `hint` what to do next."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(BgsError):
    """Arguments that do not make sense together."""

    exit_code = ExitCode.USAGE


class InputError(BgsError):
    """A file or folder that is missing, damaged, or not what it should be; also an output that cannot be written."""

    exit_code = ExitCode.BAD_INPUT


class EnvironmentLacksError(BgsError):
    """A package, model or device that the request needs and this machine does not have."""

    exit_code = ExitCode.ENVIRONMENT


class MemoryExhaustedError(BgsError):
    """Host or device memory ran out even after falling back to smaller pieces."""

    exit_code = ExitCode.OUT_OF_MEMORY


class CancelledError(BgsError):
    """The user asked to stop; everything worth keeping is on disk."""

    exit_code = ExitCode.CANCELLED

    def __init__(self, message: str = "Cancelled.", hint: str = "") -> None:
        super().__init__(message, hint)
