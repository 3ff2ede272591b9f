"""Measures the time in calls to the graphics driver, so that it can be subtracted from Python's own time.

A software driver renders inside these calls.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

card = 0.0  # seconds in the driver since this was last set to 0


@contextmanager
def on_the_card() -> Iterator[None]:
    """A context that adds its duration to `card`."""
    global card
    started = time.perf_counter()
    yield
    card += time.perf_counter() - started
