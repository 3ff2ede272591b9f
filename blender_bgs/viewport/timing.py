"""Measures the time in calls to the graphics driver, so that it can be subtracted from Python's own time.

A software driver renders inside these calls.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

driver_seconds = 0.0  # seconds in the driver since this was last set to 0


@contextmanager
def in_driver() -> Iterator[None]:
    """A context that adds its duration to `driver_seconds`."""
    global driver_seconds
    started = time.perf_counter()
    yield
    driver_seconds += time.perf_counter() - started
