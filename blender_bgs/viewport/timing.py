"""Time spent in calls to the graphics driver, apart from Python's own: where software stands in for a card, the work
itself is done in these calls.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

card = 0.0  # seconds since it was last set to 0


@contextmanager
def on_the_card() -> Iterator[None]:
    """Count what happens inside."""
    global card
    started = time.perf_counter()
    yield
    card += time.perf_counter() - started
