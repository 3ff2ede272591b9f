"""Reading the splat of a run."""

from dataclasses import dataclass
from pathlib import Path

from bgs_engine.core.events import Reporter
from bgs_engine.formats.read import open_rows
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.ply import SplatPly
from bgs_engine.raster.scene import RasterScene


@dataclass(frozen=True)
class Scene:
    """A splat in the three forms that the stages need: the file, its Gaussians, and those prepared for rasterising."""

    ply: SplatPly
    gaussians: Gaussians
    raster: RasterScene


def load_scene(path: Path, reporter: Reporter) -> Scene:
    """Read a splat of any format. Warns of Gaussians that are left out, and of values that look wrong.

    Raises:
        InputError: the file cannot be read or is no splat.
        EnvironmentLacksError: its format needs a package that is missing.
    """
    reporter.stage("Reading scene")
    ply = open_rows(path)
    gaussians = load_gaussians(ply)
    broken = int((~gaussians.valid).sum())
    if broken:
        reporter.warning(f"{broken:,} Gaussians have non-finite values; they take no part and get code 0.")
    for sentence in gaussians.oddities:
        reporter.warning(sentence)
    reporter.metric("gaussians", len(gaussians))
    return Scene(ply, gaussians, RasterScene.from_gaussians(gaussians))
