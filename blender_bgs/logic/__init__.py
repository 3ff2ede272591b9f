"""The extension's computations in plain Python and NumPy. Nothing here imports bpy, so tests need no Blender."""
