"""The engine, in its own environment."""
