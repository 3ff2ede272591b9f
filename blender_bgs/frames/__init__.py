"""Render Splats: true splat pictures through the scene's camera."""
