"""How many steps the training takes by default, and how many at most for each view.

More than a few looks at each view only learn the faults of its masks. Blender's panel shows these numbers.
"""

STEPS = 300
STEPS_OF_VIEW = 8


def default_steps(views: int) -> int:
    """Number of steps of the default training on that many views."""
    return min(STEPS, STEPS_OF_VIEW * views)
