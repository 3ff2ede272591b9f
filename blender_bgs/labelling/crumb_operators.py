# mypy: disable-error-code="valid-type"
"""The operators that find crumbs and accept them."""

import bpy
from bgs_engine.cutouts.crumbs import STRAY, in_words

from ..cloud.active_splat import need_splat, splat_of
from ..cloud.typed import Context
from ..interface.operator_base import NeedsLabels, counted
from . import crumbs


class BGS_OT_find_crumbs(NeedsLabels, bpy.types.Operator):
    """Select the visible Gaussians that spoil labels: floaters, crumbs, strays and haze. Nothing else changes."""

    bl_idname = "bgs.find_crumbs"
    bl_label = "Find Crumbs"
    strength: bpy.props.FloatProperty(
        name="Strength", description="How much is proposed. A larger strength proposes all that a smaller one does",
        default=0.5, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip
    only_selected: bpy.props.BoolProperty(
        name="Selected Labels Only", description="Propose only Gaussians of the selected labels", options={"SKIP_SAVE"}
    )

    def work(self, context: Context) -> str:
        kinds = crumbs.propose(need_splat(context), self.strength, self.only_selected)
        if not kinds.any():
            if self.strength == 1:
                return "There are no crumbs"
            return f"No crumbs at Strength {self.strength:.2f}. Give a larger one in Adjust Last Operation"
        return f"Selected {in_words(kinds)}. Press Accept, or change Strength in Adjust Last Operation"


class BGS_OT_accept_crumbs(NeedsLabels, bpy.types.Operator):
    """Give the selected crumbs the label Crumbs, and strays the label around them. No Gaussian is deleted."""

    bl_idname = "bgs.accept_crumbs"
    bl_label = "Accept Crumbs"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        found = crumbs.has_proposal(obj) and any(row.partly for row in obj.bgs.labels)
        return "" if found else "Press Find Crumbs first, which selects them"

    def work(self, context: Context) -> str:
        kinds, note = crumbs.accept_selected(context.scene, need_splat(context))
        strays = int((kinds == STRAY).sum())
        rest = int((kinds > 0).sum()) - strays
        said = [f"{counted(rest, 'Gaussian')} went to the label Crumbs of level 1"] if rest else []
        if strays:
            said.append(f"{counted(strays, 'stray Gaussian')} went to the label around")
        return "; ".join(said) + note


CLASSES = (BGS_OT_find_crumbs, BGS_OT_accept_crumbs)
