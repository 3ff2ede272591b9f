"""The list of formats beside PLY, which `bgs_engine/io/ply.py` reads and writes."""

from bgs_engine.formats import compressed_ply, ksplat, sog, splat, spz, usd
from bgs_engine.formats.format import Format
from bgs_engine.formats.gltf import GLB, GLTF

FORMATS: tuple[Format, ...] = (
    compressed_ply.FORMAT,
    splat.FORMAT,
    ksplat.FORMAT,
    spz.FORMAT,
    spz.FORMAT_4,
    sog.FORMAT,
    sog.FORMAT_FOLDER,
    GLB,
    GLTF,
    usd.FORMAT,
)
