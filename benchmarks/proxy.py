"""How much time of one processor the proxy of an object takes, and how near it is to the true surface.

    OMP_NUM_THREADS=1 python benchmarks/proxy.py [--save]

The objects are made solids of 100,000 Gaussians, so the truth is known. The distances are those of points on the proxy
from the true surface, in cells: 95 % of the points are nearer.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np

from bgs_engine.cutouts.proxy import ProxyConfig, proxy_of
from bgs_engine.cutouts.simplify import simplified
from bgs_engine.cutouts.solid import solid_of
from bgs_engine.cutouts.surface import surface_of
from tests.helpers.made_solids import distance_from, made_gaussians, solid

RESULTS = Path(__file__).parent / "results" / "proxy.txt"
GAUSSIANS, REPEATS, LIMIT = 100_000, 3, 3.0
SOLIDS = {"box": (solid("box", 1, 0.6, 0.8), 0.48), "sphere": (solid("sphere", 1, 1, 1), np.pi / 6)}


def measure(name: str, detail: int) -> str:
    """One line: the best processor times of the steps in seconds, and the errors."""
    primitive, volume = SOLIDS[name]
    gaussians, config = made_gaussians(primitive, GAUSSIANS), ProxyConfig(detail=detail)
    best, cell = np.full(3, np.inf), 0.0
    for _ in range(REPEATS):
        marks = [time.process_time()]
        found = solid_of(gaussians, detail)
        marks.append(time.process_time())
        assert found is not None
        cell = found.cell
        surface = surface_of(found)
        marks.append(time.process_time())
        mesh = simplified(surface, config.faces)
        marks.append(time.process_time())
        best = np.minimum(best, np.diff(marks))
    assert mesh.is_closed() and np.allclose(mesh.vertices, proxy_of(gaussians, config).vertices)
    corners = mesh.vertices[mesh.faces]
    middles = np.concatenate([corners.mean(1), *np.moveaxis(corners, 1, 0)])
    away = np.quantile(distance_from(primitive, middles), 0.95) / cell
    return (
        f"  {name:<7} detail {detail:>3}: solid {best[0]:.2f} s, surface {best[1]:.2f} s, fewer faces {best[2]:.2f} s, "
        f"together {best.sum():.2f} s; faces {len(surface.faces):,} -> {len(mesh.faces):,}; "
        f"volume {100 * (mesh.volume() / volume - 1):+.1f} %, 95 % nearer than {away:.2f} cells"
    )


def main() -> None:
    """Measure and print, and with --save keep, the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true", help=f"append to {RESULTS.name}")
    options = parser.parse_args()
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    lines = [f"{GAUSSIANS:,} Gaussians; asked: {LIMIT:g} s; Python {platform.python_version()}, "
             f"numpy {np.__version__}, {platform.machine()}, {os.cpu_count()} processors, OMP_NUM_THREADS {threads}; "
             f"load {os.getloadavg()[0]:.1f} before; best of {REPEATS}"]  # fmt: skip
    for name in SOLIDS:
        for detail in (32, 64, 96):
            lines.append(measure(name, detail))
            print(lines[-1], flush=True)
    if options.save:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n".join([*lines, ""]) + "\n")


if __name__ == "__main__":
    main()
