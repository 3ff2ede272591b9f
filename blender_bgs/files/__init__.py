"""Files in and out: import, export, and the run folder that labels are written back to."""
