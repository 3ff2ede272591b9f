"""The `bgs` command, which works without a window."""
