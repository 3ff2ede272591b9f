"""Binary Gaussian Segmentation for Blender: drop a splat, segment it, get a tree of named collections.

Only `registration` and what it names touch bpy; `logic`, `job`, `engine` and `installer` are plain Python.
"""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from . import registration

    registration.unregister()
