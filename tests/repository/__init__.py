"""The repository itself: what is shipped, what is stated twice, what imports what. Needs no Blender."""
