# mypy: disable-error-code="valid-type"
"""Segment, Cancel, Install Engine, Check Engine."""

import threading
from collections.abc import Iterator
from pathlib import Path

import bpy
from bgs_engine.errors import BgsError, EnvironmentLacksError, UsageError

from . import batch, jobs, segmenting
from .clouds import is_splat
from .engine import ask_doctor, in_words
from .job import Job, Progress
from .operator_base import NeedsSplat, NoUndo
from .preferred import base_python, preferences
from .scene import need_splat
from .typed import Context, SplatObject

doctor_lines: list[str] = []


class BGS_OT_segment(NoUndo, NeedsSplat, bpy.types.Operator):
    """Find the objects and parts of the active splat. The engine runs beside Blender; its answer is one undo step."""

    bl_idname = "bgs.segment"
    bl_label = "Segment Splat"

    @classmethod
    def why_not(cls, context: Context) -> str:
        return jobs.busy() or super().why_not(context) or segmenting.engine_missing()

    def work(self, context: Context) -> str:
        jobs.refuse_second()
        if bpy.app.background:
            raise UsageError("Segment needs a window.", "Without one use: blender --command bgs segment.")
        obj, settings = need_splat(context), context.scene.bgs_settings
        run = Path(bpy.path.abspath(settings.output)) if settings.output else segmenting.default_run_folder(obj)
        job, in_order = segmenting.start_segment(obj, run, settings.config(), jobs.log_path("segment"))
        order = segmenting.order_of(obj, in_order)
        uid, name = obj.session_uid, obj.name

        def find() -> SplatObject | None:
            return next((o for o in bpy.data.objects if o.session_uid == uid and is_splat(o)), None)

        def prepare(_state: Progress) -> segmenting.Answer:
            return segmenting.read_answer(run, order)

        def apply(answer: object) -> Iterator[None]:
            assert isinstance(answer, segmenting.Answer)
            target = find()
            if target is None:
                return
            for _, step in segmenting.steps_of(target, answer):
                step()
                yield
                if find() != target:  # an undo in between made the object anew, without half of the answer
                    yield from apply(answer)
                    return
            jobs.undo_step("Segment")

        def said() -> str:
            target = find()
            if target is None:  # another file was opened meanwhile, or the splat was deleted
                return f"Done. {name} is not here any more: import the run folder {run}"
            return _what_came_of_it(target)

        jobs.start(jobs.Running("Segment", job, prepare, apply, said))
        return "The engine has started"


def _what_came_of_it(obj: SplatObject) -> str:
    counts = [sum(row.level == level for row in obj.bgs.labels) for level in range(1, obj.bgs.levels + 1)]
    return f"Done: {', '.join(map(str, counts))} labels at levels 1 to {len(counts)}"


class BGS_OT_cancel(NoUndo, bpy.types.Operator):
    """Stop the running job. What it has learned so far stays in its checkpoint."""

    bl_idname = "bgs.cancel_job"
    bl_label = "Cancel Engine Job"

    @classmethod
    def why_not(cls, _context: Context) -> str:
        return "" if jobs.busy() else "No job is running"

    def work(self, _context: Context) -> None:
        jobs.cancel()


class BGS_OT_copy_details(NoUndo, bpy.types.Operator):
    """Copy the command, the end of its log and the error, for a bug report."""

    bl_idname = "bgs.copy_details"
    bl_label = "Copy Engine Log"

    @classmethod
    def why_not(cls, _context: Context) -> str:
        return "" if jobs.last_details else "No job has run yet"

    def work(self, context: Context) -> str:
        context.window_manager.clipboard = jobs.last_details
        return "Details copied"


class BGS_OT_install_engine(NoUndo, bpy.types.Operator):
    """Make an environment with the engine in the folder that the preferences say; 1.6 GB, several for NVIDIA cards."""

    bl_idname = "bgs.install_engine"
    bl_label = "Install Engine"

    @classmethod
    def why_not(cls, _context: Context) -> str:
        online = (
            "" if bpy.app.online_access else "Blender may not go online: Preferences > System > Allow Online Access"
        )
        return jobs.busy() or online

    def work(self, _context: Context) -> str:
        jobs.refuse_second()
        if not bpy.app.online_access:
            raise EnvironmentLacksError(
                "Blender may not go online.", "Allow Online Access in Preferences > System, then install."
            )
        folder = Path(bpy.path.abspath(preferences().install_folder)).expanduser()
        job = start_install(folder, base_python(), preferences().device, jobs.log_path("install"))

        def said() -> str:
            return f"Engine installed in {folder}"

        if bpy.app.background:  # no timers there, and nobody who could press Cancel: wait for it
            state = batch.follow(job)
            if not state.succeeded:
                raise EnvironmentLacksError(*(state.error or ("The installation was stopped.", "")))
            return said()
        jobs.start(jobs.Running("Install Engine", job, lambda _state: None, lambda _nothing: iter(()), said))
        return "Installing; the Segment panel shows how far it is"


def start_install(folder: Path, python: str, device: str, log: Path, extras: str = "masks") -> Job:
    """Start the installer on the wheel that came with the extension.

    Raises:
        EnvironmentLacksError: there is no wheel, or the folder is the extension's own.
    """
    here = Path(__file__).parent
    wheel = next(iter(sorted((here / "wheels").glob("bgs_engine-*.whl"))), None)
    if wheel is None:
        raise EnvironmentLacksError("The extension came without its engine wheel.", "Install the extension's zip.")
    if folder.resolve().is_relative_to(here.resolve()):
        raise EnvironmentLacksError("The engine cannot live in the extension's own folder.", "Choose another folder.")
    arguments = [str(folder), str(wheel), "--python", python, "--device", device, "--extras", extras]
    try:
        return Job([python, str(here / "installer.py"), *arguments], log=log)
    except OSError as error:
        raise EnvironmentLacksError(f"{python} cannot be started: {error.strerror}.", "Set a Base Python.") from None


class BGS_OT_check_engine(NoUndo, bpy.types.Operator):
    """Ask the engine what works on this machine and whether it will use the graphics card; its answer in words."""

    bl_idname = "bgs.check_engine"
    bl_label = "Check Engine"

    def work(self, context: Context) -> str | None:
        python = segmenting.engine_python()
        doctor_lines[:] = ["Asking the engine ..."]
        device = context.scene.bgs_settings.device
        if bpy.app.background:
            _ask(python, device)
            return "\n".join(doctor_lines)
        # A first import of torch takes seconds: not on the main thread.
        thread = threading.Thread(target=_ask, args=(python, device), daemon=True)
        thread.start()

        def show() -> float | None:
            jobs.redraw()
            return 0.3 if thread.is_alive() else None

        bpy.app.timers.register(show, first_interval=0.3, persistent=True)
        return None


def _ask(python: Path, device: str) -> None:
    try:
        doctor_lines[:] = [f"Engine: {python}", *in_words(ask_doctor(python), device)]
    except BgsError as error:
        doctor_lines[:] = [str(error)]


CLASSES = (
    BGS_OT_segment,
    BGS_OT_cancel,
    BGS_OT_copy_details,
    BGS_OT_install_engine,
    BGS_OT_check_engine,
)
