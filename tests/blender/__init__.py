"""The extension in the real Blender programs, inside a chroot."""
