"""Binary Gaussian Segmentation engine: any 3D Gaussian splat to one 32-bit integer per Gaussian.

The core (`codes`, `errors`, `events`, `io.ply`, `io.run_folder`) needs numpy and plyfile alone and runs inside
Blender. Everything else imports its heavier packages itself and says which extra to install when one is missing.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bgs_engine.output.scripting import ScriptedRun

__version__ = "0.1.0"


def open_run(folder: str | Path) -> "ScriptedRun":
    """Open a run folder for a script; docs/guide/scripting.md shows how.

    Raises:
        InputError: there is no run, or it is damaged.
    """
    from bgs_engine.output.scripting import open_run as opened

    return opened(folder)
