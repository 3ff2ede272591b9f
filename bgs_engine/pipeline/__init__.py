"""Whole jobs: a dataset to a run, a bare splat to a run, the demo."""
