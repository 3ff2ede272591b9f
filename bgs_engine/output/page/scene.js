// The picture: PlayCanvas draws the Gaussians. A texture with one pixel for each different code says which are hidden
// and how the others are coloured, so a change of the level or of a label costs the same for a million Gaussians.
"use strict";

const STYLES_WIDTH = 1024; // pixels of the texture of styles
const KEEP_DRAWING = 1500; // milliseconds after a change: Gaussians are sorted in a worker meanwhile
const LEAST_FRAMES = 4; // after a change, on a slow machine

const STYLE_SHADER = `
uniform highp sampler2D codeStyles;
void modifySplatCenter(inout vec3 center) {}
void modifySplatRotationScale(vec3 originalCenter, vec3 modifiedCenter, inout vec4 rotation, inout vec3 scale) {}
void modifySplatColor(vec3 center, inout vec4 color) {
  int code = int(loadCodePlace());
  vec4 style = texelFetch(codeStyles, ivec2(code % ${STYLES_WIDTH}, code / ${STYLES_WIDTH}), 0);
  if (style.a == 0.0) color.a = 0.0;
  else color.rgb = mix(color.rgb, style.rgb, (style.a * 255.0 - 1.0) / 254.0);
}`;

class Scene {
  constructor(canvas, splat, labels) {
    this.canvas = canvas;
    this.splat = splat;
    this.labels = labels;
    this.app = new pc.Application(canvas, { graphicsDeviceOptions: { antialias: false, alpha: false } });
    this.app.graphicsDevice.maxPixelRatio = Math.min(2, window.devicePixelRatio);
    this.app.setCanvasFillMode(pc.FILLMODE_NONE);
    this.app.setCanvasResolution(pc.RESOLUTION_AUTO);
    this.app.autoRender = false;
    this.makeSplat();
    this.makeCamera();
    this.app.on("update", () => this.decide());
    this.app.on("postrender", () => this.mark());
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    this.app.start();
    this.restyle();
  }

  makeSplat() {
    const device = this.app.graphicsDevice;
    const resource = new pc.GSplatResource(device, splatData(this.splat));
    resource.gsplatData.elements[0].properties = []; // all of it is on the card now
    resource.format.addExtraStreams([{ name: "codePlace", format: pc.PIXELFORMAT_R32U }]);
    const places = resource.getTexture("codePlace");
    places.lock().set(this.labels.codeOf);
    places.unlock();
    this.styles = new pc.Texture(device, {
      name: "codeStyles",
      width: STYLES_WIDTH,
      height: Math.ceil(this.labels.codes.length / STYLES_WIDTH),
      format: pc.PIXELFORMAT_RGBA8,
      mipmaps: false,
      minFilter: pc.FILTER_NEAREST,
      magFilter: pc.FILTER_NEAREST,
    });
    this.entity = new pc.Entity("splat");
    this.entity.addComponent("gsplat", { unified: true });
    this.entity.gsplat.setWorkBufferModifier({ glsl: STYLE_SHADER });
    this.entity.gsplat.setParameter("codeStyles", this.styles);
    this.entity.gsplat.resource = resource;
    this.app.root.addChild(this.entity);
  }

  makeCamera() {
    const [r, g, b] = HEAD.background;
    this.camera = new pc.Entity("camera");
    this.camera.addComponent("camera", {
      clearColor: new pc.Color(r, g, b),
      fov: HEAD.camera.fov,
      toneMapping: pc.TONEMAP_NONE,
      gammaCorrection: pc.GAMMA_SRGB,
    });
    this.app.root.addChild(this.camera);
    const clicked = (x, y) => this.onpick?.(this.pick(x, y));
    this.orbit = new Orbit(this.canvas, HEAD.camera, () => this.place(), clicked);
    this.resize();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement; // the renderer sets the size of the canvas itself
    this.app.resizeCanvas(clientWidth, clientHeight);
    this.camera.camera.horizontalFov = clientWidth >= clientHeight; // the angle is that of the wider side
    this.place();
  }

