# mypy: disable-error-code="arg-type, call-arg"
"""The two shaders. One draws splats into a picture, the other draws this picture over the viewport.

Equations and constants are those of the engine's rasteriser (bgs_engine.raster.semantics). The picture blends in the
file's colour space in half floats, because the viewport's own buffer is 8-bit and blends in linear light.
"""

from dataclasses import dataclass

import gpu
import numpy as np
from bgs_engine.core.palette import CONFIDENCE_STOPS

# The gamma of the viewport's overlay for every view transform, measured in Blender 4.3.2 and 5.2.2. It is not the sRGB
# curve.
DISPLAY_GAMMA = 2.2
FADING = 2.0  # the alpha of `hover_tint` where the tint of marks fades with their strength
LEAST_SURE = 0.3  # share of that tint where the strength is least
HOVER_SHARE, PICK_SHARE = 0.04, 0.05  # share of the tint inside an outline, in linear light; small to keep the colours
HARMONICS = """
vec3 harmonics(int i, vec3 d, int count) {
  if (count == 0) {
    return vec3(0.0);
  }
  int texels = count == 3 ? 3 : (count == 8 ? 6 : 12);
  float f[48];
  int first = i * texels;
  for (int k = 0; k < texels; k++) {
    int t = first + k;
    vec4 four = texelFetch(sh_texture, ivec2(t % WIDTH, t / WIDTH), 0);
    f[4 * k] = four.x;
    f[4 * k + 1] = four.y;
    f[4 * k + 2] = four.z;
    f[4 * k + 3] = four.w;
  }
  float x = d.x, y = d.y, z = d.z;
  vec3 sum = -0.4886025119029199 * y * SH(0) + 0.4886025119029199 * z * SH(1) - 0.4886025119029199 * x * SH(2);
  if (count > 3) {
    float xx = x * x, yy = y * y, zz = z * z;
    sum += 1.0925484305920792 * x * y * SH(3) - 1.0925484305920792 * y * z * SH(4)
         + 0.31539156525252005 * (2.0 * zz - xx - yy) * SH(5)
         - 1.0925484305920792 * x * z * SH(6) + 0.5462742152960396 * (xx - yy) * SH(7);
    if (count > 8) {
      sum += -0.5900435899266435 * y * (3.0 * xx - yy) * SH(8) + 2.890611442640554 * x * y * z * SH(9)
           - 0.4570457994644658 * y * (4.0 * zz - xx - yy) * SH(10)
           + 0.3731763325901154 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * SH(11)
           - 0.4570457994644658 * x * (4.0 * zz - xx - yy) * SH(12)
           + 1.445305721320277 * z * (xx - yy) * SH(13) - 0.5900435899266435 * x * (xx - 3.0 * yy) * SH(14);
    }
  }
  return sum;
}
"""
VERTEX = (
    HARMONICS
    + """
vec4 geometry(int i, int k) {
  int t = i * 4 + k;
  return texelFetch(geometry_texture, ivec2(t % WIDTH, t / WIDTH), 0);
}
void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0); /* outside the view, so that an early return draws nothing */
  rgba = vec4(0.0);
  marks = vec2(0.0);
  uv = vec2(0.0);
  int slot = gl_InstanceID * int(look.x);
  vec2 drawn = texelFetch(order_texture, ivec2(slot % WIDTH, slot / WIDTH), 0).rg;
  int i = int(drawn.r + 0.5), number = int(drawn.g + 0.5); /* the Gaussian, and the place where it is drawn */
  vec4 a = geometry(i, 0), b = geometry(i, 1), c = geometry(i, 2);
  vec4 row0 = texelFetch(object_texture, ivec2(0, number), 0);
  vec4 row1 = texelFetch(object_texture, ivec2(1, number), 0);
  vec4 row2 = texelFetch(object_texture, ivec2(2, number), 0);
  vec4 eye = texelFetch(object_texture, ivec2(3, number), 0);
  vec4 mode = texelFetch(object_texture, ivec2(4, number), 0);
  vec2 state = texelFetch(state_texture, ivec2(i % WIDTH, i / WIDTH), 0).rg;
  int entry = 2 * int(state.x + 0.5);
  vec4 label = texelFetch(palette_texture, ivec2(entry % WIDTH, entry / WIDTH), 0);
  vec4 flags = texelFetch(palette_texture, ivec2((entry + 1) % WIDTH, (entry + 1) / WIDTH), 0);
  if (mode.x < -0.5 || label.a < 0.5 || a.w * 255.0 <= 1.0) {
    return;
  }
  vec4 mean = vec4(a.xyz, 1.0);
  vec3 view = vec3(dot(row0, mean), dot(row1, mean), dot(row2, mean));
  bool perspective = eye.w > 0.5;
  float depth = -view.z;
  if (perspective && depth <= NEAR * mode.z) {
    return;
  }
  for (int k = 0; k < 4; k++) {
    vec4 plane = texelFetch(object_texture, ivec2(5 + k, number), 0);
    if (dot(plane, mean) < 0.0) {
      return;
    }
  }
  vec2 focal = 0.5 * screen.xy * vec2(projection[0][0], projection[1][1]);
  vec3 jx = vec3(focal.x, 0.0, 0.0), jy = vec3(0.0, focal.y, 0.0);
  if (perspective) {
    vec2 limit = MARGIN / vec2(projection[0][0], projection[1][1]);
    vec2 at = clamp(view.xy / depth, -limit, limit);
    jx = vec3(focal.x, 0.0, focal.x * at.x) / depth;
    jy = vec3(0.0, focal.y, focal.y * at.y) / depth;
  }
  vec3 ux = jx.x * row0.xyz + jx.z * row2.xyz;
  vec3 uy = jy.y * row1.xyz + jy.z * row2.xyz;
  vec3 px = vec3(dot(vec3(b.x, b.y, b.z), ux), dot(vec3(b.y, b.w, c.x), ux), dot(vec3(b.z, c.x, c.y), ux));
  vec3 py = vec3(dot(vec3(b.x, b.y, b.z), uy), dot(vec3(b.y, b.w, c.x), uy), dot(vec3(b.z, c.x, c.y), uy));
  float xx = dot(ux, px) + BLUR, xy = dot(uy, px), yy = dot(uy, py) + BLUR;
  float half_sum = 0.5 * (xx + yy), half_difference = 0.5 * (xx - yy);
  float radius = sqrt(half_difference * half_difference + xy * xy);
  float long_axis = half_sum + radius, short_axis = max(half_sum - radius, 0.5 * BLUR);
  if (!(long_axis < 1e15)) {
    return;
  }
  vec2 along = abs(xy) > 1e-6 * long_axis ? normalize(vec2(xy, long_axis - xx))
                                          : (xx >= yy ? vec2(1.0, 0.0) : vec2(0.0, 1.0));
  float reach = sqrt(2.0 * log(255.0 * a.w));
  uv = corner * reach;
  vec2 pixels = uv.x * sqrt(long_axis) * along + uv.y * sqrt(short_axis) * vec2(-along.y, along.x);
  vec4 clip = projection * vec4(view, 1.0);
  clip.xy += pixels * 2.0 / screen.xy * clip.w;

  vec3 direction = normalize(perspective ? a.xyz - eye.xyz : eye.xyz);
  vec3 color = vec3(0.0);
  if (mode.x < 0.5 || mode.x > 1.5) {
    color = max(0.28209479177387814 * geometry(i, 3).rgb + harmonics(i, direction, int(look.y)) + 0.5, 0.0);
    color *= flags.yzw; /* the light of the labels */
  }
  if (mode.x > 2.5) {
    float t = clamp(c.w, 0.0, 1.0);
    color = t < 0.5 ? mix(LOW, MIDDLE, 2.0 * t) : mix(MIDDLE, HIGH, 2.0 * t - 1.0);
  } else if (mode.x > 0.5) {
    color = mix(label.rgb, color, mode.x > 1.5 ? 1.0 - mode.y : 0.0);
  }
  rgba = vec4(color, a.w);
  marks = vec2(flags.x, state.y);
  gl_Position = clip;
}
"""
)
FRAGMENT = """
void main() {
  float alpha = min(0.999, rgba.a * exp(-0.5 * dot(uv, uv)));
  if (alpha < 1.0 / 255.0) {
    discard;
  }
  if (look.z > 0.5 && gl_FragCoord.z > texelFetch(depth_texture, ivec2(gl_FragCoord.xy), 0).r) {
    discard;
  }
  picture = vec4(rgba.rgb * alpha, alpha);
  weights = vec4(marks * alpha, 0.0, alpha);
}
"""
COMPOSITE_VERTEX = "void main() { gl_Position = vec4(corner, 0.0, 1.0); }"
# The viewport blends the overlay in linear light: out = overlay + (1 - alpha) x scene. The right result blends display
# values: C + (1 - A) b. The shader gives exactly this over the colour `background`, and nearly this over other colours.
COMPOSITE_FRAGMENT = """
vec3 to_linear(vec3 c) {
  return pow(max(c, vec3(0.0)), vec3(DISPLAY_GAMMA));
}
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  vec4 p = texelFetch(picture_texture, at, 0);
  vec3 display = min(p.rgb, vec3(1.0));
  vec3 target = to_linear(display + (1.0 - p.a) * background.rgb);
  vec3 behind = to_linear(background.rgb);
  vec3 passed = min((target + 1e-6) / (behind + 1e-6), vec3(1.0 - p.a)); /* 1 where both are black */
  float alpha = background.a > 0.5 ? 1.0 - min(min(passed.r, passed.g), passed.b) : p.a;
  vec3 color = background.a > 0.5 ? max(target - (1.0 - alpha) * behind, vec3(0.0)) : to_linear(display);
  ivec2 last = textureSize(marks_texture, 0) - 1;
  vec2 low = vec2(1.0), high = vec2(0.0), here = texelFetch(marks_texture, at, 0).rg;
  if (hover_tint.a < 0.5) {
    fragment = vec4(color, alpha);
    return;
  }
  for (int y = -2; y <= 2; y++) {
    for (int x = -2; x <= 2; x++) {
      if (x * x + y * y < 6) {
        vec2 w = texelFetch(marks_texture, clamp(at + ivec2(x, y), ivec2(0), last), 0).rg;
        low = min(low, w);
        high = max(high, w);
      }
    }
  }
  bool hovered_edge = low.r < 0.5 && high.r >= 0.5, picked_edge = low.g < 0.5 && high.g >= 0.5;
  if (here.r >= 0.5) {
    color = mix(color, alpha * hover_tint.rgb, HOVER_SHARE);
  }
  if (here.g >= 0.5) {
    float sure = hover_tint.a > 1.5 ? clamp(2.0 * here.g - 1.0, LEAST_SURE, 1.0) : 1.0;
    color = mix(color, alpha * pick_tint.rgb, pick_tint.a * sure);
  }
  if (hovered_edge || picked_edge) {
    color = hovered_edge ? hover_tint.rgb : pick_tint.rgb;
    alpha = 1.0;
  }
  fragment = vec4(color, alpha);
}
"""


