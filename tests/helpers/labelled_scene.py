"""A run of the made room with its true labels: no training, so it takes a second."""

from pathlib import Path

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import build_label_table
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.output_place import partial_folder
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import finish, write_run

LAYOUT = BitLayout((12, 10, 10))


def write_labelled_run(scene: Path, folder: Path) -> Path:
    """Write the run of a made scene into `folder`."""
    ply = read_ply(scene / "scene.ply")
    splat = load_gaussians(ply)
    with np.load(scene / "gt" / "labels.npz") as stored:
        labels = stored["labels"]
    locals_ = [np.unique(labels[:, level], return_inverse=True)[1].reshape(-1) for level in range(3)]
    codes = LAYOUT.pack(locals_)
    table = build_label_table(LAYOUT, codes, splat.means, splat.opacities, splat.base_colors)
    table.levels[0][0].name = 'A "floor" </script><b>'
    write_run(partial_folder(folder), ply, codes, splat.opacities, table, {"dataset": str(scene)})
    finish(folder)
    return folder
