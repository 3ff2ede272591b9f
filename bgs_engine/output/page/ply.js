// PLY files of some Gaussians, in the layout of 3D Gaussian Splatting, with the four bytes of each code.
"use strict";

const ROWS_AT_ONCE = 1 << 16;

// The parts of a PLY file of the Gaussians with the numbers `rows`, for a Blob.
function plyOf(rows, splat) {
  const rest = splat.rest ? splat.rest.length / HEAD.count : 0;
  const far = HEAD.offset.some((value) => value !== 0);
  const place = far ? "double" : "float"; // 32 bits are too few far from the origin
  const property = (kind, names) => names.map((name) => `property ${kind} ${name}`);
  const numbered = (name, count) => Array.from({ length: count }, (_, k) => `${name}_${k}`);
  const header = [
    "ply", "format binary_little_endian 1.0", `element vertex ${rows.length}`,
    ...property(place, ["x", "y", "z"]),
    ...property("float", [...numbered("f_dc", 3), ...numbered("f_rest", rest), "opacity"]),
    ...property("float", [...numbered("scale", 3), ...numbered("rot", 4)]),
    ...property("uchar", numbered("seg", 4)),
    "end_header", "",
  ].join("\n");
  const size = 3 * (far ? 8 : 4) + 4 * (3 + rest + 1 + 3 + 4) + 4;
  const parts = [new TextEncoder().encode(header)];
  for (let start = 0; start < rows.length; start += ROWS_AT_ONCE) {
    parts.push(plyRows(rows.slice(start, start + ROWS_AT_ONCE), splat, size, rest, far));
  }
  return parts;
}

function plyRows(rows, splat, size, rest, far) {
  const view = new DataView(new ArrayBuffer(rows.length * size));
  const value = decoders();
  let at = 0;
  const write = (number) => {
    view.setFloat32(at, number, true);
    at += 4;
  };
  for (const i of rows) {
    for (let k = 0; k < 3; k++) {
      if (far) {
        view.setFloat64(at, splat.means[3 * i + k] + HEAD.offset[k], true);
        at += 8;
      } else write(splat.means[3 * i + k]);
    }
    for (let k = 0; k < 3; k++) write(value.color(splat.colors[3 * i + k]));
    for (let k = 0; k < rest; k++) write(value.rest(splat.rest[rest * i + k]));
    write(value.opacity(splat.opacities[i]));
    for (let k = 0; k < 3; k++) write(value.scale(splat.scales[3 * i + k]));
    for (let k = 0; k < 4; k++) write(splat.quats[4 * i + k] / 127);
    view.setUint32(at, splat.codes[i], true);
    at += 4;
  }
  return view.buffer;
}

function download(name, rows, splat) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(plyOf(rows, splat), { type: "application/octet-stream" }));
  link.download = `${name}.ply`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000); // a browser may still be reading it
}
