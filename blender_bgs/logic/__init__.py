"""What the extension computes, in plain Python and NumPy: no bpy here, so tests need no Blender."""
