"""File formats of masks that other programs made, one file a format.

To add a format, write a file here that declares a `FORMAT` (see `mask_format.MaskFormat`), and add it to the list in
`table.py`.
"""
