// A camera that turns round a point. `up` stays up in the picture.
"use strict";

const TURN = 0.006; // radians a pixel
const ZOOM = 1.0015; // times a unit of the wheel
const STEEPEST = 0.02; // radians that stay between the view and straight up or down
const CLICK = 4; // pixels that a press may move and still be a click

class Orbit {
  // canvas: what is dragged. start: {eye, target, up}, three numbers each. changed() is called after each move,
  // clicked(x, y) with the pixels of a click.
  constructor(canvas, start, changed, clicked) {
    this.up = new pc.Vec3(start.up).normalize();
    this.target = new pc.Vec3(start.target);
    const back = new pc.Vec3(start.eye).sub(this.target);
    this.distance = back.length();
    this.pitch = Math.asin(back.dot(this.up) / this.distance);
    const flat = back.sub(this.up.clone().mulScalar(back.dot(this.up)));
    if (flat.length() < 1e-6 * this.distance) flat.cross(this.up, new pc.Vec3(this.up.y, this.up.z, -this.up.x)); // from above
    this.front = flat.normalize(); // the eye's side at yaw 0
    this.side = new pc.Vec3().cross(this.up, this.front);
    this.yaw = 0;
    this.changed = changed;
    this.clicked = clicked;
    this.pressed = new Map(); // pointers that are down: id → {x, y}
    this.moved = 0;
    canvas.addEventListener("pointerdown", (event) => this.press(canvas, event));
    canvas.addEventListener("pointermove", (event) => this.drag(canvas, event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.release(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  get eye() {
    const flat = this.front.clone().mulScalar(Math.cos(this.yaw)).add(this.side.clone().mulScalar(Math.sin(this.yaw)));
    flat.mulScalar(Math.cos(this.pitch)).add(this.up.clone().mulScalar(Math.sin(this.pitch)));
    return flat.mulScalar(this.distance).add(this.target);
  }

  press(canvas, event) {
    canvas.setPointerCapture(event.pointerId);
    this.pressed.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.moved = this.pressed.size > 1 ? Infinity : 0;
  }

  drag(canvas, event) {
    const last = this.pressed.get(event.pointerId);
    if (!last) return;
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    this.moved += Math.abs(dx) + Math.abs(dy);
    if (this.pressed.size === 2) {
      const [other] = [...this.pressed].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const before = Math.hypot(last.x - other.x, last.y - other.y);
      this.distance *= before / Math.max(1, Math.hypot(event.clientX - other.x, event.clientY - other.y));
      this.pan(canvas, dx / 2, dy / 2);
    } else if (event.buttons & 6 || event.shiftKey) {
      this.pan(canvas, dx, dy);
    } else if (this.moved > CLICK) {
      this.yaw -= dx * TURN;
      const steepest = Math.PI / 2 - STEEPEST;
      this.pitch = Math.min(steepest, Math.max(-steepest, this.pitch + dy * TURN));
    }
    this.pressed.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.changed();
  }

  pan(canvas, dx, dy) {
    const forward = this.target.clone().sub(this.eye).normalize();
    const right = new pc.Vec3().cross(forward, this.up).normalize();
    const above = new pc.Vec3().cross(right, forward);
    const unit = this.distance / Math.max(canvas.clientWidth, canvas.clientHeight);
    this.target.sub(right.mulScalar(dx * unit)).add(above.mulScalar(dy * unit));
  }

  release(event) {
    if (this.pressed.delete(event.pointerId) && event.type === "pointerup" && this.moved <= CLICK && !event.button) {
      this.clicked(event.offsetX, event.offsetY);
    }
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 40 : 1; // Firefox counts lines
    this.distance *= ZOOM ** (event.deltaY * lines);
    this.changed();
  }
}
