"""Binary Gaussian Segmentation for Blender: drop a splat, segment it, get a tree of named collections.

`logic` and parts of `engine` (`doctor`, `installing`, `job`, `locate`) are plain Python without bpy.
"""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from . import registration

    registration.unregister()
