"""The log of a job: a file of limited size, and the last lines for Copy Details. Any thread may use it."""

import contextlib
import threading
import time
from collections import deque
from pathlib import Path

KEPT_LINES = 200  # lines that Copy Details copies
LONGEST_KEPT = 2000  # characters of such a line
LARGEST_LOG = 20_000_000  # characters; an engine that floods its output must not fill the disk
FLUSH_SECONDS = 0.5


class JobLog:
    """Writes lines to a file. What does not fit is counted, and the last lines are added at the end.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8", errors="replace")
        self._lock = threading.Lock()
        self._last: deque[str] = deque(maxlen=KEPT_LINES)
        self._room = LARGEST_LOG
        self._left_out = 0
        self._flushed = 0.0

    def write(self, line: str, *, keep: bool) -> None:
        """Add a line. `keep`: also among the last lines. A full disk does not disturb the job."""
        with self._lock:
            if keep:
                self._last.append(line[:LONGEST_KEPT])
            if self._file.closed:
                return
            if len(line) >= self._room:
                self._room = 0
                self._left_out += 1
                return
            self._room -= len(line) + 1
            with contextlib.suppress(OSError):
                self._file.write(line + "\n")
                if time.monotonic() - self._flushed > FLUSH_SECONDS:
                    self._file.flush()
                    self._flushed = time.monotonic()

    def last_lines(self) -> list[str]:
        """The last lines that were kept."""
        with self._lock:
            return list(self._last)

    def close(self) -> None:
        """Finish the file."""
        with self._lock, contextlib.suppress(OSError):
            if self._left_out and not self._file.closed:
                self._file.write(f"... {self._left_out:,} more lines were left out. The last ones:\n")
                self._file.writelines(f"{line}\n" for line in self._last)
            self._file.close()
