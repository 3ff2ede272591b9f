"""Automatic masks of every image → nested label maps."""
