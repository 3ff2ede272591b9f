"""Runs inside a real Blender with a window: real clicks with the tool Click to Select.

Started by test_clicking_in_window.py; it reads /mnt/out/clicking.json. Each step says what there is after it.
"""

import hashlib
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).parent))
import desk
from desk import PAUSE, area, click, column, drag, facts, hand, in_view, whole

SETTLE = 1.5  # seconds until Blender has done what the last event asks for
BALL = 1500
ADDON = "bl_ext.user_default.binary_gaussian_segmentation"
asking = __import__(f"{ADDON}.clicking.asking", fromlist=["asking"]).asking


def ball(number, upper=0.0):
    """The place of a ball's middle in the window, in pixels from its upper left corner, wherever its object is."""
    for obj in bpy.context.view_layer.objects:
        if obj.type != "POINTCLOUD" or not obj.visible_get():
            continue
        rows = column(obj, "bgs_row", "value", 1, np.int32)[:, 0]
        mine = (rows >= BALL * number) & (rows < BALL * (number + 1))
        if mine.any():
            return desk.on_screen(desk.world_middle(obj, mine) + Vector((0, 0, upper)))
    raise AssertionError(f"ball {number} is nowhere")


def fingerprint():
    """Of every attribute of every splat, of the label list and of the places of objects."""
    digest = hashlib.sha256()
    for obj in sorted(bpy.data.objects, key=lambda one: one.name):
        digest.update(repr((obj.name, [list(row) for row in obj.matrix_world], obj.select_get())).encode())
        if obj.type == "POINTCLOUD":
            for attribute in sorted(obj.data.attributes, key=lambda one: one.name):
                width, kind, key = KINDS[attribute.data_type]
                digest.update(attribute.name.encode() + column(obj, attribute.name, key, width, kind).tobytes())
            listed = [(r.level, r.key, r.name, tuple(r.color), r.hidden, r.selected) for r in obj.bgs.labels]
            digest.update(repr((listed, obj.bgs.label_index, obj.bgs.level, obj.bgs.level_bits)).encode())
    return digest.hexdigest()


KINDS = {
    "FLOAT": (1, np.float32, "value"), "INT": (1, np.int32, "value"), "BOOLEAN": (1, np.bool_, "value"),
    "INT32_2D": (2, np.int32, "value"), "FLOAT_VECTOR": (3, np.float32, "vector"),
    "QUATERNION": (4, np.float32, "value"), "FLOAT_COLOR": (4, np.float32, "color"),
    "FLOAT4": (4, np.float32, "vector"),
}  # fmt: skip


def key(name):
    desk.press(name, ball(0))


def step_open():
    desk.remove_all()
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=desk.GIVEN[0])
        bpy.ops.bgs.click_tool()
        bpy.ops.ed.undo_push(message="Opened")


def step_view():
    desk.view_from((0.1, -1, 0.5), 11)
    area().spaces.active.show_region_ui = True


def step_click():
    facts["before"] = fingerprint()
    click(ball(0))


def step_larger():
    """Alt and the wheel, which is button 4."""
    hand("mousemove", *ball(0), "sleep", PAUSE, "keydown", "alt", "sleep", PAUSE, "click", 4, "sleep", PAUSE,
         "keyup", "alt")  # fmt: skip


def step_beside():
    """Ctrl Click on the next ball: it goes out of the large suggestion."""
    click(ball(1), "ctrl")


def step_take_back():
    key("ctrl+z")


def step_smaller():
    key("minus")


def step_smallest():
    key("minus")


def step_escape():
    key("Escape")


def step_poll():
    """Without a suggestion, Ctrl Z is Blender's again."""
    facts["undo_poll"] = bpy.ops.bgs.take_back_place.poll()


def step_again():
    click(ball(0))


def step_part():
    key("minus")


def step_accept():
    key("Return")


def step_undo():
    key("ctrl+z")


def step_redo():
    key("ctrl+shift+z")


def step_box():
    """A box round the upper part of a ball marks Gaussians of its front."""
    x, y = ball(2)
    drag([(x - 30, y - 30), (x - 20, y - 20), (x, y - 10), (x + 30, y + 5)])


def step_box_accept():
    """Shift Enter: they belong to the active label, which is that of the last suggestion."""
    key("shift+Return")


def mark_with(shape):
    tool = bpy.context.workspace.tools.from_space_view3d_mode("OBJECT", create=False)
    tool.operator_properties("bgs.mark_area").shape = shape


def step_brush_larger():
    """The key ] makes the brush larger."""
    mark_with("BRUSH")
    key("bracketright")


