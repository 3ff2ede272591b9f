# mypy: disable-error-code="valid-type"
"""The operator that cleans label objects."""

import bpy

from ..cloud import code_tables
from ..cloud.active_splat import need_splat, selected_parts, splat_of
from ..cloud.typed import Context
from ..interface.operator_base import NeedsParts, counted
from . import cleaning


class BGS_OT_clean_objects(NeedsParts, bpy.types.Operator):
    """Trim what reaches out of the selected label objects into the air; of all, if none is selected."""

    bl_idname = "bgs.clean_objects"
    bl_label = "Clean Objects"
    strength: bpy.props.FloatProperty(
        name="Strength", description="How much is trimmed. 0 gives the objects back as the splat has them",
        default=0.5, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        return "" if code_tables.parts_of(obj) else "All label objects were deleted: press Make Collections"

    def work(self, context: Context) -> str:
        context.view_layer.update()
        whole = need_splat(context)
        parts = selected_parts(context, whole) or code_tables.parts_of(whole)
        done = cleaning.clean(whole, parts, self.strength)
        if not self.strength:
            return f"{counted(len(parts), 'object')} as the splat has {'it' if len(parts) == 1 else 'them'}"
        if not done.objects:
            looked_at = parts[0].name if len(parts) == 1 else counted(len(parts), "object")
            more = ". Give a larger one in Adjust Last Operation" if self.strength < 1 else ", the largest one"
            return f"Nothing to trim of {looked_at} at Strength {self.strength:.2f}{more}"
        found = f"{counted(done.trimmed or done.gone, 'Gaussian')} of {counted(done.objects, 'object')}"
        what = f"trimmed, {done.gone:,} taken away" if done.trimmed and done.gone else "trimmed"
        return f"{found} {what if done.trimmed else 'taken away'}. Merge Back gives the original ones back"


CLASSES = (BGS_OT_clean_objects,)
