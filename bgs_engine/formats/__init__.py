"""Splat files of all kinds: what each holds is read into, and written from, one set of arrays (`raw_splat`).

`table.py` lists the formats. Everything that Blender needs imports NumPy alone.
"""
