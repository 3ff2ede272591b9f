# mypy: disable-error-code="arg-type, assignment, attr-defined, call-arg"
# (The stubs of the gpu module lack framebuffers and buffers.)
"""The draw handler. It draws every visible splat of the view layer with the right depth against Blender's objects."""

import time
from dataclasses import dataclass, field
from typing import cast

import bpy
import gpu
import numpy as np
from mathutils import Matrix

from ..cloud import point_clouds
from ..cloud.typed import Context, SplatObject
from . import atlas as atlases
from . import look as looks
from . import places, placing, shaders, timing
from .ordering import Request, Sorter
from .timing import in_driver
from .views import KEPT_SECONDS, MOVING_SECONDS, Pictures, View, background_color, slab

MOVING_LIMIT = 1_500_000  # largest number of Gaussians drawn while the view moves; the others follow when it rests
HOVER_TINT, PICK_TINT = (1.0, 1.0, 1.0), (1.0, 0.35, 0.0)  # linear; the second is Blender's orange for selections
PREVIEW_TINT, PREVIEW_SHARE = (0.0, 0.45, 1.0), 0.4  # a suggestion is not selected yet, and one must see its inside
SOLID = ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "VOLUME", "GPENCIL", "GREASEPENCIL", "ARMATURE")
POLL_SECONDS = 0.01  # between two checks of the sorting thread


@dataclass
class Display:
    """The state of the drawing while the extension is enabled. It is not saved."""

    atlas: atlases.Atlas | None = None
    atlas_number: int = 0
    look: looks.Look | None = None
    look_number: int = 0
    look_key: tuple[object, ...] = ()
    hover: looks.Hover | None = None
    preview: dict[int, np.ndarray] | None = None  # shown in place of selections, see `SelectionReader`
    scene_number: int = 0  # grows with every change in the file
    alive_number: int = -1  # scene_number at the last check whether all members still exist
    changed: set[int] = field(default_factory=set)  # session_uid of clouds whose attributes may have changed
    unchecked: set[int] = field(default_factory=set)  # changed clouds whose geometry has not been compared yet
    sorter: Sorter = field(default_factory=Sorter)
    views: dict[int, View] = field(default_factory=dict)
    programs: dict[str, shaders.Program] = field(default_factory=dict)
    python_seconds: float = 0.0  # of the last redraw, without calls to the graphics driver; for the benchmark
    drawn_pictures: int = 0

    def forget(self) -> None:
        """Free everything, because another file is opened or the extension is disabled."""
        self.sorter.stop()
        self.views.clear()
        self.atlas = self.look = self.hover = self.preview = None
        self.atlas_number += 1
        self.look_key = ()
        places.forget()
        self.changed.clear()
        self.unchecked.clear()


display = Display()


def draw() -> None:
    """Draw the splats. Blender calls it for every 3D view that it redraws."""
    context = cast(Context, bpy.context)
    if context.region_data is None:
        return
    started = time.perf_counter()
    timing.driver_seconds = 0.0
    shown = places.shown_places(context, display.scene_number)
    if shown and _prepare(list({place.obj.session_uid: place.obj for place in shown}.values())):
        _draw_view(context, shown)
        display.python_seconds = time.perf_counter() - started - timing.driver_seconds
    elif not shown and display.atlas is not None:
        _drop_if_gone()


def _drop_if_gone() -> None:
    """Free the textures if none of their objects exists any more."""
    alive = {o.session_uid for o in bpy.data.objects if o.type == "POINTCLOUD"}
    if display.atlas is not None and not any(m.object_uid in alive for m in display.atlas.members):
        display.forget()


