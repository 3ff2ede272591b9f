"""Runs inside a real Blender with a window: the true-splat display from several cameras, modes, and its odd corners.

Started by test_splats.py; pictures and /mnt/out/splats.json are what it leaves. Each step says what is to be on the
screen; the picture is taken after the window has drawn it.
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
from mathutils import Matrix, Vector

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
facts: dict[str, Any] = {"cases": {}}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.system.use_region_overlap = False


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def space():
    return area().spaces.active


def region():
    return next(r for r in area().regions if r.type == "WINDOW")


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region())


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat and o.name != "Other")


def package():
    import bl_ext.user_default.binary_gaussian_segmentation as extension

    return extension


def display():
    from bl_ext.user_default.binary_gaussian_segmentation.viewport import draw

    return draw.display


def note(name):
    """Everything that is needed to paint the same picture elsewhere."""
    r, v = region(), space().region_3d
    top = window().height - r.y - r.height
    facts["cases"][name] = {
        "box": [r.x, top, r.x + r.width, top + r.height],
        "projection": [list(row) for row in v.window_matrix],
        "view": [list(row) for row in v.view_matrix],
        "matrix": [list(row) for row in splat().matrix_world],
        "pictures": display().drawn_pictures,
    }


def step_open():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    s = space()
    s.show_region_header = s.show_region_toolbar = s.show_region_ui = s.show_gizmo = False
    s.overlay.show_overlays = False
    s.shading.background_type, s.shading.background_color = "VIEWPORT", (0, 0, 0)
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
    splat().bgs.color_mode = "COLOR"
    splat().select_set(False)
    facts["modifiers"] = [m.type for m in splat().modifiers]


def step_persp():
    v = space().region_3d
    v.view_perspective = "PERSP"
    v.view_location, v.view_distance = (0.3, 0.2, 0.1), 8
    v.view_rotation = Vector((0.4, -0.8, 0.45)).to_track_quat("Z", "Y")


def step_ortho():
    space().region_3d.view_perspective = "ORTHO"


def step_shift():
    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.location = (4, -7, 3.5)
    camera.rotation_euler = (Vector((0, 0, 0.3)) - camera.location).to_track_quat("-Z", "Y").to_euler()
    data.show_passepartout = False
    data.shift_x, data.shift_y, data.lens = 0.12, -0.08, 40
    space().region_3d.view_perspective = "CAMERA"


def step_moved():
    step_persp()
    splat().matrix_world = (
        Matrix.Translation((0.4, 0.5, -0.3)) @ Matrix.Rotation(0.7, 4, (1, 2, 3)) @ Matrix.Scale(1.4, 4)
        @ splat().matrix_world
    )  # fmt: skip


def step_stretched():
    splat().matrix_world = splat().matrix_world @ Matrix.Diagonal((1, 0.5, 1.3, 1))


def step_label():
    splat().matrix_world = Matrix(np.array(splat().bgs.import_matrix).reshape(4, 4).tolist())
    splat().bgs.color_mode, splat().bgs.level = "LABEL", 1
    facts["label_colors"] = {row.label: list(row.color) for row in splat().bgs.labels if row.level == 1}


def step_rendered():
    bpy.context.scene.render.engine = "CYCLES"
    bpy.context.scene.cycles.device = "CPU"
    bpy.context.scene.world = None
    space().shading.type = "RENDERED"


def step_hidden():
    space().shading.type = "SOLID"
    before = display().atlas_number
    splat().bgs.labels[0].hidden = True
    facts["hidden_label"] = splat().bgs.labels[0].label
    facts["atlas_before"] = before


def step_two():
    """A second splat among the first: sorted together. A mesh between them."""
    facts["atlas_after_hiding"] = display().atlas_number
    splat().bgs.labels[0].hidden = False
    splat().bgs.color_mode = "COLOR"
    other = splat().copy()
    other.data = splat().data.copy()
    other.name = "Other"
    other.matrix_world = Matrix.Translation((0.9, 0.7, 0.2)) @ other.matrix_world
    bpy.context.scene.collection.objects.link(other)
    facts["other"] = [list(row) for row in other.matrix_world]


def step_collection():
    """An instance of the splat's collection, in the place of the second splat."""
    bpy.data.objects.remove(bpy.data.objects["Other"])
    kit = bpy.data.collections.new("Kit")
    kit.objects.link(splat())
    empty = bpy.data.objects.new("Other", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", kit
    empty.location = (0.9, 0.7, 0.2)
    bpy.context.scene.collection.objects.link(empty)


def step_nodes():
    """The splat on a vertex by geometry nodes, in the same place."""
    bpy.data.objects.remove(bpy.data.objects["Other"])
    mesh = bpy.data.meshes.new("Point")
    mesh.from_pydata([(0.9, 0.7, 0.2)], [], [])
    carrier = bpy.data.objects.new("Other", mesh)
    bpy.context.scene.collection.objects.link(carrier)
    group = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    info, put = group.nodes.new("GeometryNodeObjectInfo"), group.nodes.new("GeometryNodeInstanceOnPoints")
    info.transform_space = "RELATIVE"
    info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = splat(), True
    group.links.new(group.nodes.new("NodeGroupInput").outputs[0], put.inputs["Points"])
    group.links.new(info.outputs["Geometry"], put.inputs["Instance"])
    group.links.new(put.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])
    carrier.modifiers.new("Scatter", "NODES").node_group = group


