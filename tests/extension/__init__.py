"""The extension in a Python with a bpy wheel."""
