"""The engine beside Blender: install it, find it, run a job, bring its answer back to the cloud."""
