"""How long the stages of training steps take, for benchmarks."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class StageTimer:
    """Seconds of every stage of every timed step, by the stage's name.

    wait: called before each look at the clock, so that a device finishes what was launched.
    """

    wait: Callable[[], None] = lambda: None
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @contextlib.contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Measure the block. A block that fails is not counted."""
        self.wait()
        started = time.perf_counter()
        yield
        self.wait()
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)


def stage(timer: StageTimer | None, name: str) -> contextlib.AbstractContextManager[None]:
    """Measure the block, if there is a timer."""
    return contextlib.nullcontext() if timer is None else timer.measured(name)
