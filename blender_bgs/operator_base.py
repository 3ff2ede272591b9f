"""What all operators share: our errors become a sentence for the user, bugs keep their traceback."""

import bpy
from bgs_engine.errors import BgsError

from .scene import splat_of


class SaysWhy:
    """Mix-in: `work` does it and returns what to tell the user (or None for nothing); `execute` is the thin edge."""

    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            said = self.work(context)
        except BgsError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if said:
            self.report({"INFO"}, said)
        return {"FINISHED"}

    def work(self, context: bpy.types.Context) -> str | None:
        raise NotImplementedError


class NeedsSplat(SaysWhy):
    """Mix-in for operators that work on the active splat."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return splat_of(context) is not None


class NeedsLabels(SaysWhy):
    """Mix-in for operators that work on the active splat's labels."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = splat_of(context)
        return obj is not None and bool(obj.bgs.level_bits)
