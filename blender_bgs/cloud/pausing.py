"""Pauses the update functions of properties while code sets many of them."""

_paused = 0  # nesting depth of `without_updates` blocks


def is_paused() -> bool:
    """Whether update functions should do nothing."""
    return _paused > 0


class without_updates:
    """A context in which setting properties does not run their update functions.

    Code that sets many properties uses it and refreshes once at the end.
    """

    def __enter__(self) -> None:
        global _paused
        _paused += 1

    def __exit__(self, *_: object) -> None:
        global _paused
        _paused -= 1
