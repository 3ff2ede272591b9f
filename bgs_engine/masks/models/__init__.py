"""Mask models of the list in `core.mask_models` on this machine: where they lie, and how they are fetched."""
