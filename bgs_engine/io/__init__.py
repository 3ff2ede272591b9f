"""Readers and writers of files. `ply` and `run_folder` need numpy and plyfile alone."""
