// Reads the data, then shows the picture and the panel.
"use strict";

async function main() {
  const message = document.getElementById("message");
  const tell = (text) => (message.textContent = text);
  try {
    if (!window.DecompressionStream) throw new Error("This browser is too old. Use one of 2023 or later.");
    if (!document.createElement("canvas").getContext("webgl2")) {
      throw new Error("This browser has no WebGL 2. Switch on hardware acceleration, or use another browser.");
    }
    const splat = await readColumns((share) => tell(`Loading ${Math.round(100 * share)} %`));
    const labels = new Labels(splat.codes);
    const scene = new Scene(document.getElementById("canvas"), splat, labels);
    const panel = new Panel(splat, labels, () => scene.restyle(), () => scene.frame());
    scene.onpick = (label) => panel.picked(label);
    message.hidden = true;
    window.opened = { scene, panel }; // for the console
  } catch (error) {
    tell(error.message);
    message.dataset.failed = "yes";
    throw error;
  }
}

main();
