"""Imports and exports splats, and writes changed labels to the run folder."""
