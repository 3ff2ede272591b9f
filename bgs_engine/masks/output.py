"""Write label maps and contact sheets of a dataset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

import numpy as np
from PIL import Image

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.file_set import check_places, files_below, replacing
from bgs_engine.core.files import check_writable, read_json, write_json
from bgs_engine.core.palette import color_at
from bgs_engine.io.dataset import Dataset
from bgs_engine.io.dataset_files import MASKS
from bgs_engine.io.images import read_image
from bgs_engine.io.masks import LEVEL_BITS_KEY, MARKER, write_level_maps
from bgs_engine.io.pictures import contact_sheet, overlay, save_png, to_bytes

MASK_SHEET_VIEWS = 12  # views on a contact sheet, spread evenly
MASK_SHEET_COLUMNS = 4
TILE_WIDTH = 320


@dataclass
class Written:
    """Counts over all views."""

    segments: list[int]  # per level
    labelled: int = 0  # pixels
    pixels: int = 0


def write_results(
    dataset: Dataset,
    label_maps: Iterable[tuple[Camera, np.ndarray]],
    count: int,
    level_bits: Sequence[int] | None,
    reporter: Reporter,
) -> Written:
    """Write masks/level_l/NAME.png and preview/masks_level_l.png; earlier masks stay until the new ones are whole.

    Args:
        label_maps: camera and uint16 [L, H, W] of each view.
        count: number of views.
        level_bits: the bits that each level needs, where an id means the same in all views; None where it does not.
        reporter: told of the progress.

    Raises:
        InputError: the dataset's folder cannot be written.
        UsageError: the dataset has masks that `bgs masks` did not make.
    """
    reporter.stage("Write label maps")
    check_mask_place(dataset.folder)
    shown = set(np.linspace(0, count - 1, min(count, MASK_SHEET_VIEWS)).round().astype(int).tolist())
    tiles: list[list[np.ndarray]] = []
    written = Written([])
    with replacing(dataset.folder, MASKS) as new:
        new.gone.update(_earlier_masks(dataset.folder))
        for done, (camera, maps) in enumerate(label_maps):
            write_level_maps(changed(dataset, folder=new.folder), camera, maps)
            before = written.segments or [0] * len(maps)
            written.segments = [a + len(np.unique(m[m > 0])) for a, m in zip(before, maps, strict=True)]
            written.labelled += int(np.count_nonzero(maps[0]))
            written.pixels += maps[0].size
            if done in shown and camera.image is not None:
                image = read_image(camera.image, (camera.width, camera.height))
                tiles = tiles or [[] for _ in maps]
                for row, level_map in zip(tiles, maps, strict=True):
                    row.append(mask_picture(image, level_map))
            reporter.progress(done + 1, count)
        for level, row in enumerate(tiles, 1):
            path = new.folder / "preview" / f"masks_level_{level}.png"
            save_png(path, contact_sheet(row, MASK_SHEET_COLUMNS, TILE_WIDTH))
        files = files_below(new.folder / "masks")
        info = {"levels": len(written.segments), "views": count, "files": files, LEVEL_BITS_KEY: level_bits}
        write_json(new.folder / "masks" / MARKER, info)
    return written


def check_mask_place(dataset: Path) -> None:
    """Check that masks can be written to a dataset folder; nothing of the user's lies in their place.

    Raises:
        UsageError: the dataset has masks that `bgs masks` did not make, or its folders lie elsewhere.
        OutputError: the folder cannot be written.
    """
    refuse_foreign_masks(dataset / "masks")
    check_writable(dataset)
    check_places(dataset, ("masks", "preview"))


def _earlier_masks(dataset: Path) -> set[str]:
    """Files that an earlier `bgs masks` wrote, relative to the dataset folder."""
    folder = dataset / "masks"
    if not (folder / MARKER).is_file():
        return set()
    info = read_json(folder / MARKER)
    listed = info.get("files") if isinstance(info, dict) else None
    if not isinstance(listed, list):  # of a version that wrote no list
        listed = [name for name in files_below(folder) if name.startswith("level_") and name.endswith(".png")]
    sheets = {f"preview/{path.name}" for path in (dataset / "preview").glob("masks_level_*.png")}
    return {f"masks/{name}" for name in listed if isinstance(name, str)} | sheets


def refuse_foreign_masks(folder: Path) -> None:
    """Raise `UsageError` where masks lie in `folder` that no `bgs masks` has written, such as masks drawn by hand."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise UsageError(f"{folder} holds masks that bgs masks did not make.", "Rename or remove that folder first.")


def announce(folder: Path, reporter: Reporter) -> None:
    """Say where the label maps of a dataset folder are, and their contact sheets."""
    reporter.artifact("masks", folder / "masks")
    for sheet in sorted((folder / "preview").glob("masks_level_*.png")):
        reporter.artifact("preview", sheet)


def mask_picture(image: np.ndarray, mask_ids: np.ndarray, width: int = TILE_WIDTH) -> np.ndarray:
    """A view with its masks laid over it, uint8 [h, width, 3]; parts without masks are dark, borders black."""
    width = min(width, image.shape[1])
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
    rows = ((np.arange(height) + 0.5) * image.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * image.shape[1] / width).astype(np.int64)
    ids = mask_ids[np.ix_(rows, columns)]
    colors = to_bytes(np.array([(0, 0, 0), *(color_at(1, rank, None) for rank in range(int(ids.max())))]))
    painted = overlay(np.where(ids[..., None] > 0, small, small // 3), colors[ids])
    edge = np.zeros(ids.shape, bool)
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edge[1:] |= ids[1:] != ids[:-1]
    painted[edge] = 0
    return painted
