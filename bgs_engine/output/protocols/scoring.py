"""`bgs eval --protocol`: scores of a run by a published protocol.

For each object the prompt picks labels of the run: the set that fits it best, and the best single label. Their
Gaussians are drawn in the views that have true masks, and compared. docs/guide/command-line.md says what the figures
mean and in which points they differ from the published ones.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.input_files import is_folder
from bgs_engine.io.dataset import read_cameras
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.run_folder import Run, open_run
from bgs_engine.output.evaluate import mover
from bgs_engine.output.protocols.annotation import Annotation, camera_of, read_mask
from bgs_engine.output.protocols.measures import accuracy, boundary_iou, iou
from bgs_engine.output.protocols.pointing import Found, Pointer
from bgs_engine.output.protocols.table import PROTOCOLS, Protocol
from bgs_engine.raster.scene import RasterScene

MEASURES = ("iou", "boundary_iou", "accuracy", "iou_of_label", "iou_elsewhere")


def evaluate_protocol(
    run_folder: Path, name: str, folder: Path, dataset: Path | None, reporter: Reporter
) -> dict[str, Any]:
    """The scores of a run. The result holds plain numbers and texts only.

    Args:
        run_folder: the run.
        name: of the protocol, from `PROTOCOLS`.
        folder: the data of the protocol.
        dataset: has the cameras; None: `folder` if it has cameras, else the dataset of the run.
        reporter: told after each object.

    Raises:
        InputError: the run or a folder is incomplete, or they do not fit together.
    """
    protocol, run = PROTOCOLS[name], open_run(run_folder)
    if not is_folder(folder):
        raise InputError(f"{folder} is no folder.", f"Give the folder with the data of {name}.")
    annotations = protocol.read(folder, _cameras(run, folder, dataset))
    gaussians = load_gaussians(run.ply, colors=False)
    scene, in_scene = RasterScene.from_gaussians(gaussians), mover(run, gaussians.offset)
    codes, opacities = (scene.from_file_order(values) for values in (run.codes, run.opacities))
    pointer = Pointer(scene, codes, opacities, run.layout)
    reporter.stage("Evaluating")
    objects = {}
    for annotation in reporter.track(annotations, len(annotations)):
        found = pointer.find(annotation, in_scene(camera_of(annotation.prompt)))
        rows = [_compare(pointer, found, in_scene(camera_of(t)), read_mask(t.path)) for t in annotation.targets]
        objects[annotation.name] = _summary(annotation, found, rows)
    return {"protocol": protocol.name, **_mean(objects.values()), "objects": objects}


def _cameras(run: Run, folder: Path, dataset: Path | None) -> list[Camera]:
    if dataset is not None:
        return read_cameras(dataset)[0]
    try:
        return read_cameras(folder)[0]
    except InputError:
        place = run.info.get("dataset")
        if not isinstance(place, str) or not is_folder(run.folder / place):
            raise InputError(
                f"The cameras of {run.folder.name} are not known: its dataset is not there any more.",
                "Give the photos with their cameras with --dataset FOLDER.",
            ) from None
        return read_cameras(run.folder / place)[0]


def _compare(pointer: Pointer, found: Found, camera: Camera, true: np.ndarray) -> dict[str, float]:
    of_labels, of_label = pointer.masks(pointer.view(camera), [found.of_labels, found.of_label])
    return {
        "iou": iou(of_labels, true),
        "boundary_iou": boundary_iou(of_labels, true),
        "accuracy": accuracy(of_labels, true),
        "iou_of_label": iou(of_label, true),
    }


def _summary(annotation: Annotation, found: Found, rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    values: defaultdict[str, list[float]] = defaultdict(list)
    for target, row in zip(annotation.targets, rows, strict=True):
        for measure, value in row.items():
            values[measure].append(value)
        if target.camera.name != annotation.prompt.camera.name:
            values["iou_elsewhere"].append(row["iou"])
    return {
        **{measure: round(float(np.mean(numbers)), 4) for measure, numbers in values.items()},
        "views": len(rows),
        "reference": annotation.prompt.camera.name,
        "labels": [list(pair) for pair in found.labels],
        "label": list(found.label),
    }


def _mean(objects: Any) -> dict[str, float]:
    """The mean of each measure over the objects that have it."""
    numbers = {measure: [one[measure] for one in objects if measure in one] for measure in MEASURES}
    return {measure: round(float(np.mean(values)), 4) for measure, values in numbers.items() if values}


def as_table(result: dict[str, Any]) -> str:
    """The result as a table for people."""
    protocol: Protocol = PROTOCOLS[result["protocol"]]
    width = max(8, *(len(name) for name in result["objects"]))
    lines = [" ".join([" " * width, *(f"{measure:>13}" for measure in MEASURES), f"{'views':>6}"])]
    for name, row in [*result["objects"].items(), ("mean", result)]:
        cells = [f"{row[measure]:>13.4f}" if measure in row else f"{'-':>13}" for measure in MEASURES]
        lines.append(" ".join([f"{name:{width}}", *cells, f"{row.get('views', ''):>6}"]))
    lines.append(f"Highest claim for all scenes of {protocol.name} that we know: {protocol.claimed:.3f} IoU.")
    return "\n".join(lines)
