"""The same without a window: the `bgs` command."""
