# mypy: disable-error-code="valid-type"
"""The operators that make proxies and cages, and that apply cages."""

import bpy
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.proxy import ProxyConfig

from ..cloud import companions, point_clouds
from ..cloud.active_splat import splat_of
from ..cloud.typed import Context, SplatObject
from ..interface.operator_base import NeedsSplat, counted
from . import cages, proxies

NOTHING = "Select label objects or a splat first"


def targets_of(context: Context) -> list[SplatObject]:
    """The selected splat objects, and those whose companion is selected; else the active splat if one sees it."""
    found: dict[str, SplatObject] = {}
    for one in context.view_layer.objects:
        obj = one if point_clouds.is_splat(one) else companions.owner_of(one)
        if obj is not None and one.select_get():
            found[obj.name] = obj
    if not found:
        active = splat_of(context)
        if active is not None and active.visible_get():
            found[active.name] = active
    return list(found.values())


class NeedsTargets(NeedsSplat):
    """Mix-in for operators that work on selected splat objects."""

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        if not cls.works_in_mode(context):
            return "Go to Object Mode first"
        targets = targets_of(context)
        return "" if targets else super().disabled_reason(context) or NOTHING

    @classmethod
    def works_in_mode(cls, context: Context) -> bool:
        """Whether it works in Blender's mode. Edit Mode of splats is left by itself, see `edit_mode`."""
        return context.mode in ("OBJECT", "EDIT_POINTCLOUD")


class BGS_OT_make_proxy(NeedsTargets, bpy.types.Operator):
    """Make a closed mesh in the place of each selected label object, for collisions, shadows or holdouts."""

    bl_idname = "bgs.make_proxy"
    bl_label = "Make Proxy"

    use: bpy.props.EnumProperty(name="Use", description="What the proxy is for", items=proxies.USES, default="SHADOW")
    detail: bpy.props.IntProperty(
        name="Detail", description="Cells along the longest side of the object", default=64, min=8, max=128
    )
    faces: bpy.props.IntProperty(
        name="Faces", description="Triangles at most", default=2000, min=20, max=100_000, soft_max=20_000
    )

    def work(self, context: Context) -> str:
        targets = targets_of(context)
        if not targets:
            raise UsageError("No splat object is selected.", f"{NOTHING}.")
        config = ProxyConfig(detail=self.detail, faces=self.faces)
        made, without = proxies.make_proxies(context, targets, self.use, config)
        note = f"; too thin or too transparent: {', '.join(without[:4])}" if without else ""
        return f"{counted(len(made), 'proxy').replace('proxys', 'proxies')} made{note}"


class BGS_OT_make_cage(NeedsTargets, bpy.types.Operator):
    """Make a box of points around each selected label object. Move its points in Edit Mode, then press Apply Cage."""

    bl_idname = "bgs.make_cage"
    bl_label = "Make Cage"

    points: bpy.props.IntProperty(
        name="Points", description="Points along each axis. More bend finer", default=2, min=2, max=cages.MOST_POINTS
    )

    def work(self, context: Context) -> str:
        targets = targets_of(context)
        if not targets:
            raise UsageError("No splat object is selected.", f"{NOTHING}.")
        made = cages.make_cages(context, targets, self.points)
        return f"{counted(len(made), 'cage')} made: move the points in Edit Mode, then press Apply Cage"


class BGS_OT_apply_cage(NeedsTargets, bpy.types.Operator):
    """Bend the Gaussians of the selected label objects as their cages are bent, with shapes and colors."""

    bl_idname = "bgs.apply_cage"
    bl_label = "Apply Cage"

    @classmethod
    def works_in_mode(cls, context: Context) -> bool:
        active = context.view_layer.objects.active
        in_cage = context.mode == "EDIT_MESH" and active is not None and active.get(companions.KIND) == companions.CAGE
        return in_cage or super().works_in_mode(context)

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        if reason:
            return reason
        caged = any(companions.companion_of(obj, companions.CAGE) for obj in targets_of(context))
        return "" if caged else "The selected objects have no cage: press Make Cage"

    def work(self, context: Context) -> str:
        bent = cages.apply_cages(context, targets_of(context))
        return f"{bent:,} Gaussians bent" if bent else "The cage was not bent: nothing has changed"


CLASSES = (BGS_OT_make_proxy, BGS_OT_make_cage, BGS_OT_apply_cage)
