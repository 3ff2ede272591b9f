"""The label list, and the commands that pick, select, isolate and reassign labels."""
