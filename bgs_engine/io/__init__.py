"""Files in and out. `ply` and `run_folder` need numpy and plyfile alone."""