def step_brush_dragged():
    """F, and the distance to the mouse becomes the radius."""
    x, y = ball(0)
    hand("mousemove", x, y, "sleep", PAUSE, "key", "f", "sleep", PAUSE, "mousemove", x + 5, y, "sleep", PAUSE,
         "mousemove", x + 10, y, "sleep", PAUSE, "click", 1)  # fmt: skip


def step_brush():
    """A stroke from one ball to the next marks Gaussians of the front of both."""
    (x, y), (x1, y1) = ball(2), ball(1)
    drag([(x, y), (x + 5, y), ((x + x1) // 2, (y + y1) // 2), (x1, y1)])


def step_brush_beside():
    """With Ctrl, what the stroke touches is taken away."""
    x, y = ball(1)
    drag([(x, y - 8), (x, y - 3), (x + 3, y), (x, y + 3)], "ctrl")


def step_brush_escape():
    key("Escape")
    mark_with("BOX")


def step_hide():
    with in_view():
        code = whole().data.attributes["bgs_code"].data[BALL].value & 0xFFFFFFFF
        row = next(r for r in whole().bgs.labels if r.level == 1 and (r.key & 0xFFFFFFFF) == code >> 20)
        row.hidden = True
        bpy.ops.ed.undo_push(message="Hidden")


def step_hidden_click():
    click(ball(0))


def step_hidden_large():
    key("equal")


def step_objects():
    """Label objects, and one of them was moved."""
    with in_view():
        bpy.ops.bgs.cancel_pointing()
        bpy.ops.bgs.show_all()
        bpy.ops.bgs.make_collections()
        code = whole().data.attributes["bgs_code"].data[3 * BALL].value & 0xFFFFFFFF
        part = next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.part_level
                    and (o.bgs.part_key & 0xFFFFFFFF) == code >> 20)  # fmt: skip
        part.location.z += 2.0
        part.rotation_euler.z += 0.7
        bpy.context.view_layer.update()
        bpy.ops.ed.undo_push(message="Moved")


def step_object_click():
    click(ball(3))


def step_object_accept():
    """Of the ball that was moved, a part gets a label and an object."""
    hand("mousemove", *ball(3), "sleep", PAUSE, "key", "minus", "sleep", 1, "key", "Return")


def step_tool_left():
    """Another tool ends the pointing."""
    click(ball(0))


def step_tool_gone():
    with in_view():
        bpy.ops.wm.tool_set_by_id(name="builtin.select_box")


STEPS = [
    step_open, step_view, step_click, step_larger, step_beside, step_take_back, step_smaller, step_smallest,
    step_escape, step_poll, step_again, step_part, step_accept, step_undo, step_redo, step_box,
    step_box_accept, step_brush_larger, step_brush_dragged, step_brush, step_brush_beside, step_brush_escape,
    step_hide, step_hidden_click, step_hidden_large, step_objects, step_object_click,
    step_object_accept, step_tool_left, step_tool_gone,
]  # fmt: skip


def note(name):
    obj, pointing = whole(), asking.pointing
    points = None if pointing is None else pointing.points()
    codes = column(obj, "bgs_code", "value", 1, np.int32)[:, 0] if obj.data.attributes.get("bgs_code") else None
    facts["after"][name] = {
        "steps": None if pointing is None else [step.inside for step in pointing.steps],
        "marked": None if pointing is None else [
            None if step.marked is None else np.bincount(np.flatnonzero(step.marked) // BALL, minlength=4).tolist()
            for step in pointing.steps],
        "suggested": None if points is None else np.bincount(np.flatnonzero(points) // BALL, minlength=4).tolist(),
        "radius": bpy.context.scene.bgs_view.brush_radius,
        "words": None if pointing is None else pointing.words(),
        "problem": asking.problem or (pointing.problem if pointing is not None else ""),
        "labels": len({r.key for r in obj.bgs.labels if r.level == 1}),
        "codes": None if codes is None else hashlib.sha256(codes.tobytes()).hexdigest(),
        "selected": int(column(obj, ".selection", "value", 1, np.bool_).sum())
        if obj.data.attributes.get(".selection") else 0,
        "objects": sum(bool(o.bgs.part_level) for o in bpy.data.objects if o.type == "POINTCLOUD"),
        "print": fingerprint(),
    }  # fmt: skip


def busy():
    """Whether an answer is still to come."""
    pointing = asking.pointing
    return pointing is not None and not pointing.problem and pointing.answered != pointing.asked


facts["after"] = {}
desk.walk("clicking", desk.named(STEPS, SETTLE), note, busy)
