"""Writing the result of a run: codes, label table, facts about the run, previews."""

import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import bgs_engine
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.events import Reporter
from bgs_engine.core.label_table import LabelTable, build_label_table, write_labels
from bgs_engine.devices.choice import Device
from bgs_engine.io.dataset import Dataset
from bgs_engine.io.output_place import RUN_INFO
from bgs_engine.io.run_folder import ENGINE_ANSWER, open_run, write_array, write_run
from bgs_engine.naming.name_table import name_table
from bgs_engine.output.previews import write_previews
from bgs_engine.output.run_up import UP_KEY, guessed_up
from bgs_engine.pipeline.keeping import KeptLabels
from bgs_engine.pipeline.scene import Scene
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.result import Segmentation

# What `write_segmentation` writes into the partial folder, in this order.
RESULT_FILES = (
    *(kept for _, kept in ENGINE_ANSWER),
    "codes.npy", "opacity.npy", "confidence.npy", "scene.ply", "labels.json", RUN_INFO, "preview",
)  # fmt: skip


@dataclass(frozen=True)
class RunFacts:
    """The inputs of a run, for its run.json. source_sha256: of the splat's file. kept: mended labels, None: none."""

    scene: Scene
    source_sha256: str
    dataset: Dataset
    views: MaskedViews
    config: TrainConfig
    device: Device
    kept: KeptLabels | None = None


def write_segmentation(folder: Path, facts: RunFacts, result: Segmentation, reporter: Reporter) -> None:
    """Write the files of a run folder and its previews.

    Args:
        folder: the partial folder of the run.
        facts: the inputs.
        result: codes, opacities and confidence in scene order.
        reporter: told the number of labels of each level, and how many mended ones were kept.

    Raises:
        UsageError: a mended label has no place in the codes. Nothing was written.
    """
    scene, views = facts.scene, facts.views
    codes, opacities, confidence = (
        scene.raster.to_file_order(values) for values in (result.codes, result.opacities, result.confidence)
    )
    up = facts.dataset.up if facts.dataset.up is not None else guessed_up(scene.gaussians)
    table = _table(facts, codes, confidence, up)
    if facts.kept is not None:
        laid = facts.kept.over(codes, views.layout)
        write_array(folder / "codes_engine.npy", codes)
        write_labels(folder / "labels_engine.json", table)
        codes, table = laid.codes, _table(facts, laid.codes, confidence, up)
        facts.kept.name(table, laid.keys)
        reporter.metric("labels_kept", len(laid.keys))
    for level, labels in enumerate(table.levels, 1):
        reporter.metric(f"labels_level_{level}", len(labels))
    info = {
        "source": {"path": str(scene.ply.path), "sha256": facts.source_sha256, "gaussians": scene.ply.count},
        UP_KEY: np.asarray(up, np.float64).tolist(),
        "offset": scene.gaussians.offset.tolist(),
        "left_out": int((~scene.gaussians.valid).sum()),
        "dataset": _dataset_place(facts.dataset.folder, folder),
        "views": len(views.cameras),
        "frame_change": facts.dataset.frame_change and facts.dataset.frame_change.as_json(),
        "configuration": asdict(facts.config),
        "seed": facts.config.seed,
        "device": facts.device.choice,
        "versions": versions() | facts.device.versions,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "timings": reporter.timings,
        "warnings": reporter.warnings,
        "metrics": reporter.metrics,
    }
    write_run(folder, scene.ply, codes, opacities, table, info, confidence)
    write_previews(open_run(folder), scene.raster, list(views.cameras), folder / "preview", reporter)


def _table(facts: RunFacts, codes: np.ndarray, confidence: np.ndarray, up: np.ndarray) -> LabelTable:
    splat = facts.scene.gaussians
    means, opacities, colors = splat.means, splat.opacities, splat.base_colors
    table = build_label_table(facts.views.layout, codes, means, opacities, colors, confidence, splat.offset)
    name_table(table, codes, (means, splat.scales, opacities, colors), up)
    return table


def _dataset_place(dataset: Path, run: Path) -> str:
    """Relative to the run folder if the dataset lies inside it, else absolute: the run folder is moved when done."""
    dataset, run = dataset.resolve(), run.resolve()
    return dataset.relative_to(run).as_posix() if dataset.is_relative_to(run) else str(dataset)


def versions() -> dict[str, str]:
    """Versions of the packages that can make two runs differ."""
    import numba
    import torch

    return {
        "bgs_engine": bgs_engine.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "torch": torch.__version__,
    }
