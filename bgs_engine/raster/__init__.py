"""Rasterisers: one meaning (`semantics`), a readable reference (`reference`), and fast paths per device."""