  place() {
    const { orbit } = this;
    this.camera.setPosition(orbit.eye);
    this.camera.lookAt(orbit.target, orbit.up);
    this.camera.camera.nearClip = orbit.distance / 200;
    this.camera.camera.farClip = orbit.distance * 50 + HEAD.camera.farthest;
    this.draw();
  }

  // Turns round what is shown, and goes so near that it fills the view.
  frame() {
    const box = this.labels.shownBox();
    if (!box) return;
    const radius = Math.hypot(...box.high.map((high, k) => high - box.low[k])) / 2;
    const { clientWidth, clientHeight } = this.canvas;
    const narrow = Math.min(clientWidth, clientHeight) / Math.max(clientWidth, clientHeight);
    const half = Math.atan(Math.tan((HEAD.camera.fov / 2) * pc.math.DEG_TO_RAD) * narrow);
    this.orbit.target.set(...box.high.map((high, k) => (high + box.low[k]) / 2));
    this.orbit.distance = Math.max(radius, 1e-6) / Math.sin(half);
    this.place();
  }

  draw() {
    this.drawUntil = performance.now() + KEEP_DRAWING;
    this.framesLeft = LEAST_FRAMES;
  }

  // Whether the next frame is drawn: a page at rest costs nothing, and on a slow card no frames pile up.
  decide() {
    this.busy = performance.now() < this.drawUntil || this.framesLeft > 0;
    this.app.renderNextFrame = this.busy && this.drawn();
    if (this.app.renderNextFrame) this.framesLeft--;
  }

  // Whether the card has finished the last frame.
  drawn() {
    const { gl } = this.app.graphicsDevice;
    if (this.fence && gl.getSyncParameter(this.fence, gl.SYNC_STATUS) === gl.UNSIGNALED) return false;
    gl.deleteSync(this.fence);
    this.fence = null;
    return true;
  }

  mark() {
    const { gl } = this.app.graphicsDevice;
    this.fence ||= gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
  }

  // Shows the state of the labels.
  restyle() {
    const bytes = this.styles.lock();
    this.labels.styles(bytes);
    this.styles.unlock();
    this.entity.gsplat.setParameter("codeStyles", this.styles); // tells the renderer of the change
    this.draw();
  }

  // The label at a pixel of the canvas; null for none.
  pick(x, y) {
    const eye = this.camera.getPosition();
    const ahead = this.camera.camera.screenToWorld(x, y, this.orbit.distance).sub(eye).normalize();
    return pickLabel([eye.x, eye.y, eye.z], [ahead.x, ahead.y, ahead.z], this.splat, this.labels);
  }
}

// The columns as the renderer wants them: raw values, as a 3DGS PLY stores them.
function splatData(splat) {
  const value = decoders();
  const properties = [];
  const add = (name, values, width, offset, decode) => {
    const storage = new Float32Array(HEAD.count);
    for (let i = 0; i < HEAD.count; i++) storage[i] = decode(values[width * i + offset]);
    properties.push({ type: "float", name, storage, byteSize: 4 });
  };
  const rest = splat.rest ? splat.rest.length / HEAD.count : 0;
  ["x", "y", "z"].forEach((name, k) => add(name, splat.means, 3, k, (number) => number));
  for (let k = 0; k < 3; k++) add(`f_dc_${k}`, splat.colors, 3, k, value.color);
  for (let k = 0; k < rest; k++) add(`f_rest_${k}`, splat.rest, rest, k, value.rest);
  add("opacity", splat.opacities, 1, 0, value.opacity);
  for (let k = 0; k < 3; k++) add(`scale_${k}`, splat.scales, 3, k, value.scale);
  for (let k = 0; k < 4; k++) add(`rot_${k}`, splat.quats, 4, k, (number) => number / 127);
  return new pc.GSplatData([{ name: "vertex", count: HEAD.count, properties }]);
}
