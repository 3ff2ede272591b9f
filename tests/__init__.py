"""Tests. Each folder needs something else: see the docstring of its package."""
