"""SOG, the compressed splats of PlayCanvas: versions 1 and 2 are read, 2 is written.

https://github.com/playcanvas/splat-transform. Each attribute is a lossless WebP with one pixel for each Gaussian:
positions (16 bits of sign(x) log(1 + |x|) between bounds, in two pictures), rotations (three of four components, 8 bits
each), sizes and colours (codes of a codebook, `sog_palette.py`), opacities (8 bits). Harmonics are a palette of up to
65,536 rows and a picture of row numbers. `meta.json` has bounds, codebooks and the names of the pictures. They lie in a
zip (`.sog`) or side by side. In version 1 bytes are shares between bounds, not codes.
"""

from bgs_engine.formats.format import Format
from bgs_engine.formats.sog_read import read_sog
from bgs_engine.formats.sog_write import write_sog

_LOSES = (
    "Positions are rounded to 16 bits of their logarithm, rotations to 8 bits a component, sizes and colours to 256 "
    "values, opacities to 8 bits. All Gaussians share at most 65,536 sets of harmonics. Degree 4 is left out."
)
FORMAT = Format(
    name="SOG",
    suffixes=(".sog",),
    read=read_sog,
    write=write_sog,
    needs=("PIL",),
    keeps_place=False,
    loses=_LOSES,
)
FORMAT_FOLDER = Format(name="SOG folder", suffixes=("meta.json",), read=read_sog, needs=("PIL",))
