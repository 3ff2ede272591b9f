// Presses the buttons of a published page and sends what it saw to the test that opened it.
"use strict";

const until = async (holds) => {
  while (!holds()) await new Promise((go) => setTimeout(go, 50));
};

const text = (blob) =>
  new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(blob);
  });

// A PNG of the canvas, as base64, when the picture is at rest.
async function picture() {
  const { scene } = window.opened;
  await until(() => !scene.busy);
  scene.draw();
  const url = await new Promise((done) => scene.app.once("postrender", () => done(scene.canvas.toDataURL())));
  return url.slice(url.indexOf(",") + 1);
}

const press = (selector) => document.querySelector(selector).click();
const row = (label) => `#labels [data-label="${label}"]`;

async function drive() {
  const seen = { pictures: {}, files: {}, lists: [], errors: [] };
  addEventListener("error", (event) => seen.errors.push(event.message));
  addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
  const saved = [];
  const make = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob) => (blob.type === "application/octet-stream" ? saved.push(blob) : 0, make(blob));
  HTMLAnchorElement.prototype.click = function () { // the test takes the file; a browser would ask where to save it
    seen.files[this.download] = saved.at(-1);
  };
  const message = document.getElementById("message");
  await until(() => window.opened || message.dataset.failed);
  if (!window.opened) return { ...seen, message: message.textContent };
  const { scene, panel } = window.opened;
  seen.size = [scene.canvas.width, scene.canvas.height];
  seen.camera = HEAD.camera;
  seen.pictures.captured = await picture();
  for (let level = 1; level <= HEAD.levels.length; level++) {
    const slider = document.getElementById("level");
    slider.value = level;
    slider.dispatchEvent(new Event("input"));
    seen.lists.push(Array.from(document.querySelectorAll("#labels li"), (item) => [
      Number(item.dataset.label), item.querySelector(".name").textContent, item.querySelector(".count").textContent,
    ]));
  }
  seen.picks = [1, 2].map((level) => {
    scene.labels.setLevel(level);
    return PICKS.map(([x, y]) => scene.pick(x, y));
  });
  panel.setLevel(1);
  press("input[value=labels]");
  seen.pictures.labels = await picture();
  const label = (seen.isolated = scene.pick(...CLICKED));
  press(`${row(label)} [title^="Show this label alone"]`);
  seen.pictures.isolated = await picture();
  seen.shown = scene.labels.gaussians((index) => scene.labels.shown[index]).length;
  press("#download-shown");
  press("#show-all");
  press(`${row(label)} [title^="Hide"]`);
  press("input[value=captured]");
  seen.pictures.hidden = await picture();
  press("#show-all");
  const [x, y] = CLICKED;
  for (const kind of ["pointerdown", "pointerup"]) {
    const place = { clientX: x, clientY: y, pointerId: 1, buttons: 1, isPrimary: true, bubbles: true };
    HTMLCanvasElement.prototype.setPointerCapture = () => {}; // no real pointer is down
    scene.canvas.dispatchEvent(new PointerEvent(kind, place));
  }
  seen.clicked = scene.labels.selected;
  seen.marked = document.querySelector("#labels .selected")?.dataset.label;
  const search = document.getElementById("search");
  search.value = HEAD.levels[0][1].name.toUpperCase();
  panel.labels.select(null);
  search.dispatchEvent(new Event("input"));
  seen.found = Array.from(document.querySelectorAll("#labels .name"), (name) => name.textContent);
  search.value = "";
  panel.setLevel(2);
  for (const { label } of HEAD.levels[1]) press(`${row(label)} [title^="Download"]`);
  for (const name of Object.keys(seen.files)) seen.files[name] = await text(seen.files[name]);
  seen.asked = performance.getEntriesByType("resource").map((entry) => entry.name);
  return seen;
}

drive()
  .catch((error) => ({ failed: `${error.message}\n${error.stack}` }))
  .then((seen) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: ANSWER, enctype: "text/plain" });
    const field = document.createElement("textarea");
    field.name = "seen";
    field.textContent = JSON.stringify(seen);
    form.append(field);
    document.body.append(form);
    form.submit();
  });
