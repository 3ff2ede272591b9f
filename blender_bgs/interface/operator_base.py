"""Mix-ins for all operators.

They report a `BgsError` to the user as a sentence. Other exceptions are bugs and keep their traceback. The tooltip of
a grey button gives the reason.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar

import bpy
from bgs_engine.core.errors import BgsError
from bgs_engine.core.printable import printable

from ..cloud import agreement, edit_mode
from ..cloud.active_splat import ALONE, splat_of
from ..cloud.typed import Context, Returned
from ..logic.window_words import for_window


def counted(number: int, noun: str) -> str:
    """A number with its noun, for example "1 frame" or "2 frames"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class ReportingOperator:
    """Mix-in: implement `work`, which does the work and returns a message for the user, or None for no message.

    `disabled_reason` returns the reason why the operator is not available now, or "" if it is. Blender greys out the
    button and shows the reason in its tooltip.
    """

    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}
    in_edit_mode: ClassVar[bool] = False  # whether it works in Edit Mode; the others leave it, see `edit_mode`
    report: Callable[[set[Any], str], None]  # Blender's own
    poll_message_set: ClassVar[Callable[[str], None]]  # Blender's own

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = cls.disabled_reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    @classmethod
    def disabled_reason(cls, _context: Context) -> str:
        return ""

    def execute(self, context: Context) -> Returned:
        try:
            with nullcontext() if self.in_edit_mode else edit_mode.left(context):
                message = self.work(context)
        except BgsError as error:
            text = str(error) if bpy.app.background else for_window(str(error))
            self.report({"ERROR"}, printable(text))
            return {"CANCELLED"}
        if message:
            self.report({"INFO"}, printable(message, keep="\n"))
        return {"FINISHED"}

    def work(self, context: Context) -> str | None:
        raise NotImplementedError


class NoUndo(ReportingOperator):
    """Mix-in for operators that change nothing in the file, so that they need no undo step."""

    bl_options: ClassVar[set[str]] = {"REGISTER"}
    in_edit_mode = True


class NeedsSplat(ReportingOperator):
    """Mix-in for operators that work on the active splat."""

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        return "" if splat_of(context) else "Select a Gaussian splat, or import one"


class NeedsLabels(ReportingOperator):
    """Mix-in for operators that work on the active splat's labels."""

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        obj = splat_of(context)
        if obj is None:
            return "Select a Gaussian splat, or import one"
        return "" if obj.bgs.level_bits else "This splat has no labels yet: press Segment, or import a run folder"

    def execute(self, context: Context) -> Returned:
        obj = splat_of(context)
        if obj is not None:
            agreement.follow(obj)  # scripts select and hide objects without an update between
        return super().execute(context)


class NeedsParts(NeedsLabels):
    """Mix-in for operators that work on the active splat's label objects."""

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        if obj.bgs.is_alone:
            return f"{obj.name} {ALONE}: there is nothing to merge it into"
        return "" if obj.bgs.part_collection else "There are no label objects yet: press Make Collections"
