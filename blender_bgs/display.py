# mypy: disable-error-code="arg-type, call-arg, return-value"
# (the stubs of the gpu module have no constructors and no buffers)
"""Splats in solid and wireframe view: every visible Gaussian a disc of its colour, right in depth against meshes.

Blender draws a point cloud there as grey balls. Each disc sits just in front of its ball and hides it. Position and
radius are uploaded once, colours when they change. Rendered and material view use the material instead.
"""

from dataclasses import dataclass

import bpy
import gpu
import numpy as np
from bpy.app.handlers import persistent

from . import clouds
from .logic.attributes import COLOR, POSITION, RADIUS
from .typed import SplatScene

COVER = 1.2  # disc radius over ball radius: in perspective a ball's outline is a little larger than its radius

_VERTEX = """
void main() {
  rgba = color;
  vec4 clip = to_clip * vec4(point.xyz, 1.0);
  float radius = point.w * look.x;
  bool perspective = look.z > 0.5;
  float distance = perspective ? clip.w : 1.0;
  gl_PointSize = max(2.0, 2.0 * radius * look.y / max(distance, 1e-6));
  /* Towards the viewer by one radius: in front of the ball that Blender draws. */
  float nearer = clip.z + look.w * radius;
  clip.z = perspective && clip.w > 2.0 * radius ? nearer * clip.w / (clip.w - radius) : nearer;
  if (point.w <= 0.0) {
    clip = vec4(2.0, 2.0, 2.0, 1.0);
  }
  gl_Position = clip;
}
"""
_FRAGMENT = """
void main() {
  vec2 from_center = gl_PointCoord * 2.0 - 1.0;
  if (dot(from_center, from_center) > 1.0) {
    discard;
  }
  fragment = vec4(rgba.rgb, 1.0);
}
"""


@dataclass
class _Uploaded:
    count: int
    batch: gpu.types.GPUBatch


_uploaded: dict[int, _Uploaded] = {}
_handle: object | None = None
_shader: gpu.types.GPUShader | None = None


def _splat_shader() -> gpu.types.GPUShader:
    global _shader
    if _shader is None:
        passed = gpu.types.GPUStageInterfaceInfo("bgs_disc")
        passed.flat("VEC4", "rgba")
        info = gpu.types.GPUShaderCreateInfo()
        info.push_constant("MAT4", "to_clip")
        info.push_constant("VEC4", "look")  # object scale x COVER, pixels per unit at distance 1, perspective?, P22
        info.vertex_in(0, "VEC4", "point")
        info.vertex_in(1, "VEC4", "color")
        info.vertex_out(passed)
        info.fragment_out(0, "VEC4", "fragment")
        info.vertex_source(_VERTEX)
        info.fragment_source(_FRAGMENT)
        _shader = gpu.shader.create_from_info(info)
    return _shader


def _upload(cloud: bpy.types.PointCloud) -> _Uploaded | None:
    position, radius = clouds.get_column(cloud, POSITION), clouds.get_column(cloud, RADIUS)
    color = clouds.get_column(cloud, COLOR)
    if position is None or radius is None or color is None or not len(position):
        return None
    shown = np.flatnonzero(radius > 0)
    if not len(shown):
        return None
    points = np.concatenate([position[shown], radius[shown, None]], axis=1)
    form = gpu.types.GPUVertFormat()
    form.attr_add(id="point", comp_type="F32", len=4, fetch_mode="FLOAT")
    form.attr_add(id="color", comp_type="F32", len=4, fetch_mode="FLOAT")
    vertices = gpu.types.GPUVertBuf(form, len(points))
    vertices.attr_fill("point", np.ascontiguousarray(points, np.float32))
    vertices.attr_fill("color", np.ascontiguousarray(color[shown]))
    return _Uploaded(len(points), gpu.types.GPUBatch(type="POINTS", buf=vertices))


def _draw() -> None:
    context = bpy.context
    space, region = context.space_data, context.region_data
    if region is None or space.shading.type not in ("SOLID", "WIREFRAME") or clouds.can_show_native_splats():
        return
    objects = [o for o in context.view_layer.objects if clouds.is_splat(o) and o.visible_get(viewport=space)]
    if not objects:
        return
    shader = _splat_shader()
    projection, view = region.window_matrix, region.view_matrix
    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.depth_mask_set(True)
    gpu.state.blend_set("NONE")
    gpu.state.program_point_size_set(True)
    shader.bind()
    for obj in objects:
        key = obj.data.session_uid
        uploaded = _uploaded.get(key)
        if uploaded is None:
            uploaded = _upload(obj.data)
            if uploaded is None:
                continue
            _uploaded[key] = uploaded
        scale = abs(obj.matrix_world.determinant()) ** (1 / 3)
        pixels = projection[1][1] * context.region.height / 2
        shader.uniform_float("to_clip", projection @ view @ obj.matrix_world)
        shader.uniform_float("look", (scale * COVER, pixels, float(region.is_perspective), projection[2][2]))
        uploaded.batch.draw(shader)
    gpu.state.program_point_size_set(False)
    gpu.state.depth_mask_set(False)
    gpu.state.depth_test_set("NONE")


@persistent
def _changed(_scene: SplatScene, depsgraph: bpy.types.Depsgraph) -> None:
    for update in depsgraph.updates:
        if update.is_updated_geometry and isinstance(update.id, bpy.types.PointCloud | bpy.types.Object):
            data = update.id if isinstance(update.id, bpy.types.PointCloud) else update.id.data
            if data is not None:
                _uploaded.pop(data.original.session_uid, None)


@persistent
def _forget_all(*_: object) -> None:
    _uploaded.clear()


def start() -> None:
    """Draw from now on. A Blender without a window has nothing to draw on."""
    global _handle
    bpy.app.handlers.depsgraph_update_post.append(_changed)
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post, bpy.app.handlers.load_post):
        handlers.append(_forget_all)
    if not bpy.app.background:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")


def stop() -> None:
    """Take the drawing away and free what was uploaded."""
    global _handle, _shader
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    bpy.app.handlers.depsgraph_update_post.remove(_changed)
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post, bpy.app.handlers.load_post):
        handlers.remove(_forget_all)
    _uploaded.clear()
    _shader = None
