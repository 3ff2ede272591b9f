"""The Pick operator. A click selects the label under the mouse, and another click its parent. Shift adds."""

from typing import cast

import bpy
from bgs_engine.core.errors import BgsError

from ..cloud import code_tables, selection
from ..cloud.active_splat import need_splat
from ..cloud.typed import Context, Returned, SplatObject
from ..interface.operator_base import NeedsLabels
from ..viewport import tags
from ..viewport.draw import display
from ..viewport.hover import Follower, row_under_mouse
from .operators import select_at

HOVER_TICK = 0.08  # seconds between two updates of the label under a moving mouse


def pick(obj: SplatObject, row: int, extend: bool) -> str:
    """Select the label of Gaussian `row` at the shown level, or its parent if that label is selected already.

    Returns a message for the user.
    """
    splat = obj.bgs
    level = splat.shown_level
    if 0 <= splat.picked_row < len(obj.data.points) and not extend:
        codes, layout = code_tables.codes_of(obj), code_tables.bit_layout_of(obj)
        again = layout.labels(codes[[splat.picked_row, row]], max(1, splat.picked_level))
        if again[0] == again[1] and selection.selected(obj)[row]:
            level = max(1, splat.picked_level - 1)
    return select_at(obj, row, level, extend)


class BGS_OT_pick(NeedsLabels, bpy.types.Operator):
    """Click a Gaussian to select its label. Click again to select the parent. Shift adds. Esc ends."""

    bl_idname = "bgs.pick"
    bl_label = "Pick"

    def invoke(self, context: Context, _event: bpy.types.Event) -> Returned:
        context.window.cursor_modal_set("EYEDROPPER")
        self._follower, self._asked = Follower(), (0, 0)
        self._timer = context.window_manager.event_timer_add(HOVER_TICK, window=context.window)
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set("Click: select label    Click again: select parent    Shift: add    Esc: end")
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: bpy.types.Event) -> Returned:
        if event.type in {"ESC", "RIGHTMOUSE", "RET"} and event.value == "PRESS":
            self._end(context)
            return {"FINISHED"}
        if event.type == "TIMER":
            self._follow(context, event)
            return {"PASS_THROUGH"}
        if event.type != "LEFTMOUSE" or event.value != "PRESS":
            return {"PASS_THROUGH"}
        found = _region_at(context, event.mouse_x, event.mouse_y)
        if found is None:
            return {"PASS_THROUGH"}  # the panel or another editor handles this click
        area, region = found
        obj = need_splat(context)
        try:
            with context.temp_override(area=area, region=region):  # type: ignore[attr-defined]
                row = row_under_mouse(
                    cast(Context, bpy.context), obj, (event.mouse_x - region.x, event.mouse_y - region.y)
                )
            message = "There is no Gaussian under the mouse" if row is None else pick(obj, row, event.shift)
        except BgsError as error:
            message = str(error)
        else:
            bpy.ops.ed.undo_push(message="Pick")
        area.header_text_set(None)
        self.report({"INFO"}, message)
        return {"RUNNING_MODAL"}

    def cancel(self, context: Context) -> None:
        """Called when Blender ends the operator, because another file opens or the window closes."""
        self._end(context)

    def _end(self, context: Context) -> None:
        context.window_manager.event_timer_remove(self._timer)
        self._follower.stop()
        tags.follow.clear()
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)

    def _follow(self, context: Context, event: bpy.types.Event) -> None:
        """Outline and name the label under the mouse if the mouse has moved since the last answer."""
        self._follower.show_answer()
        place = (event.mouse_x, event.mouse_y)
        found = _region_at(context, *place)
        if found is None and display.hover is not None:
            self._follower.stop()  # the mouse has left the view
            tags.follow.clear()
            self._asked = (0, 0)
        if found is None or place == self._asked:
            return
        area, region = found
        mouse = (event.mouse_x - region.x, event.mouse_y - region.y)
        tags.follow[:] = [(region.as_pointer(), *mouse)]
        try:
            with context.temp_override(area=area, region=region):  # type: ignore[attr-defined]
                asked = self._follower.mouse_moved(cast(Context, bpy.context), need_splat(context), mouse)
        except BgsError:
            asked = True  # the splat has no labels any more, so there is nothing to name
        if asked:
            self._asked = place

    def work(self, _context: Context) -> None:
        """Do nothing, because picking needs a mouse."""


def _region_at(context: Context, x: int, y: int) -> tuple[bpy.types.Area, bpy.types.Region] | None:
    """The 3D view at a window position in pixels, or None if another region (sidebar, toolbar, header) covers it."""
    for area in context.screen.areas:
        if area.type != "VIEW_3D" or not (area.x <= x < area.x + area.width and area.y <= y < area.y + area.height):
            continue
        hit = [r for r in area.regions if r.x <= x < r.x + r.width and r.y <= y < r.y + r.height
               and r.width > 1 and r.height > 1]  # fmt: skip
        if len(hit) == 1 and hit[0].type == "WINDOW":
            return area, hit[0]
    return None


CLASSES = (BGS_OT_pick,)
