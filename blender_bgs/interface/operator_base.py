"""What all operators share: errors become a sentence for the user, bugs keep their traceback, grey buttons say why."""

from collections.abc import Callable
from typing import Any, ClassVar

from bgs_engine.core.errors import BgsError

from ..cloud.active_splat import splat_of
from ..cloud.typed import Context, Returned


def counted(number: int, noun: str) -> str:
    """A number of things for people: 1 frame, 2 frames."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class ReportingOperator:
    """Mix-in: `work` does it and returns what to tell the user (or None for nothing); `execute` is the thin edge.

    `why_not` says why it cannot be done now, or nothing; the button is grey then and the sentence is in its tooltip.
    """

    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}
    report: Callable[[set[Any], str], None]  # Blender's own
    poll_message_set: ClassVar[Callable[[str], None]]  # Blender's own

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = cls.why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    @classmethod
    def why_not(cls, _context: Context) -> str:
        return ""

    def execute(self, context: Context) -> Returned:
        try:
            said = self.work(context)
        except BgsError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if said:
            self.report({"INFO"}, said)
        return {"FINISHED"}

    def work(self, context: Context) -> str | None:
        raise NotImplementedError


class NoUndo(ReportingOperator):
    """Mix-in for operators that change nothing in the file."""

    bl_options: ClassVar[set[str]] = {"REGISTER"}


class NeedsSplat(ReportingOperator):
    """Mix-in for operators that work on the active splat."""

    @classmethod
    def why_not(cls, context: Context) -> str:
        return "" if splat_of(context) else "Select a Gaussian splat, or import one"


class NeedsLabels(ReportingOperator):
    """Mix-in for operators that work on the active splat's labels."""

    @classmethod
    def why_not(cls, context: Context) -> str:
        obj = splat_of(context)
        if obj is None:
            return "Select a Gaussian splat, or import one"
        return "" if obj.bgs.level_bits else "This splat has no labels yet: press Segment, or import a run folder"


class NeedsParts(NeedsLabels):
    """Mix-in for operators that work on the objects made of the active splat's labels."""

    @classmethod
    def why_not(cls, context: Context) -> str:
        reason = super().why_not(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        return "" if obj.bgs.part_collection else "No label has become an object yet: press Make Collections"
