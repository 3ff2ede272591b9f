"""Lets splats follow what Blender's own tools do to their points, and applies transforms."""
