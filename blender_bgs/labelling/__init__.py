"""Work on labels: pick, select, isolate, reassign."""
