"""Render Splats: renders true splat pictures through the scene's camera."""
