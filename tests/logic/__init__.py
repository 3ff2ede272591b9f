"""The extension's plain-Python parts, in any Python: no bpy is imported."""
