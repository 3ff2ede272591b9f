"""Accuracy on made scenes of several kinds, seeds and noises, with settings side by side.

    python benchmarks/accuracy.py --work FOLDER [--variants default contrastive ...] [--cases room-1 ...]
                                  [--splats FOLDER_OF_PLY] [--seeds 2] [--save NAME]

Scenes are made once in the work folder. Columns, by level: click (IoU of the clicked class in held-out views),
Gaussians (IoU of sets of opaque, seen ones), collisions (segments of one view with the class of another one), shared
(true labels anywhere in the scene whose Gaussians mostly have the class of another one).
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_cases import Case, all_cases
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.run_folder import open_run
from bgs_engine.output.evaluate import evaluate_run
from bgs_engine.pipeline.runs import train_run
from bgs_engine.pipeline.warm_up import warm_up
from bgs_engine.train.config import TrainConfig

RESULTS = Path(__file__).parent / "results"
HEAD = f"{'':48}{'click 1/2/3':>23}{'Gaussians 1/2/3':>23}{'collisions':>24}{'shared':>24}{'seconds':>8}"
PAPER = TrainConfig(objective="contrastive", iterations=1500, opacity_rate=0.001)
VARIANTS: dict[str, TrainConfig] = {
    "default": TrainConfig(),
    "association alone": TrainConfig(iterations=0),
    "opacity frozen": TrainConfig(opacity_rate=0),
    "opacity rate 0.001": TrainConfig(opacity_rate=0.001),
    "feature rate 0.05": TrainConfig(feature_rate=0.05),
    "feature rate 0.005": TrainConfig(feature_rate=0.005),
    "feature rate 0.02": TrainConfig(feature_rate=0.02),
    "codes frozen, opacity alone": TrainConfig(feature_rate=0),
    "600 steps": TrainConfig(iterations=600),
    "uniform pixels only": TrainConfig(balanced_pixels=0, uniform_pixels=10_000),
    "contrastive": PAPER,
    "contrastive, no virtual negative": replace(PAPER, virtual_negative=0),
    "contrastive, opacity frozen": replace(PAPER, opacity_rate=0),
    "contrastive, opacity rate 0.01": replace(PAPER, opacity_rate=0.01),
    "contrastive, no mask-balanced sampling": replace(PAPER, balanced_pixels=0, uniform_pixels=10_000),
    "contrastive, not progressive": replace(PAPER, progressive=False),
    "contrastive, no regulariser": replace(PAPER, regulariser=0),
    "contrastive from associated codes": replace(PAPER, init="associate", iterations=300),
}


def main() -> None:
    """Run what was asked for and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the made scenes")
    parser.add_argument("--variants", nargs="+", default=["default"], choices=[*VARIANTS])
    parser.add_argument("--cases", nargs="+", help="names or kinds; all by default")
    parser.add_argument("--splats", type=Path, help="folder of real splats to compose into one scene")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--save", metavar="NAME", help="keep the table in benchmarks/results/NAME.txt")
    options = parser.parse_args()
    cases = [case for case in all_cases(options.splats, options.seeds) if _wanted(case, options.cases)]
    warm_up(Reporter())
    text = ""
    for line in table(cases, options.variants, options.work):
        text += line + "\n"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    if options.save:
        (RESULTS / f"{options.save}.txt").write_text(text, encoding="utf-8")


def table(cases: list[Case], variants: list[str], work: Path) -> Iterable[str]:
    """Lines: a head, one for each case and variant, the mean of each variant."""
    yield HEAD
    for variant in variants:
        rows = []
        for case in cases:
            rows.append(measure(case, VARIANTS[variant], work))
            yield as_line(f"{case.name}: {variant}", rows[-1])
        yield as_line(f"MEAN: {variant}", {key: np.mean([row[key] for row in rows], 0) for key in rows[0]})


def measure(case: Case, config: TrainConfig, work: Path) -> dict[str, Any]:
    """Arrays over the three levels, and seconds."""
    dataset = case.folder(work)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        run = train_run(dataset, Path(scratch) / "run", BitLayout(case.level_bits), config, Reporter())
        seconds = time.perf_counter() - started
        found = evaluate_run(run, dataset / "gt", Reporter())
        opened = open_run(run)
        labels = [opened.layout.labels(opened.codes, level) for level in (1, 2, 3)]
        opacities = load_gaussians(opened.ply, colors=False).opacities
        return as_row(found, shared_labels(labels, opacities, dataset / "gt" / "labels.npz"), seconds)


def as_row(found: dict[str, Any], shared: list[int], seconds: float) -> dict[str, Any]:
    """One row's figures from an evaluation of three levels."""
    levels = [found[f"level_{k}"] for k in (1, 2, 3)]
    columns = {name: np.array([level[name] for level in levels]) for name in ("click", "gaussians", "collisions")}
    return {**columns, "shared": np.array(shared), "seconds": seconds}


def shared_labels(labels: Sequence[np.ndarray], opacities: np.ndarray, labels_file: Path) -> list[int]:
    """By level, how many true labels have the majority class of another one, seen together or not.

    labels: per level int [N]; opacities float32 [N].
    """
    truth = np.load(labels_file)["labels"]
    solid = opacities >= 0.1
    counts = []
    for k in range(3):
        classes = labels[k].astype(np.int64)[solid]
        ids = truth[solid, k]
        pairs, number = np.unique(np.stack([ids, classes], 1)[ids > 0], axis=0, return_counts=True)
        order = np.lexsort((-number, pairs[:, 0]))
        _, first = np.unique(pairs[order, 0], return_index=True)
        majority = pairs[order][first, 1]
        counts.append(len(majority) - len(np.unique(majority)))
    return counts


def as_line(name: str, row: dict[str, Any]) -> str:
    """One row of the table."""
    ious = [" / ".join(f"{value:.3f}" for value in row[key]) for key in ("click", "gaussians")]
    counts = [" / ".join(f"{value:.3g}" for value in row[key]) for key in ("collisions", "shared")]
    return f"{name:<48}{ious[0]:>23}{ious[1]:>23}{counts[0]:>24}{counts[1]:>24}{row['seconds']:>8.0f}"


def _wanted(case: Case, names: list[str] | None) -> bool:
    return not names or case.name in names or case.config.kind in names


if __name__ == "__main__":
    main()
