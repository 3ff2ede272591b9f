"""Proxies: closed meshes of few faces in the place of a splat, for collisions, shadows and holdouts."""

from dataclasses import dataclass

from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.simplify import simplified
from bgs_engine.cutouts.solid import solid_of
from bgs_engine.cutouts.surface import Mesh, surface_of
from bgs_engine.io.gaussians import Gaussians


@dataclass(frozen=True, kw_only=True)
class ProxyConfig:
    """How a proxy is made.

    `detail` is the number of cells along the longest side of the object. `faces` is the number of triangles at most.
    """

    detail: int = 64
    faces: int = 2000


def proxy_of(gaussians: Gaussians, config: ProxyConfig) -> Mesh:
    """The proxy of an object, a closed mesh in the space of its Gaussians, without floaters.

    Raises:
        UsageError: the Gaussians absorb too little light to have a surface.
    """
    solid = solid_of(gaussians, config.detail)
    if solid is None:
        raise UsageError("These Gaussians are too thin or too transparent for a proxy.", "Choose a solid object.")
    return simplified(surface_of(solid), config.faces)
