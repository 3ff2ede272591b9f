// The data of the page. Scripts in data/ hand it over in parts, because browsers refuse fetched
// files and modules to a page that is opened from a folder.
"use strict";

const HEAD = {}; // facts of the run, see data/head.js
const PARTS = {}; // base64 of the gzipped parts of each column, in order

function pageHead(head) {
  Object.assign(HEAD, head);
}

function pagePart(column, number, text) {
  (PARTS[column] ||= [])[number] = text;
}

// The columns of all Gaussians, as typed arrays. `tell` hears the share that is done, from 0 to 1.
async function readColumns(tell) {
  const columns = {};
  let done = 0;
  const all = HEAD.columns.reduce((sum, column) => sum + column.parts, 0);
  for (const column of HEAD.columns) {
    const bytes = new Uint8Array(HEAD.count * column.width * column.bytes);
    let at = 0;
    for (let number = 0; number < column.parts; number++) {
      const text = PARTS[column.name]?.[number];
      if (text === undefined) throw new Error(`data/${column.name}_${number}.js is missing. Copy the whole folder.`);
      const part = await unpacked(text);
      bytes.set(part, at);
      at += part.length;
      PARTS[column.name][number] = undefined; // the text is no longer needed
      tell(++done / all);
    }
    if (at !== bytes.length) throw new Error(`The data of ${column.name} is incomplete. Publish the run again.`);
    columns[column.name] = column.planes ? joined(bytes, column.bytes) : bytes;
  }
  return {
    means: new Float32Array(columns.means.buffer),
    codes: new Uint32Array(columns.codes.buffer),
    scales: columns.scales,
    quats: new Int8Array(columns.quats.buffer),
    opacities: columns.opacities,
    colors: columns.colors,
    rest: columns.rest ? new Int8Array(columns.rest.buffer) : null,
  };
}

async function unpacked(text) {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// Numbers of `size` bytes from all their first bytes, then all their second bytes, and so on: this order packs better.
function joined(planes, size) {
  const count = planes.length / size;
  const bytes = new Uint8Array(planes.length);
  for (let byte = 0; byte < size; byte++) {
    for (let i = 0, from = byte * count; i < count; i++) bytes[i * size + byte] = planes[from + i];
  }
  return bytes;
}

// How a value of each column, as a 3DGS PLY stores it, comes from its rounded number.
function decoders() {
  const [scale, color, rest] = ["scales", "colors", "rest"].map((name) => {
    return HEAD.columns.find((column) => column.name === name);
  });
  return {
    scale: (value) => scale.low + value * scale.step,
    color: (value) => color.low + value * color.step,
    rest: (value) => value * rest.step,
    opacity: (value) => logit(Math.min(Math.max(value, 0.5), 254.5) / 255),
  };
}

function logit(p) {
  return Math.log(p / (1 - p));
}
