"""Saves changed labels to a run folder, in Blender or a bpy wheel; `faults.py` kills it meanwhile.

    PYTHON_WITH_BPY benchmarks/faults_in_blender.py RUN

It prints "saving" when the save begins. The new labels are the same each time.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bpy
import numpy as np

import blender_bgs
from blender_bgs.cloud import code_tables, point_clouds
from blender_bgs.files import save_to_run
from blender_bgs.logic import attributes as at


def main() -> int:
    """Import the run, turn all labels of level 1 into the first one, save."""
    run = Path(sys.argv[-1])
    blender_bgs.register()
    bpy.ops.bgs.import_splat(filepath=str(run / "scene.ply"))
    obj = bpy.context.view_layer.objects.active
    codes = code_tables.codes_of(obj)
    point_clouds.set_column(obj.data, at.Column(at.CODE, "INT", np.full_like(codes, codes.min())))
    code_tables.forget()
    print("saving", flush=True)
    save_to_run.save(obj)
    return 0


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    finally:
        sys.stdout.flush()
        os._exit(code)  # bpy 4.2 and 4.5 crash or hang when Python tears down