def _prepare(objects: list[SplatObject]) -> bool:
    """Update textures and colours. Returns whether there is anything to draw."""
    atlas = display.atlas
    display.unchecked |= display.changed
    if (
        atlas is None
        or _an_object_is_gone(atlas)
        or any(atlas.member(o) is None for o in objects)
        or _geometry_changed(atlas, objects)
    ):
        # The new textures include objects that were shown before, so that showing them again uploads nothing.
        known = {m.object_uid for m in atlas.members} if atlas else set()
        wanted = {o.session_uid for o in objects} | known
        splats = [o for o in bpy.data.objects if o.type == "POINTCLOUD" and point_clouds.is_splat(o)]
        display.atlas = atlases.build([o for o in splats if o.session_uid in wanted], atlas)
        display.atlas_number += 1
        display.look_key = ()
    if display.atlas is None:
        return False
    key = (display.atlas_number, display.hover)
    if display.look is None or display.look_key != key or display.changed:
        by_uid = {o.session_uid: o for o in bpy.data.objects if o.type == "POINTCLOUD" and point_clouds.is_splat(o)}
        display.look = looks.build(display.atlas, by_uid, display.hover, display.preview)
        display.look_key = key
        display.look_number += 1
    display.changed.clear()
    return True


def _an_object_is_gone(atlas: atlases.Atlas) -> bool:
    """Whether a member's object was deleted, so that its rows can be freed. It checks only after a change."""
    if display.alive_number == display.scene_number:
        return False
    display.alive_number = display.scene_number
    alive = {o.session_uid for o in bpy.data.objects if o.type == "POINTCLOUD"}
    return any(m.object_uid not in alive for m in atlas.members)


def _geometry_changed(atlas: atlases.Atlas, objects: list[SplatObject]) -> bool:
    for obj in objects:
        if obj.data.session_uid in display.unchecked:
            display.unchecked.discard(obj.data.session_uid)
            member = atlas.member(obj)
            if (
                member is None
                or len(member.arrays) != len(obj.data.points)
                or atlases.fingerprint_of(obj) != member.fingerprint
            ):
                return True
    return False


