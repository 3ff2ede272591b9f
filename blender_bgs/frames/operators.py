# mypy: disable-error-code="valid-type"
"""The Render Splats operator."""

import shutil
import tempfile
from pathlib import Path

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud.scene_frames import frame_range
from ..cloud.typed import Context
from ..engine import segmenting
from ..engine.runner import PlainTask, log_path, runner
from ..interface.operator_base import NoUndo, counted
from .settings import settings_of
from .shot import start_render, write_shot


class RenderTask(PlainTask):
    """The task of Render Splats. It removes the shot's files when the engine has ended."""

    def __init__(self, frames: str, out: Path, folder: Path) -> None:
        super().__init__("Render Splats", f"{frames} in {out}")
        self._folder = folder

    def close(self) -> None:
        """Remove the shot's files."""
        shutil.rmtree(self._folder, ignore_errors=True)


class BGS_OT_render_splats(NoUndo, bpy.types.Operator):
    """Render true splat pictures through the scene's camera. The engine runs beside Blender."""

    bl_idname = "bgs.render_splats"
    bl_label = "Render Splats"

    animation: bpy.props.BoolProperty(name="Animation", description="Render all frames instead of the current one")

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        if context.scene.camera is None:
            return "The scene has no camera"
        return runner.busy() or segmenting.engine_missing()

    def work(self, context: Context) -> str:
        runner.refuse_second()
        if bpy.app.background:
            raise UsageError("Render Splats needs a window.", "Without one, use blender --command bgs frames.")
        scene = context.scene
        settings = settings_of(scene)
        if settings.output.startswith("//") and not bpy.data.filepath:
            raise UsageError(
                "The output folder is relative to the .blend, which is not saved.", "Save it, or choose a full path."
            )
        config = settings.config(frame_range(scene) if self.animation else (scene.frame_current,))
        python, out = segmenting.engine_python(), Path(bpy.path.abspath(settings.output))
        folder = Path(tempfile.mkdtemp(prefix="bgs-shot-", dir=bpy.app.tempdir))
        try:
            job = start_render(write_shot(scene, folder, config), out, config, python, log_path("frames"))
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise

        runner.start(RenderTask(counted(len(config.frames), "frame"), out, folder), job)
        return "The engine has started"


CLASSES = (BGS_OT_render_splats,)
