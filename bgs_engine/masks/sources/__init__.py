"""The mask sources that a user can name, one file each.

To add a source, write a file here that declares `SOURCES` (see `mask_source.MaskSource`), and add it to the list in
`table.py`. The files are light, because the command line reads them for its help text: they import libraries and
models inside `open`.
"""
