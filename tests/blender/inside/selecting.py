"""Runs inside a real Blender with a window: real clicks, boxes and lassos on drawn splats, and clicks in the list.

Started by test_selecting.py; it reads /mnt/out/selecting.json. Each step says what was selected after it.
"""

import json
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
facts: dict[str, Any] = {"after": {}}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.show_tooltips = False  # one would cover the list
bpy.context.preferences.system.use_region_overlap = False


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def region(kind="WINDOW"):
    return next(r for r in area().regions if r.type == kind)


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region())


def whole():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat and not o.bgs.part_level)


def part(label):
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.part_level and o.bgs.part_key == label)


def middle(obj):
    """The place of an object's middle in the window, in pixels from its upper left corner."""
    position = np.empty(3 * len(obj.data.points), np.float32)
    obj.data.attributes["position"].data.foreach_get("vector", position)
    return on_screen(obj.matrix_world @ Vector(position.reshape(-1, 3).mean(0).tolist()))


def on_screen(place):
    at = location_3d_to_region_2d(region(), area().spaces.active.region_3d, place)
    return round(region().x + at.x), round(window().height - region().y - at.y)


def hand(*words):
    """Real events of the X server, while Blender goes on."""
    state["hand"] = subprocess.Popen(["xdotool", *map(str, words)])


def click(x, y, *keys):
    hand("mousemove", x, y, "sleep", PAUSE, *held("keydown", keys), "click", 1, "sleep", PAUSE, *held("keyup", keys))


def drag(points, *keys):
    moves = [w for x, y in points[1:] for w in ("mousemove", x, y, "sleep", PAUSE)]
    start = ["mousemove", *points[0], "sleep", PAUSE, *held("keydown", keys), "mousedown", 1, "sleep", PAUSE]
    hand(*start, *moves, "mouseup", 1, "sleep", PAUSE, *held("keyup", keys))


def held(action, keys):
    return [w for key in keys for w in (action, key, "sleep", PAUSE)]


def box_round(objects, margin=25):
    places = np.array([middle(obj) for obj in objects])
    low, high = places.min(0) - margin, places.max(0) + margin
    return [tuple(map(int, low)), tuple(map(int, (low + high) / 2)), tuple(map(int, high))]


def balls():
    """The label objects of the four balls, largest label first, as in the list."""
    return [part(row.key) for row in whole().bgs.labels if row.level == 1]


def step_open():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
        bpy.ops.bgs.make_collections()
        bpy.ops.ed.undo_push(message="Collections")


def step_view():
    view = area().spaces.active.region_3d
    view.view_perspective = "PERSP"
    view.view_location, view.view_distance = (0, 0, 0), 11
    view.view_rotation = Vector((0.1, -1, 0.5)).to_track_quat("Z", "Y")
    next(r for r in area().regions if r.type == "UI").active_panel_category = CATEGORY


PAUSE = 0.4  # seconds between two events: a frame of a software renderer takes most of this
SETTLE = 1.2  # seconds until Blender has done what the last event asks for
CATEGORY = "Gaussian Splat"


def step_click():
    with in_view():
        bpy.ops.object.select_all(action="DESELECT")
    click(*middle(balls()[0]))


def step_shift():
    click(*middle(balls()[1]), "shift")


def step_shift_again():
    click(*middle(balls()[1]), "shift")  # it is active, so Shift takes it out


def step_other():
    click(*middle(balls()[2]))


def step_undo():
    hand("key", "ctrl+z")


def step_nothing():
    click(region().x + 30, window().height - region().y - 30)


def step_box():
    drag(box_round(balls()[:1]))


def step_box_add():
    drag(box_round(balls()[3:]), "shift")


def step_b():
    """B, then a drag round all four."""
    points = box_round(balls())
    moves = [w for x, y in points[1:] for w in ("mousemove", x, y, "sleep", PAUSE)]
    hand("mousemove", *points[0], "sleep", PAUSE, "key", "b", "sleep", PAUSE, "mousedown", 1, "sleep", PAUSE,
         *moves, "mouseup", 1)  # fmt: skip


def step_box_subtract():
    drag(box_round(balls()[1:2]), "ctrl")


def step_lasso():
    with in_view():
        bpy.ops.wm.tool_set_by_id(name="builtin.select_lasso")
    (x0, y0), _, (x1, y1) = box_round(balls()[2:3])
    drag(loop(x0, y0, x1, y1))


