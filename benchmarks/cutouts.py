"""How clean the objects of made scenes are when each is cut out and seen alone.

    python benchmarks/cutouts.py [--kinds room crowded ...] [--seeds 2] [--gaussians 40000] [--objects 12] [--save]

Each object is drawn alone on grey from the 12 corners of an icosahedron, so also from below and behind, and compared
with the true object (cutouts_cases.py). All methods have the true labels. Columns, means over objects: PSNR in dB; IoU
of the silhouettes (opacity 0.5); IoU of their borders (a band of 2 % of the picture's diagonal, Cheng et al. 2021);
halo = opacity outside the true silhouette, missing = opacity that is lacking inside it, shares of its area. Scene =
PSNR in dB of all pieces together against the captured scene.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks.cutouts_cases import Case, make_case
from benchmarks.peers.cutting import halved, trimmed
from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.cutouts.trimming import Halves, trim
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.made_scenes.scene import KINDS
from bgs_engine.raster.color_frames import render_frame
from bgs_engine.raster.scene import RasterScene

RESULTS = Path(__file__).parent / "results" / "cutouts.txt"
SIZE, FOCAL = 128, 1.2  # pixels; of the picture's width
MARGIN = 1.12  # of the object's radius
GREY = (0.5, 0.5, 0.5)
BAND = 0.02  # of the picture's diagonal
MERGED = 0.6  # share of the neighbours across borders that are one Gaussian
NOWHERE = -1  # the label of what is cut off
GOLDEN = (1 + 5**0.5) / 2
CORNERS = np.array(
    [p for a in (-1, 1) for b in (-GOLDEN, GOLDEN) for p in ((0, a, b), (a, b, 0), (b, 0, a))], float
) / np.hypot(1, GOLDEN)
UP = np.array([0.0, 0.0, 1.0])
Cut = tuple[Gaussians, np.ndarray]
Picture = tuple[np.ndarray, np.ndarray]  # colour [H, W, 3], opacity [H, W]
HEAD = f"{'':32}{'PSNR':>8}{'IoU':>8}{'border':>8}{'halo':>8}{'missing':>9}{'scene':>8}{'seconds':>9}"


def plain(gaussians: Gaussians, labels: np.ndarray) -> Cut:
    """Label sets as they are."""
    return gaussians, labels


def cleaned(strength: float) -> Callable[[Gaussians, np.ndarray], Cut]:
    """Trimmed label sets, see `bgs_engine.cutouts.trimming`."""

    def method(gaussians: Gaussians, labels: np.ndarray) -> Cut:
        found = trim(gaussians, labels, strength)
        whole = np.setdiff1d(np.arange(len(gaussians)), found.rows)
        stays = np.flatnonzero(~found.gone)
        parts = [
            gaussians.take(whole),
            _shaped(gaussians.take(found.rows[stays]), found.stays, stays),
            _shaped(gaussians.take(found.rows), found.cut_off, np.arange(len(found.rows))),
        ]
        of_parts = [labels[whole], labels[found.rows[stays]], np.full(len(found.rows), NOWHERE)]
        return _together(parts), np.concatenate(of_parts)

    return method


METHODS: dict[str, Callable[[Gaussians, np.ndarray], Cut]] = {
    "plain": plain,
    "trimmed (GaussianTrimmer-like)": trimmed,
    "halved (SAGD-like)": halved,
    "ours, strength 0.25": cleaned(0.25),
    "ours, strength 0.5": cleaned(0.5),
    "ours, strength 1": cleaned(1.0),
}


def _shaped(gaussians: Gaussians, halves: Halves, rows: np.ndarray) -> Gaussians:
    return Gaussians(
        halves.means[rows], halves.quats[rows], halves.scales[rows], halves.opacities[rows], gaussians.sh,
        gaussians.valid,
    )  # fmt: skip


def _together(parts: list[Gaussians]) -> Gaussians:
    means, quats, scales, opacities, sh, valid = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("means", "quats", "scales", "opacities", "sh", "valid")
    )
    return Gaussians(means, quats, scales, opacities, sh, valid)


def cameras_around(points: np.ndarray) -> list[Camera]:
    """Twelve cameras that see all points [N, 3]."""
    center = (points.min(0) + points.max(0)) / 2
    radius = float(np.linalg.norm(points - center, axis=1).max()) * MARGIN
    distance = radius / np.sin(np.arctan(0.5 / FOCAL))
    focal, middle = FOCAL * SIZE, SIZE / 2
    poses = [look_at(center + distance * corner, center, UP) for corner in CORNERS]
    return [Camera(str(k), SIZE, SIZE, focal, focal, middle, middle, pose) for k, pose in enumerate(poses)]


def pictures(gaussians: Gaussians, cameras: list[Camera]) -> list[Picture]:
    """Colour on grey and opacity from each camera."""
    scene = RasterScene.from_gaussians(gaussians)
    return [render_frame(scene, camera, GREY)[:2] for camera in cameras]


def likeness(found: list[Picture], true: list[Picture]) -> np.ndarray:
    """PSNR, IoU, IoU of borders, halo, missing; [5], means over the pictures."""
    band = max(1, round(BAND * SIZE * 2**0.5))
    rows = []
    for (_, x), (_, y) in zip(found, true, strict=True):
        inside, truly = x >= 0.5, y >= 0.5
        edges = [mask & ~ndimage.binary_erosion(mask, iterations=band) for mask in (inside, truly)]
        area = max(1, int(truly.sum()))
        outside = ~ndimage.binary_dilation(y > 0.05)
        rows.append((_iou(inside, truly), _iou(*edges), x[outside].sum() / area, (y - x).clip(0)[truly].sum() / area))
    error = np.mean([np.mean((a - b) ** 2) for (a, _), (b, _) in zip(found, true, strict=True)])
    return np.array([_psnr(float(error)), *np.mean(rows, 0)])


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def _psnr(error: float) -> float:
    return -10 * float(np.log10(max(error, 1e-9)))


def measure(case: Case, most: int) -> dict[str, np.ndarray]:
    """Rows [objects, 7] for each method: the five columns of `likeness`, scene, seconds."""
    objects = np.random.default_rng(0).permutation(case.objects)[:most]
    seen = [(k, cameras_around(case.true.means[case.true_labels == k])) for k in objects.tolist()]
    truth = {k: pictures(case.true.take(np.flatnonzero(case.true_labels == k)), cameras) for k, cameras in seen}
    whole = pictures(case.captured, seen[0][1])
    out = {}
    for name, method in METHODS.items():
        started = time.perf_counter()
        gaussians, labels = method(case.captured, case.labels)
        seconds = time.perf_counter() - started
        together = pictures(gaussians, seen[0][1])
        error = np.mean([np.mean((a - b) ** 2) for (a, _), (b, _) in zip(together, whole, strict=True)])
        rows = []
        for k, cameras in seen:
            alone = likeness(pictures(gaussians.take(np.flatnonzero(labels == k)), cameras), truth[k])
            rows.append([*alone, _psnr(float(error)), seconds])
        out[name] = np.array(rows)
    return out


def main() -> None:
    """Measure and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=["room", "crowded", "thin", "see_through"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--gaussians", type=int, default=40_000)
    parser.add_argument("--objects", type=int, default=12, help="of each scene, drawn at random")
    parser.add_argument("--save", action="store_true", help=f"keep the table in results/{RESULTS.name}")
    options = parser.parse_args()
    lines, every = [], dict[str, list[np.ndarray]]()

    def tell(line: str) -> None:
        lines.append(line)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    tell(HEAD)
    for kind in options.kinds:
        for seed in range(1, options.seeds + 1):
            case = make_case(kind, seed, options.gaussians, MERGED)
            for name, rows in measure(case, options.objects).items():
                tell(as_line(f"{case.name}: {name}"[:32], rows))
                every.setdefault(name, []).append(rows)
    for name, measured in every.items():
        tell(as_line(name, np.concatenate(measured)))
    if options.save:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_line(name: str, rows: np.ndarray) -> str:
    """One line of the table."""
    psnr, iou, border, halo, missing, scene, seconds = rows.mean(0)
    figures = f"{psnr:8.2f}{iou:8.3f}{border:8.3f}{halo:8.2%}{missing:9.2%}{scene:8.1f}{seconds:9.1f}"
    return f"{name:<32}{figures}"


if __name__ == "__main__":
    main()