def _draw_view(context: Context, shown: list[places.Place]) -> None:
    atlas, look = display.atlas, display.look
    assert atlas is not None and look is not None
    now = time.monotonic()
    region = context.region_data
    key = context.region.as_pointer()
    view = display.views.get(key)
    if view is None:
        view = display.views[key] = View()
    view.used_at = now
    _forget_closed(now)
    projection, to_view = np.array(region.window_matrix, np.float64), np.array(region.view_matrix, np.float64)
    rows = placing.rows_of(atlas, shown, to_view, projection, region)
    slabs = tuple(slab(row.member.start, row.member.stop, row.to_view, n) for n, row in enumerate(rows))
    version = (display.atlas_number, display.look_number if look.hidden is not None else 0)
    view.sort(key, display.sorter, atlas, Request(atlas.means, slabs, look.hidden), version)
    if display.sorter.busy and not bpy.app.timers.is_registered(poll_sorter):
        bpy.app.timers.register(poll_sorter, first_interval=POLL_SECONDS)
    if view.order is None:
        return
    matrices = projection.tobytes() + to_view.tobytes()
    if matrices != view.matrices:
        view.matrices, view.moved_at = matrices, now
    stride = 1
    if view.count > MOVING_LIMIT and now - view.moved_at < MOVING_SECONDS:
        stride = -(-view.count // MOVING_LIMIT)
        if not bpy.app.timers.is_registered(_redraw_later):
            bpy.app.timers.register(_redraw_later, first_interval=MOVING_SECONDS + 0.05)
    left, bottom, width, height = gpu.state.active_framebuffer_get().viewport_get()
    solid = _anything_solid(context)
    table = np.zeros((max(1, len(rows)), placing.TEXELS, 4), np.float32)
    for number, row in enumerate(rows):
        table[number] = row.texels
    drawn = b"".join(
        (table.tobytes(), matrices, repr((
            display.atlas_number, display.look_number, view.order_number, stride, width, height,
            display.scene_number if solid else -1,
        )).encode())
    )  # fmt: skip
    if drawn != view.drawn or view.pictures is None:
        if view.pictures is None or view.pictures.size != (width, height):
            view.pictures = Pictures.of(width, height)
        depth = _scene_depth(left, bottom, width, height) if solid else None
        _draw_splats(view, view.pictures, atlas, look, table, projection, depth, stride)
        view.drawn = drawn
    marked = (look.any_picked or display.hover is not None) and context.space_data.overlay.show_overlays
    _composite(context, view.pictures, marked=marked or (look.any_picked and display.preview is not None))


def _anything_solid(context: Context) -> bool:
    space = context.space_data
    return any(o.type in SOLID and o.visible_get(viewport=space) for o in context.view_layer.objects)


def _scene_depth(left: int, bottom: int, width: int, height: int) -> gpu.types.GPUTexture:
    """The depth of what Blender has drawn so far, as a texture.

    Python has no access to the viewport's depth texture, so its values are read and uploaded again. Call it only if
    solid objects are visible.
    """
    with in_driver():
        depth = gpu.state.active_framebuffer_get().read_depth(left, bottom, width, height)
    depth.dimensions = width * height
    return gpu.types.GPUTexture((width, height), format="R32F", data=depth)


def _draw_splats(
    view: View, pictures: Pictures, atlas: atlases.Atlas, look: looks.Look, table: np.ndarray,
    projection: np.ndarray, depth: gpu.types.GPUTexture | None, stride: int,
) -> None:  # fmt: skip
    name = f"splat{atlas.width}"
    if name not in display.programs:
        display.programs[name] = shaders.splat_program(atlas.width)
    program = display.programs[name]
    rows = atlases.texture(table, placing.TEXELS, "RGBA32F")
    assert view.order is not None
    with pictures.buffer.bind():
        with in_driver():
            pictures.buffer.clear(color=(0.0, 0.0, 0.0, 0.0))
        gpu.state.blend_set("ALPHA_PREMULT")
        gpu.state.depth_test_set("NONE")
        gpu.state.depth_mask_set(False)
        shader = program.shader
        shader.bind()
        textures = {
            "order": view.order, "geometry": atlas.geometry, "state": look.state, "object": rows,
            "palette": look.palette, "sh": atlas.harmonics, "depth": depth or rows,
        }  # fmt: skip
        for what, bound in textures.items():
            shader.uniform_sampler(f"{what}_texture", bound)
        shader.uniform_float("projection", Matrix(projection.tolist()))
        shader.uniform_float("screen", (*map(float, pictures.size), 0.0, 0.0))
        shader.uniform_float("look", (float(stride), float(atlas.coefficients), float(depth is not None), 0.0))
        if view.count:
            with in_driver():
                program.corners.draw_instanced(shader, instance_start=0, instance_count=-(-view.count // stride))
        gpu.state.blend_set("NONE")
    display.drawn_pictures += 1


def _composite(context: Context, pictures: Pictures, marked: bool) -> None:
    if "composite" not in display.programs:
        display.programs["composite"] = shaders.composite_program()
    program = display.programs["composite"]
    gpu.state.blend_set("ALPHA_PREMULT")
    gpu.state.depth_test_set("NONE")
    shader = program.shader
    shader.bind()
    shader.uniform_sampler("picture_texture", pictures.color)
    shader.uniform_sampler("marks_texture", pictures.marks)
    shader.uniform_float("background", background_color(context))
    marking = 0.0 if not marked else 1.0 if display.preview is None else shaders.FADING
    shader.uniform_float("hover_tint", (*HOVER_TINT, marking))
    tint = (*PICK_TINT, shaders.PICK_SHARE) if display.preview is None else (*PREVIEW_TINT, PREVIEW_SHARE)
    shader.uniform_float("pick_tint", tint)
    with in_driver():
        program.corners.draw(shader)
    gpu.state.blend_set("NONE")


def _forget_closed(now: float) -> None:
    for key in [k for k, v in display.views.items() if now - v.used_at > KEPT_SECONDS]:
        del display.views[key]
        display.sorter.forget(key)


def poll_sorter() -> float | None:
    """Redraw when the sorting thread has found an order. It is a timer, because a thread must not touch windows."""
    if display.sorter.ready:
        redraw()
    return POLL_SECONDS if display.sorter.busy or display.sorter.ready else None


def _redraw_later() -> None:
    redraw()


def redraw() -> None:
    """Redraw every 3D view."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def selection_changed(_obj: SplatObject) -> None:
    """Draw the selected Gaussians anew. Their geometry is the same, so nothing is compared or uploaded but marks."""
    display.look_key = ()
    redraw()


def stop() -> None:
    """Stop the timers and the sorting thread, and free everything on the graphics card."""
    for timer in (poll_sorter, _redraw_later):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    display.forget()
    display.programs.clear()