def step_cube_before():
    """A cube nearer than a ball, so that the click hits the cube."""
    with in_view():
        bpy.ops.wm.tool_set_by_id(name="builtin.select_box")
        eye = area().spaces.active.region_3d.view_matrix.inverted().translation
        ball = whole_place(balls()[0])
        bpy.ops.mesh.primitive_cube_add(size=0.5, location=ball + (eye - ball) * 0.4)
        bpy.context.active_object.name = "Near"
        bpy.ops.mesh.primitive_cube_add(size=0.5, location=whole_place(balls()[1]) * 1.0)
        bpy.context.active_object.name = "Inside"
        bpy.ops.object.select_all(action="DESELECT")


def whole_place(obj):
    position = np.empty(3 * len(obj.data.points), np.float32)
    obj.data.attributes["position"].data.foreach_get("vector", position)
    return obj.matrix_world @ Vector(position.reshape(-1, 3).mean(0).tolist())


def step_near():
    click(*middle(balls()[0]))


def step_inside():
    click(*middle(balls()[1]))


def step_hide():
    """H hides the selected object; the label's eye closes."""
    for name in ("Near", "Inside"):
        bpy.data.objects.remove(bpy.data.objects[name])
    hand("mousemove", *middle(balls()[1]), "sleep", PAUSE, "key", "h")


def step_through():
    """Where a hidden ball was is nothing to click."""
    click(*middle(balls()[1]))


def step_tweak():
    """The Tweak tool moves what is dragged, and the press selects it."""
    with in_view():
        bpy.ops.wm.tool_set_by_id(name="builtin.select")
    x, y = middle(balls()[0])
    for obj in balls():
        obj.hide_set(False)
    facts["before_drag"] = list(balls()[0].location)
    drag([(x, y), (x + 20, y), (x + 40, y), (x + 60, y), (x + 80, y)])


def circle(number):
    """The place of a row's circle in the label list: left of the row's colour, which is found in a picture."""
    subprocess.run(["import", "-window", "root", str(OUT / "list.png")], check=True)
    data = subprocess.run(["convert", str(OUT / "list.png"), "-depth", "8", "ppm:-"], capture_output=True, check=True)
    _, size, _, pixels = data.stdout.split(b"\n", 3)
    width, height = map(int, size.split())
    image = np.frombuffer(pixels, np.uint8).reshape(height, width, 3) / 255.0
    row = [row for row in whole().bgs.labels if row.level == 1][number]
    here = (np.abs(image - np.array(row.color[:])).max(-1) < 0.03)[:, region("UI").x :]
    assert here.sum() > 50, (number, int(here.sum()))
    lines, columns = np.nonzero(here)
    return int(region("UI").x + np.quantile(columns, 0.05)) - 12, int(np.median(lines))


def step_scroll():
    """Bring the label list into the window, with the mouse wheel over the sidebar."""
    ui = region("UI")
    hand("mousemove", ui.x + 120, window().height - ui.y - 60, "sleep", PAUSE,
         *[w for _ in range(6) for w in ("click", 5, "sleep", 0.2)])  # fmt: skip


def step_row():
    click(*circle(0))


def step_row_ctrl():
    click(*circle(2), "ctrl")


def step_row_shift():
    """The range starts at the active row, which is the one clicked last."""
    click(*circle(3), "shift")


def step_row_name():
    """A click on the row itself makes it active and selects it alone."""
    x, y = circle(1)
    hand("mousemove", x + 70, y, "sleep", PAUSE, "mousemove", x + 72, y, "sleep", PAUSE,
         "mousedown", 1, "sleep", 0.2, "mouseup", 1)  # fmt: skip


def step_row_undo():
    hand("mousemove", *middle(balls()[0]), "sleep", PAUSE, "key", "ctrl+z")


def step_rename():
    balls()[0].name = "Chair"


def step_tool_lasso():
    """The tool for labels, on the whole cloud at level 2: a lasso round ball 0 takes its two halves."""
    with in_view():
        facts["after_drag"] = list(balls()[0].location)
        facts["boxes"] = [box_round([obj], margin=60 if n in (0, 2) else 45)[::2] for n, obj in enumerate(balls())]
        bpy.ops.bgs.merge_back()
        whole().bgs.level = 2
        bpy.ops.bgs.select_none()
        bpy.ops.wm.tool_set_by_id(name="bgs.lasso_labels")
    facts["halves"] = [row.label for row in whole().bgs.labels if row.level == 2]
    (x0, y0), (x1, y1) = facts["boxes"][0]
    drag(loop(x0, y0, x1, y1))