def step_mesh():
    facts["rows_with_instance"] = len(display().atlas)
    bpy.data.objects.remove(bpy.data.objects["Other"])
    bpy.ops.mesh.primitive_cube_add(size=2.4, location=(0, 0, 0))
    space().overlay.show_overlays = False
    facts["cube_corners"] = [list(bpy.context.active_object.matrix_world @ Vector(c)) for c in
                             bpy.context.active_object.bound_box]  # fmt: skip


def step_clipped():
    bpy.data.objects.remove(bpy.context.active_object)
    r = region()
    with in_view():
        bpy.ops.view3d.clip_border(xmin=0, xmax=r.width // 2, ymin=0, ymax=r.height, wait_for_input=False)
    facts["clipping"] = [list(p) for p in space().region_3d.clip_planes]
    facts["uses_clipping"] = space().region_3d.use_clip_planes


def step_xray():
    space().region_3d.use_clip_planes = False
    space().shading.type = "WIREFRAME"


def step_picked():
    """Pick follows the mouse: outline and name of what is under it; a click selects."""
    from bl_ext.user_default.binary_gaussian_segmentation.labelling import pick
    from bl_ext.user_default.binary_gaussian_segmentation.viewport import hover

    space().shading.type = "SOLID"
    overlay = space().overlay
    overlay.show_overlays = True  # outlines and names are overlays; Blender's own would be in the picture
    overlay.show_floor = overlay.show_axis_x = overlay.show_axis_y = overlay.show_cursor = overlay.show_text = False
    overlay.show_extras = overlay.show_object_origins = False
    splat().select_set(False)
    splat().bgs.level, splat().bgs.color_mode = 1, "COLOR"
    bpy.context.view_layer.objects.active = splat()
    bpy.context.scene.bgs_view.legend = True
    target = center_of(splat().bgs.labels[1])
    facts["aim"] = list(target)
    with in_view():
        row = hover.row_under_mouse(bpy.context, splat(), (target[0], target[1]))
        facts["picked_row_label"] = label_of(row)
        facts["wanted_label"] = splat().bgs.labels[1].key
        pick.pick(splat(), row, False)
        follow(splat().bgs.labels[2])


def follow(row):
    from bl_ext.user_default.binary_gaussian_segmentation.viewport import draw, hover, tags

    at = center_of(row)
    follower = hover.Follower()
    started = time.perf_counter()
    assert follower.mouse_moved(bpy.context, splat(), at)
    facts["hover_call"] = time.perf_counter() - started
    while not follower.show_answer() and time.perf_counter() - started < 5:
        time.sleep(0.01)
    facts["hovered"] = draw.display.hover.label if draw.display.hover else None
    facts["hover_wanted"] = row.label
    tags.follow[:] = [(region().as_pointer(), *at)]


def center_of(row):
    from bpy_extras.view3d_utils import location_3d_to_region_2d

    position = np.empty(3 * len(splat().data.points), np.float32)
    splat().data.attributes["position"].data.foreach_get("vector", position)
    label = np.empty(len(splat().data.points), np.int32)
    splat().data.attributes["bgs_label"].data.foreach_get("value", label)
    middle = position.reshape(-1, 3)[label == row.key].mean(0).tolist()
    at = location_3d_to_region_2d(region(), space().region_3d, splat().matrix_world @ Vector(middle))
    return at.x, at.y


def label_of(row):
    return None if row is None else splat().data.attributes["bgs_label"].data[row].value


def step_mixed():
    from bl_ext.user_default.binary_gaussian_segmentation.viewport import draw, tags

    tags.follow.clear()
    draw.display.hover = None
    with in_view():
        bpy.ops.bgs.select_none()
    bpy.context.scene.bgs_view.legend = False
    space().overlay.show_overlays = False
    splat().bgs.color_mode = "MIXED"


def step_confidence():
    cloud = splat().data
    count = len(cloud.points)
    cloud.attributes.new("bgs_confidence", "FLOAT", "POINT")
    values = np.linspace(0, 1, count).astype(np.float32)
    cloud.attributes["bgs_confidence"].data.foreach_set("value", values)
    splat().bgs.color_mode = "CONFIDENCE"


def step_rested():
    """The ways of large splats: sorted in the thread, thinned out while the view moves, whole again at rest."""
    from bl_ext.user_default.binary_gaussian_segmentation.viewport import draw, views

    splat().bgs.color_mode = "COLOR"
    views.AT_ONCE, draw.MOVING_LIMIT = 0, 500
    facts["before_moving"] = display().drawn_pictures
    space().region_3d.view_rotation = Vector((-0.5, -0.8, 0.3)).to_track_quat("Z", "Y")


def step_edited():
    """An edit while hidden is seen when shown again; of two splats one is deleted."""
    facts["after_moving"] = display().drawn_pictures
    other = splat().copy()
    other.data = splat().data.copy()
    other.name = "Other"
    bpy.context.scene.collection.objects.link(other)
    facts["rows"] = len(splat().data.points)


def step_edited_hidden():
    facts["rows_of_two"] = len(display().atlas)
    bpy.data.objects.remove(bpy.data.objects["Other"])
    splat().hide_set(True)


def step_edited_shown():
    position = splat().data.attributes["position"]
    values = np.empty(3 * len(splat().data.points), np.float32)
    position.data.foreach_get("vector", values)
    position.data.foreach_set("vector", (values.reshape(-1, 3) + np.array([0, 0, 0.5], np.float32)).ravel())
    splat().data.update_tag()
    bpy.context.view_layer.update()


def step_shown_again():
    splat().hide_set(False)


def step_deleted():
    facts["rows_of_one"] = len(display().atlas)

    bpy.data.objects.remove(splat())


def step_after():
    facts["atlas_after_delete"] = display().atlas is None


# (what to do, seconds for the window to draw, picture)
STEPS = [
    (step_open, 1.5, None),
    (step_persp, 1.2, "persp"),
    (step_ortho, 1.2, "ortho"),
    (step_shift, 1.2, "shift"),
    (step_moved, 1.2, "moved"),
    (step_stretched, 1.2, "stretched"),
    (step_label, 1.2, "label"),
    (step_rendered, 4.0, "in_rendered"),
    (step_hidden, 1.2, "hidden"),
    (step_two, 1.2, "two"),
    (step_collection, 1.2, "collection"),
    (step_nodes, 1.2, "nodes"),
    (step_mesh, 1.2, "mesh"),
    (step_clipped, 1.2, "clipped"),
    (step_xray, 1.2, "wireframe"),
    (step_picked, 1.5, "outlined"),
    (step_mixed, 1.2, "mixed"),
    (step_confidence, 1.2, "confidence"),
    (step_rested, 2.0, "rested"),
    (step_edited, 1.0, None),
    (step_edited_hidden, 1.0, None),
    (step_edited_shown, 1.0, None),
    (step_shown_again, 1.2, "edited"),
    (step_deleted, 1.2, "deleted"),
    (step_after, 0.2, None),
]
state: dict[str, Any] = {"next": 0, "shot": None}


def run():
    try:
        if state["shot"]:
            name = state["shot"]
            if name != "deleted":
                note(name)
            subprocess.run(["import", "-window", "root", str(OUT / f"splats-{name}.png")], check=True)
            state["shot"] = None
        if state["next"] >= len(STEPS):
            return end()
        work, seconds, state["shot"] = STEPS[state["next"]]
        state["next"] += 1
        work()
        area().tag_redraw()
        return seconds
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    (OUT / "splats.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
