"""Benchmarks, run by hand; their last results are in results/."""
