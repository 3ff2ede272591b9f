"""How well crumbs are found on made scenes, where it is known what floats, and how long it takes.

    python benchmarks/crumbs.py [--seeds 3] [--trained FOLDER] [--gaussians 60000] [--save]

Labels of level 2 (objects). "true": floaters have the labels of Gaussians drawn at random. "spoilt": 1.5 % of the
Gaussians on surfaces have too. "trained": the labels of `bgs train`, for one seed; the scenes are made in the folder.
Columns, for a strength: floaters = share of the floaters that are proposed; right = share of the proposed Gaussians
that are floaters or spoilt (trained labels: that are floaters, or have another label than most of their object);
false = share of the opacity on surfaces with right labels that is proposed; strays = share of the spoilt Gaussians that
are given to a label around; given right = share of those that get their true label.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy_cases import all_cases
from bgs_engine.core.events import Reporter
from bgs_engine.cutouts.crumbs import STRAY, Crumbs, find_crumbs
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.run_folder import open_run, read_confidence
from bgs_engine.made_scenes.scene import KINDS
from bgs_engine.made_scenes.splat import make_splat
from bgs_engine.pipeline.runs import train_run
from bgs_engine.train.config import TrainConfig

RESULTS = Path(__file__).parent / "results" / "crumbs.txt"
CASES = ("room", "crowded", "thin", "see_through")
STRENGTHS = (0.25, 0.5, 0.8, 1.0)
SPOILT = 0.015
OBJECTS = 1  # column of the true labels
HEAD = f"{'':26}{'strength':>9}{'floaters':>10}{'right':>8}{'false':>9}{'strays':>8}{'given right':>13}{'seconds':>9}"


@dataclass(frozen=True)
class Labelled:
    """A splat with labels, what is known about it, and how it is called."""

    name: str
    gaussians: Gaussians
    labels: np.ndarray
    truth: np.ndarray
    spoilt: np.ndarray  # bool [N]: on a surface, with a wrong label
    confidence: np.ndarray | None = None


def made(kind: str, seed: int, count: int, spoil: float) -> Labelled:
    """A made splat with its true labels, of which a share is spoilt."""
    rng = np.random.default_rng(seed)
    splat = make_splat(KINDS[kind](rng), count, rng)
    truth = splat.labels[:, OBJECTS]
    floaters, labels = truth == 0, truth.copy()
    wrong = floaters | (rng.random(count) < spoil)
    labels[wrong] = rng.choice(truth[~floaters], int(wrong.sum()))
    columns = (splat.means, splat.quats, splat.scales, splat.opacities)
    means, quats, scales, opacities = (column.astype(np.float32) for column in columns)
    gaussians = Gaussians(means, quats, scales, opacities, None, np.ones(count, bool))
    name = f"{kind}-{seed} {'spoilt' if spoil else 'true'}"
    return Labelled(name, gaussians, labels, truth, (labels != truth) & ~floaters)


def trained(kind: str, work: Path) -> Labelled:
    """A made scene with the labels of a run at the level of objects."""
    case = next(case for case in all_cases(None, 1) if case.config.kind == kind)
    dataset = case.folder(work)
    with tempfile.TemporaryDirectory() as scratch:
        run = open_run(train_run(dataset, Path(scratch) / "run", None, TrainConfig(), Reporter()))
        gaussians, confidence = load_gaussians(run.ply, colors=False), read_confidence(run.folder, len(run.codes))
    truth = np.load(dataset / "gt" / "labels.npz")["labels"][:, OBJECTS]
    labels = run.layout.labels(run.codes, min(2, run.layout.levels))
    ids, label = np.unique(labels, return_inverse=True)
    shared = np.zeros((int(truth.max()) + 1, len(ids)))
    np.add.at(shared, (truth, label.reshape(-1)), gaussians.opacities)
    main = shared.argmax(1)  # a label of the run for each object; several objects may share one
    return Labelled(f"{kind}-1 trained", gaussians, labels, truth, (main[truth] != label) & (truth > 0), confidence)


def lines_of(case: Labelled) -> Iterator[str]:
    """One line of the table for each strength."""
    started = time.perf_counter()
    found = find_crumbs(case.gaussians, case.labels, case.confidence)
    seconds = time.perf_counter() - started
    for strength in STRENGTHS:
        yield _line(case, found, strength, seconds)


def _line(case: Labelled, found: Crumbs, strength: float, seconds: float) -> str:
    kinds, floaters = found.at(strength), case.truth == 0
    proposed, good = kinds > 0, ~floaters & ~case.spoilt
    weights = case.gaussians.opacities
    false = weights[proposed & good].sum() / weights[good].sum()
    right = (proposed & ~good).sum() / max(1, int(proposed.sum()))
    text = f"{case.name:<26}{strength:>9}{proposed[floaters].mean():>10.3f}{right:>8.3f}{100 * false:>8.3f}%"
    given = (kinds == STRAY) & case.spoilt
    if case.confidence is None and case.spoilt.any():
        home = case.truth[found.hosts[given]] == case.truth[given]
        text += f"{given.sum() / case.spoilt.sum():>8.3f}{home.mean():>13.3f}"
    else:
        text += f"{'-':>8}{'-':>13}"
    return text + f"{seconds:>9.2f}"


def table(seeds: int, count: int, work: Path | None) -> Iterator[str]:
    """A head, the cases, and the times of a million Gaussians."""
    yield HEAD
    for kind in CASES:
        for spoil in (0.0, SPOILT):
            for seed in range(1, seeds + 1):
                yield from lines_of(made(kind, seed, count, spoil))
        if work is not None:
            yield from lines_of(trained(kind, work))
    yield timing()


def timing() -> str:
    """How long a million Gaussians take: by the clock, and by the processor, which other programs do not slow down."""
    case = made("room", 1, 1_000_000, SPOILT)
    started, worked = time.perf_counter(), time.process_time()
    found = find_crumbs(case.gaussians, case.labels)
    middle, done = time.perf_counter(), time.process_time()
    found.at(0.5)
    step = 1000 * (time.perf_counter() - middle)
    search = f"{middle - started:.1f} s, {done - worked:.1f} s of the processor"
    return f"1,000,000 Gaussians: search {search}; a step of the slider {step:.1f} ms"


def main() -> None:
    """Print the table, and with --save keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gaussians", type=int, default=60_000)
    parser.add_argument("--trained", metavar="FOLDER", type=Path, help="also train on scenes made in this folder")
    parser.add_argument("--save", action="store_true", help=f"keep the table in results/{RESULTS.name}")
    options = parser.parse_args()
    text = ""
    for line in table(options.seeds, options.gaussians, options.trained):
        text += line + "\n"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    if options.save:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
