"""Runs inside a real Blender with a window: proxies and cages are clicked through, edited, applied, undone, rendered.

Started by test_companions.py; it reads /mnt/out/companions.json.
"""

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
PAUSE, SETTLE = 0.4, 1.5  # seconds between two events, and until Blender has done what the last one asks for
facts: dict[str, Any] = {"clicked": {}}
state: dict[str, Any] = {"hand": None, "step": 0}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.show_tooltips = False
bpy.context.preferences.system.use_region_overlap = False


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def region():
    return next(r for r in area().regions if r.type == "WINDOW")


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region())


def balls():
    """The label objects of the four balls."""
    parts = [o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.part_level]
    return sorted(parts, key=lambda obj: obj.name)


def companion(obj, kind):
    return next((o for o in obj.children if o.get("bgs_companion") == kind), None)


def positions(obj):
    out = np.empty(3 * len(obj.data.points), np.float32)
    obj.data.attributes["position"].data.foreach_get("vector", out)
    return out.reshape(-1, 3)


def middle(obj):
    """The place of an object's middle in the window, in pixels from its upper left corner."""
    place = obj.matrix_world @ Vector(positions(obj).mean(0).tolist())
    at = location_3d_to_region_2d(region(), area().spaces.active.region_3d, place)
    return round(region().x + at.x), round(window().height - region().y - at.y)


def hand(*words):
    """Real events of the X server, while Blender goes on."""
    state["hand"] = subprocess.Popen(["xdotool", *map(str, words)])


def click(obj):
    hand("mousemove", *middle(obj), "sleep", PAUSE, "click", 1)


def picture(name):
    subprocess.run(["import", "-window", "root", str(OUT / f"companions-{name}.png")], check=True)


def select(*objects):
    bpy.ops.object.select_all(action="DESELECT")
    for obj in objects:
        obj.select_set(True)
        bpy.context.view_layer.objects.active = obj


def step_open():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
        bpy.ops.bgs.make_collections()
        bpy.ops.wm.tool_set_by_id(name="builtin.select_box")
    view = area().spaces.active.region_3d
    view.view_perspective = "PERSP"
    view.view_location, view.view_distance = (0, 0, 0), 11
    view.view_rotation = Vector((0.1, -1, 0.5)).to_track_quat("Z", "Y")


def step_proxies():
    """Ball 0 gets a wire, ball 1 a mesh that covers it."""
    next(r for r in area().regions if r.type == "UI").active_panel_category = "Gaussian Splat"
    with in_view():
        select(balls()[0])
        bpy.ops.bgs.make_proxy(use="SHADOW")
        select(balls()[1])
        bpy.ops.bgs.make_proxy(use="PLAIN")
        bpy.ops.object.select_all(action="DESELECT")


def step_click_wire():
    picture("proxies")
    click(balls()[0])


def step_click_mesh():
    facts["clicked"]["wire"] = [o.name for o in bpy.data.objects if o.select_get()] == [balls()[0].name]
    click(balls()[1])


def step_cage():
    facts["clicked"]["mesh"] = [o.name for o in bpy.data.objects if o.select_get()] == [balls()[1].name]
    with in_view():
        select(balls()[2])
        bpy.ops.ed.undo_push(message="before")
        bpy.ops.bgs.make_cage("EXEC_DEFAULT", True, points=3)
        cage = companion(balls()[2], "cage")
        facts["cage_is_active"] = bpy.context.view_layer.objects.active == cage
        bpy.ops.object.mode_set(mode="EDIT")


def step_bend():
    """Stretch the cage with real keys: S Z 2 Enter, with all points selected."""
    state["before"] = positions(balls()[2])
    hand("mousemove", *middle(balls()[2]), "sleep", PAUSE, "key", "a", "sleep", PAUSE, "key", "s", "sleep", PAUSE,
         "key", "z", "sleep", PAUSE, "key", "2", "sleep", PAUSE, "key", "Return")  # fmt: skip


def step_apply():
    picture("cage")
    with in_view():
        bpy.ops.bgs.apply_cage("EXEC_DEFAULT", True)
    facts["mode"] = bpy.context.mode


def step_applied():
    picture("bent")
    before, after = state["before"], positions(balls()[2])
    facts["stretched"] = (np.ptp(after, axis=0) / np.ptp(before, axis=0)).tolist()
    facts["cage_is_gone"] = companion(balls()[2], "cage") is None
    hand("mousemove", *middle(balls()[3]), "sleep", PAUSE, "key", "ctrl+z")


def step_undone():
    facts["undone"] = bool(np.array_equal(positions(balls()[2]), state["before"]))
    facts["cage_is_back"] = companion(balls()[2], "cage") is not None
    facts["mode_after_undo"] = bpy.context.mode
    if bpy.context.mode != "OBJECT":
        with in_view():
            bpy.ops.object.mode_set(mode="OBJECT")


def step_holdout():
    """A bright plane behind ball 3, whose proxy is a holdout: Eevee and Cycles leave a hole in the plane."""
    scene = bpy.context.scene
    with in_view():
        select(balls()[3])
        bpy.ops.bgs.make_proxy(use="HOLDOUT")
        proxy = companion(balls()[3], "proxy")
        place = proxy.matrix_world @ Vector(np.mean([v.co for v in proxy.data.vertices], axis=0).tolist())
        bpy.ops.mesh.primitive_plane_add(size=20, location=place + Vector((0, 0, -2)))
        plane = bpy.context.active_object
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    camera.location, camera.data.type, camera.data.ortho_scale = place + Vector((0, 0, 6)), "ORTHO", 6
    scene.camera = camera
    for obj in bpy.data.objects:
        obj.hide_render = obj not in (proxy, plane, camera)
    scene.render.resolution_x = scene.render.resolution_y = 48
    scene.render.film_transparent = True
    engines = bpy.types.RenderSettings.bl_rna.properties["engine"].enum_items
    for engine in [e.identifier for e in engines if "EEVEE" in e.identifier] + ["CYCLES"]:
        scene.render.engine = engine
        if engine == "CYCLES":
            scene.cycles.samples, scene.cycles.use_denoising = 4, False
        path = OUT / f"companions-holdout-{engine}.png"
        scene.render.filepath, scene.render.image_settings.color_mode = str(path), "RGBA"
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(path))
        pixels = np.empty(48 * 48 * 4, np.float32)
        image.pixels.foreach_get(pixels)
        alpha = pixels.reshape(48, 48, 4)[..., 3]
        facts.setdefault("holdout", {})["EEVEE" if "EEVEE" in engine else engine] = [
            float(alpha[24, 24]),
            float(alpha[2, 2]),
        ]


STEPS = [
    step_open, step_proxies, step_click_wire, step_click_mesh, step_cage, step_bend, step_apply, step_applied,
    step_undone, step_holdout,
]  # fmt: skip


def walk():
    """One step at a time, when the hand has finished and Blender has had time to answer."""
    if state["hand"] is not None and state["hand"].poll() is None:
        return 0.1
    if state["hand"] is not None:
        state["hand"] = None
        return SETTLE
    try:
        if state["step"] < len(STEPS):
            STEPS[state["step"]]()
            state["step"] += 1
            return SETTLE
    except Exception:
        facts["error"] = f"{STEPS[state['step']].__name__}: {traceback.format_exc()}"
    (OUT / "companions.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(walk, first_interval=3)