@dataclass
class Program:
    """A shader, and the four corners of the rectangle that it draws."""

    shader: gpu.types.GPUShader
    corners: gpu.types.GPUBatch


def _corners() -> gpu.types.GPUBatch:
    form = gpu.types.GPUVertFormat()
    form.attr_add(id="corner", comp_type="F32", len=2, fetch_mode="FLOAT")
    vertices = gpu.types.GPUVertBuf(form, 4)
    vertices.attr_fill("corner", np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)], np.float32))
    return gpu.types.GPUBatch(type="TRI_STRIP", buf=vertices)


def splat_program(width: int) -> Program:
    """The shader that draws each Gaussian as one instance, for textures with `width` texels per row.

    It draws into two pictures: premultiplied colour, and the weights of the hovered and selected Gaussians.
    """
    passed = gpu.types.GPUStageInterfaceInfo("bgs_splat")
    passed.smooth("VEC2", "uv")
    passed.flat("VEC4", "rgba")
    passed.flat("VEC2", "marks")
    info = gpu.types.GPUShaderCreateInfo()
    for name, value in (("WIDTH", str(width)), ("NEAR", "0.01"), ("MARGIN", "1.3"), ("BLUR", "0.3")):
        info.define(name, value)
    for name, stop in zip(("LOW", "MIDDLE", "HIGH"), CONFIDENCE_STOPS, strict=True):
        info.define(name, "vec3({}, {}, {})".format(*stop))
    info.define("SH(k)", "vec3(f[3 * (k)], f[3 * (k) + 1], f[3 * (k) + 2])")
    info.push_constant("MAT4", "projection")
    info.push_constant("VEC4", "screen")  # width and height in pixels
    info.push_constant(
        "VEC4", "look"
    )  # stride over the Gaussians; SH coefficients above the constant one; 1 for depth test
    textures = ("order", "geometry", "state", "object", "palette", "sh", "depth")
    for slot, name in enumerate(textures):
        info.sampler(slot, "FLOAT_2D", f"{name}_texture")
    info.vertex_in(0, "VEC2", "corner")
    info.vertex_out(passed)
    info.fragment_out(0, "VEC4", "picture")
    info.fragment_out(1, "VEC4", "weights")
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    return Program(gpu.shader.create_from_info(info), _corners())


def composite_program() -> Program:
    """The shader that draws the picture over the viewport, with outlines of hovered and selected Gaussians."""
    info = gpu.types.GPUShaderCreateInfo()
    for name, number in (("DISPLAY_GAMMA", DISPLAY_GAMMA), ("HOVER_SHARE", HOVER_SHARE), ("LEAST_SURE", LEAST_SURE)):
        info.define(name, str(number))
    info.push_constant("VEC4", "background")  # display values; alpha is 1 if the colour is known
    info.push_constant("VEC4", "hover_tint")  # linear; alpha is 1 if anything has to be outlined
    info.push_constant("VEC4", "pick_tint")  # linear; alpha is its share inside an outline
    info.sampler(0, "FLOAT_2D", "picture_texture")
    info.sampler(1, "FLOAT_2D", "marks_texture")
    info.vertex_in(0, "VEC2", "corner")
    info.fragment_out(0, "VEC4", "fragment")
    info.vertex_source(COMPOSITE_VERTEX)
    info.fragment_source(COMPOSITE_FRAGMENT)
    return Program(gpu.shader.create_from_info(info), _corners())
