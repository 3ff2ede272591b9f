# mypy: disable-error-code="valid-type"
"""Segment, Cancel, Install Engine, Check Engine."""

import threading
from functools import partial
from pathlib import Path

import bpy
from bgs_engine.core import child_environment
from bgs_engine.core.errors import EnvironmentLacksError, UsageError

from ..cloud.active_splat import need_splat
from ..cloud.typed import Context
from ..interface.operator_base import NeedsSplat, NoUndo
from . import blocking, doctor, keeping, segmenting
from .installing import place
from .job import Job
from .locate import install_command
from .preferred import Preferred, base_python, preferences
from .runner import PlainTask, log_path, redraw, runner
from .segment_task import SegmentTask
from .settings import settings_of


class BGS_OT_segment(NoUndo, NeedsSplat, bpy.types.Operator):
    """Find the objects and parts of the active splat. The engine runs beside Blender; its answer is one undo step."""

    bl_idname = "bgs.segment"
    bl_label = "Segment Splat"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        return runner.busy() or super().disabled_reason(context) or segmenting.engine_missing()

    def work(self, context: Context) -> str:
        runner.refuse_second()
        if bpy.app.background:
            raise UsageError("Segment needs a window.", "Without one use: blender --command bgs segment.")
        obj, settings = need_splat(context), settings_of(context.scene)
        run = Path(bpy.path.abspath(settings.output)) if settings.output else segmenting.default_run_folder(obj)
        mended = keeping.mended_labels(obj) if settings.keep_labels else None
        config = keeping.config_for(settings.config(), mended)
        job, given = segmenting.start_segment(obj, run, config, log_path("segment"))
        runner.start(SegmentTask(obj, run, given, mended), job)
        kept = f". {keeping.in_words(len(mended.keys))} will be kept" if mended else ""
        return f"The engine has started{segmenting.on_what(given)}{kept}"


class BGS_OT_cancel(NoUndo, bpy.types.Operator):
    """Stop the running job. What it has learned so far stays in its checkpoint."""

    bl_idname = "bgs.cancel_job"
    bl_label = "Cancel Engine Job"

    @classmethod
    def disabled_reason(cls, _context: Context) -> str:
        return "" if runner.busy() else "No job is running"

    def work(self, _context: Context) -> None:
        runner.cancel()


class BGS_OT_copy_details(NoUndo, bpy.types.Operator):
    """Copy the command, the end of its log and the error, for a bug report."""

    bl_idname = "bgs.copy_details"
    bl_label = "Copy Engine Log"

    @classmethod
    def disabled_reason(cls, _context: Context) -> str:
        return "" if runner.last.details else "No job has run yet"

    def work(self, context: Context) -> str:
        context.window_manager.clipboard = runner.last.details
        return "Details copied"


class BGS_OT_dismiss_result(NoUndo, bpy.types.Operator):
    """Close the message about the last job."""

    bl_idname = "bgs.dismiss_result"
    bl_label = "Dismiss Result"

    @classmethod
    def disabled_reason(cls, _context: Context) -> str:
        return "" if runner.last.message else "There is no message of a job"

    def work(self, _context: Context) -> None:
        runner.dismiss()
        redraw()


class BGS_OT_install_engine(NoUndo, bpy.types.Operator):
    """Make an environment with the engine in the folder that the preferences say; 1.8 GB, several for NVIDIA cards."""

    bl_idname = "bgs.install_engine"
    bl_label = "Install Engine"

    @classmethod
    def disabled_reason(cls, _context: Context) -> str:
        online = (
            "" if bpy.app.online_access else "Blender may not go online: Preferences > System > Allow Online Access"
        )
        return runner.busy() or online

    def work(self, _context: Context) -> str:
        runner.refuse_second()
        if not bpy.app.online_access:
            raise EnvironmentLacksError(
                "Blender may not go online.", "Allow Online Access in Preferences > System, then install."
            )
        folder = Path(bpy.path.abspath(preferences().install_folder)).expanduser()
        job = start_install(folder, base_python(), preferences(), log_path("install"))
        summary = f"Engine installed in {folder}"
        if bpy.app.background:  # there are no timers and no Cancel button: wait for it
            blocking.finish(job)
            return summary
        runner.start(PlainTask("Install Engine", summary), job)
        return "Installing; the Segment panel shows how far it is"


def start_install(folder: Path, python: str, chosen: Preferred, log: Path, extras: str = "masks,sam,formats") -> Job:
    """Start the installer on the wheel and the lock file that came with the extension.

    Raises:
        EnvironmentLacksError: there is no wheel, or the folder is the extension's own.
    """
    extension = Path(__file__).parent.parent
    wheel = next(iter(sorted((extension / "wheels").glob("bgs_engine-*.whl"))), None)
    if wheel is None:
        raise EnvironmentLacksError("The extension came without its engine wheel.", "Install the extension's zip.")
    if folder.resolve().is_relative_to(extension.resolve()):
        raise EnvironmentLacksError("The engine cannot live in the extension's own folder.", "Choose another folder.")
    lock = extension / "locks" / "engine.txt"
    arguments = ["--lock", str(lock), "--device", chosen.device, "--extras", extras]
    arguments += ["--untested"] if chosen.untested else []
    try:
        return Job(
            install_command(python, folder, wheel, arguments),
            log=log,
            variables=child_environment.INSTALLER,
            tidy=partial(place.remove_unfinished, folder),
        )
    except OSError as error:
        raise EnvironmentLacksError(f"{python} cannot be started: {error.strerror}.", "Set a Base Python.") from None


class BGS_OT_check_engine(NoUndo, bpy.types.Operator):
    """Ask the engine what works on this machine and whether it will use the graphics card; its answer in words."""

    bl_idname = "bgs.check_engine"
    bl_label = "Check Engine"

    def work(self, context: Context) -> str | None:
        python, device = segmenting.engine_python(), settings_of(context.scene).device
        doctor.shown.lines = ("Asking the engine ...",)
        if bpy.app.background:
            doctor.ask_and_show(python, device)
            return "\n".join(doctor.shown.lines)
        # A first import of torch takes seconds: not on the main thread.
        thread = threading.Thread(target=doctor.ask_and_show, args=(python, device), daemon=True)
        thread.start()

        def show() -> float | None:
            redraw()
            return 0.3 if thread.is_alive() else None

        bpy.app.timers.register(show, first_interval=0.3, persistent=True)
        return None


CLASSES = (
    BGS_OT_segment,
    BGS_OT_cancel,
    BGS_OT_copy_details,
    BGS_OT_dismiss_result,
    BGS_OT_install_engine,
    BGS_OT_check_engine,
)