def loop(x0, y0, x1, y1):
    """A way round a box. The first bit of a drag only starts it, and a slow window may miss a point of each pair."""
    corners = [(x1, y0), (x1, y1), (x0, y1), (x0, y0 + 5)]
    return [(x0, y0), (x0 + 8, y0), *[(x + d, y + d) for x, y in corners for d in (0, 2)]]


def step_tool_add():
    (x0, y0), (x1, y1) = facts["boxes"][3]
    drag(loop(x0, y0, x1, y1), "shift")


def step_tool_click():
    (x0, y0), (x1, y1) = facts["boxes"][2]
    click((x0 + x1) // 2, (y0 + y1) // 2)


def step_tool_brush():
    """From the middle of ball 2 to the middle of ball 1, over nothing else at level 1."""
    with in_view():
        whole().bgs.level = 1
        bpy.ops.wm.tool_set_by_id(name="bgs.brush_labels_tool")
    centers = [((x0 + x1) // 2, (y0 + y1) // 2) for (x0, y0), (x1, y1) in facts["boxes"]]
    drag([centers[2], (centers[2][0] + 5, centers[2][1]), centers[1]])


def step_split_asks():
    """Two balls are one label. The dialog opens, and nothing changes yet."""
    with in_view():
        bpy.ops.bgs.select_label(index=0)
        bpy.ops.bgs.select_label("EXEC_DEFAULT", index=1, extend=True)
        bpy.ops.bgs.join_labels()
        bpy.ops.bgs.split_label("INVOKE_DEFAULT", distance=0.5)


def step_split_done():
    hand("key", "Return")


def step_show_all():
    """All labels show again, though only one had an object."""
    with in_view():
        bpy.ops.bgs.make_collections(only="SELECTED")
        facts["objects_before"] = sum(bool(obj.bgs.part_level) for obj in bpy.data.objects if obj.type == "POINTCLOUD")
        bpy.ops.bgs.show_all()
        facts["objects_after"] = sum(bool(obj.bgs.part_level) for obj in bpy.data.objects if obj.type == "POINTCLOUD")


STEPS = [
    step_open, step_view, step_click, step_shift, step_shift_again, step_other, step_undo, step_nothing, step_box,
    step_box_add, step_b, step_box_subtract, step_lasso, step_cube_before, step_near, step_inside, step_hide,
    step_through, step_tweak, step_scroll, step_row, step_row_ctrl, step_row_shift, step_row_name, step_row_undo,
    step_rename, step_tool_lasso, step_tool_add, step_tool_click, step_tool_brush,
    step_split_asks, step_split_done, step_show_all,
]  # fmt: skip
state: dict[str, Any] = {"next": 0, "name": None, "hand": None}


def note(name):
    rows = [row for row in whole().bgs.labels if row.level == 1]
    names = {} if name.startswith(("tool", "split")) else {obj.name: number for number, obj in enumerate(balls())}
    facts["after"][name] = {
        "objects": sorted(str(names.get(o.name, o.name)) for o in bpy.context.view_layer.objects if o.select_get()),
        "labels": [number for number, row in enumerate(rows) if row.selected],
        "active": whole().bgs.label_index,
        "marked": [row.label for row in whole().bgs.labels if row.level == 2 and row.selected],
        "hidden": [number for number, row in enumerate(rows) if row.hidden],
        "gaussians": selected(),
        "names": [row.name for row in rows],
        "titles": [] if name.startswith(("tool", "split")) else [obj.name for obj in balls()],
    }
    subprocess.run(["import", "-window", "root", str(OUT / f"selecting-{name}.png")], check=True)


def selected():
    out = np.zeros(len(whole().data.points), bool)
    attribute = whole().data.attributes.get(".selection")
    if attribute is not None:
        attribute.data.foreach_get("value", out)
    return int(out.sum())


def run():
    try:
        if state["hand"] is not None:
            if state["hand"].poll() is not None:
                state["hand"] = None
            return SETTLE
        if state["name"]:
            note(state["name"])
        if state["next"] >= len(STEPS):
            return end()
        work = STEPS[state["next"]]
        state["next"] += 1
        state["name"] = work.__name__.removeprefix("step_")
        work()
        area().tag_redraw()
        return SETTLE
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    (OUT / "selecting.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


facts["started"] = time.time()
bpy.app.timers.register(run, first_interval=2.5, persistent=True)
