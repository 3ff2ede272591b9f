"""What all operators share: our errors become a sentence for the user, bugs keep their traceback."""

from collections.abc import Callable
from typing import Any

from bgs_engine.errors import BgsError

from .scene import splat_of
from .typed import Context, Returned


class SaysWhy:
    """Mix-in: `work` does it and returns what to tell the user (or None for nothing); `execute` is the thin edge."""

    bl_options = {"REGISTER", "UNDO"}
    report: Callable[[set[Any], str], None]  # Blender's own

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


class NoUndo(SaysWhy):
    """Mix-in for operators that change nothing in the file."""

    bl_options = {"REGISTER"}


class NeedsSplat(SaysWhy):
    """Mix-in for operators that work on the active splat."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        return splat_of(context) is not None


class NeedsLabels(SaysWhy):
    """Mix-in for operators that work on the active splat's labels."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        obj = splat_of(context)
        return obj is not None and bool(obj.bgs.level_bits)
