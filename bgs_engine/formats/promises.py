"""A compressed file says how large it becomes. A damaged or malicious one says too much; it is refused unread."""

from bgs_engine.core.errors import InputError

UNASKED = 256 << 20  # bytes that any file may become
MOST_RATIO = 100  # of a larger one; real splats shrink to a tenth at best


def check_promise(name: str, promised: int, stored: int) -> None:
    """Check that `stored` bytes may become `promised` bytes.

    Raises:
        InputError: no splat shrinks that much.
    """
    if promised > UNASKED and promised > MOST_RATIO * stored:
        raise InputError(
            f"{name} promises {promised:,} bytes in {stored:,}, which no splat is.", "Write or download it again."
        )
