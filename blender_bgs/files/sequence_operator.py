"""The running export of a sequence in the window: it writes frame after frame, shows how far it is, and Esc cancels."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import cast

import bpy
from bgs_engine.core.errors import BgsError, UsageError
from bgs_engine.core.printable import printable

from ..cloud.typed import Context, Returned
from ..interface.operator_base import NoUndo
from ..logic.window_words import for_window
from . import sequence

STEP_SECONDS = 0.01  # between two frames, so that Blender draws and hears Esc


@dataclass
class _Job:
    steps: Generator[int]
    count: int
    done_text: str


_waiting: list[_Job] = []  # the job that the operator takes when it is invoked


def run(steps: Iterator[int], count: int, done_text: str, in_window: bool) -> str | None:
    """Go through the `count` frames of a job. In the window it goes on while Blender draws, and returns None.

    Else it returns `done_text`, the sentence for the end.
    """
    if not in_window:
        sequence.write_all(steps)
        return done_text
    _waiting[:] = [_Job(cast("Generator[int]", steps), count, done_text)]
    try:
        bpy.ops.bgs.export_frames("INVOKE_DEFAULT")  # type: ignore[attr-defined]
    finally:
        _waiting.clear()
    return None


class BGS_OT_export_frames(NoUndo, bpy.types.Operator):
    """Write the frames that Export Gaussian Splat has begun. Esc cancels."""

    bl_idname = "bgs.export_frames"
    bl_label = "Export Frames"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        return "" if _waiting else "File > Export > Gaussian Splat writes frames: choose Scene Range there"

    def invoke(self, context: Context, _event: bpy.types.Event) -> Returned:
        self._job = _waiting.pop()
        self._timer = context.window_manager.event_timer_add(STEP_SECONDS, window=context.window)
        context.window_manager.progress_begin(0, self._job.count)
        context.window_manager.modal_handler_add(self)
        self._say(context, 0)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: bpy.types.Event) -> Returned:
        if event.type == "ESC":
            self._end(context)
            self.report({"WARNING"}, "The export was cancelled. No file was written")
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}
        try:
            done = next(self._job.steps)
        except StopIteration:
            self._end(context)
            self.report({"INFO"}, printable(self._job.done_text))
            return {"FINISHED"}
        except BgsError as error:
            self._end(context)
            self.report({"ERROR"}, printable(for_window(str(error))))
            return {"CANCELLED"}
        except BaseException:
            self._end(context)
            raise
        context.window_manager.progress_update(done)
        self._say(context, done)
        return {"RUNNING_MODAL"}

    def cancel(self, context: Context) -> None:
        """Blender closes the window or opens another file."""
        self._end(context)

    def work(self, context: Context) -> str:
        raise UsageError("Frames are written by File > Export > Gaussian Splat.", "Choose Scene Range there.")

    def _say(self, context: Context, done: int) -> None:
        context.workspace.status_text_set(f"{done} of {self._job.count} frames done. Esc cancels")

    def _end(self, context: Context) -> None:
        self._job.steps.close()
        context.workspace.status_text_set(None)
        context.window_manager.progress_end()
        context.window_manager.event_timer_remove(self._timer)


CLASSES = (BGS_OT_export_frames,)
