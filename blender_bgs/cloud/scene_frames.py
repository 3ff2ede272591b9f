"""Goes to other frames of a scene and back."""

from collections.abc import Iterator
from contextlib import contextmanager

from .typed import SplatScene


@contextmanager
def kept_frame(scene: SplatScene) -> Iterator[None]:
    """A context in which the frame may change. The scene is back at its frame afterwards."""
    before = scene.frame_current, scene.frame_subframe
    try:
        yield
    finally:
        if (scene.frame_current, scene.frame_subframe) != before:
            scene.frame_set(before[0], subframe=before[1])


def go_to(scene: SplatScene, number: int) -> None:
    """Show a frame. Nothing happens if the scene is there."""
    if (scene.frame_current, scene.frame_subframe) != (number, 0.0):
        scene.frame_set(number)


def frame_range(scene: SplatScene) -> tuple[int, ...]:
    """The frame numbers of the scene's range."""
    return tuple(range(scene.frame_start, scene.frame_end + 1, max(1, scene.frame_step)))
