"""`bgs export --proxies`: a closed mesh beside the PLY of each label."""

from pathlib import Path

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.cutouts.proxy import ProxyConfig, proxy_of
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.mesh_ply import write_mesh_ply
from bgs_engine.io.ply import SplatPly

SUFFIX = "_proxy.ply"


class ProxyWriter:
    """Writes the proxies of labels of one splat. Labels without a surface are told at the end."""

    def __init__(self, ply: SplatPly, gaussians: Gaussians | None = None) -> None:
        """gaussians: those of `ply`, if their shapes are not those of the file."""
        self._gaussians = load_gaussians(ply, colors=False) if gaussians is None else gaussians
        self._config, self._without = ProxyConfig(), list[str]()

    def write(self, path: Path, rows: np.ndarray) -> None:
        """Write the proxy of the Gaussians `rows`, int [K], beside `path`, the PLY that they were written to."""
        beside = path.with_name(path.stem + SUFFIX)
        try:
            write_proxy(beside, self._gaussians.take(rows), self._config)
        except UsageError:
            self._without.append(path.stem)

    def tell(self, reporter: Reporter) -> None:
        """Warn of the labels that got no proxy."""
        if self._without:
            some = ", ".join(self._without[:5]) + (" ..." if len(self._without) > 5 else "")
            reporter.warning(f"Too thin or too transparent for a proxy: {some}.")


def write_proxy(path: Path, gaussians: Gaussians, config: ProxyConfig) -> None:
    """Write the proxy of an object in the space of its file.

    Raises:
        UsageError: see `proxy_of`.
        OutputError: the file cannot be written.
    """
    mesh = proxy_of(gaussians, config)
    far = gaussians.offset.any()
    vertices = mesh.vertices + gaussians.offset
    write_mesh_ply(path, vertices if far else vertices.astype(np.float32), mesh.faces)
