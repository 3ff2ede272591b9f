"""Objects that one can take away: cuts at borders, crumbs, what was behind. NumPy only, so Blender imports it too."""
