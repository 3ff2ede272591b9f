// Which Gaussians a pixel shows, and so which label. All weights along the ray are computed as a renderer blends them:
// the weight of a Gaussian is its alpha times the light that the Gaussians before it let through.
"use strict";

const LEAST_ALPHA = 1 / 255; // renderers draw nothing fainter
const REACH = 3.4; // standard deviations at which an opaque Gaussian falls below that alpha
const OPAQUE = 1e-4; // light that is left where nothing further counts

// The label that has the greatest weight in a ray; null where the ray meets nothing.
// eye, direction: three numbers each, of length 1 the latter. splat: the columns. labels: `Labels`.
function pickLabel(eye, direction, splat, labels) {
  const hits = hitsOfRay(eye, direction, splat, labels).sort((a, b) => a.depth - b.depth);
  const weights = new Map();
  let light = 1;
  for (const { code, alpha } of hits) {
    const label = labels.labelOf(code);
    weights.set(label, (weights.get(label) || 0) + alpha * light);
    light *= 1 - alpha;
    if (light < OPAQUE) break;
  }
  let best = null;
  for (const [label, weight] of weights) if (best === null || weight > weights.get(best)) best = label;
  return best;
}

function hitsOfRay([ex, ey, ez], [dx, dy, dz], { means, scales, quats, opacities }, labels) {
  const hits = [];
  const sizes = Float64Array.from({ length: 256 }, (_, value) => Math.exp(decoders().scale(value)));
  for (let i = 0; i < labels.codeOf.length; i++) {
    if (!labels.shown[labels.codeOf[i]] || !opacities[i]) continue;
    const [px, py, pz] = [ex - means[3 * i], ey - means[3 * i + 1], ez - means[3 * i + 2]];
    const depth = -(px * dx + py * dy + pz * dz);
    if (depth <= 0) continue;
    const largest = sizes[Math.max(scales[3 * i], scales[3 * i + 1], scales[3 * i + 2])];
    const [qx, qy, qz] = [px + depth * dx, py + depth * dy, pz + depth * dz]; // from the centre to the nearest point
    if (qx * qx + qy * qy + qz * qz > (REACH * largest) ** 2) continue;
    const alpha = (opacities[i] / 255) * density(px, py, pz, dx, dy, dz, i, scales, quats, sizes);
    if (alpha > LEAST_ALPHA) hits.push({ code: labels.codeOf[i], alpha: Math.min(alpha, 0.999), depth });
  }
  return hits;
}

// The greatest value of a Gaussian along a ray, 1 at its centre. In the Gaussian's own axes, divided by its scales, it
// is a ball, and the nearest point of the ray to its centre has the greatest value.
function density(px, py, pz, dx, dy, dz, i, scales, quats, sizes) {
  const [w, x, y, z] = [quats[4 * i], quats[4 * i + 1], quats[4 * i + 2], quats[4 * i + 3]];
  const norm = 2 / (w * w + x * x + y * y + z * z);
  const columns = [
    [1 - norm * (y * y + z * z), norm * (x * y + w * z), norm * (x * z - w * y)],
    [norm * (x * y - w * z), 1 - norm * (x * x + z * z), norm * (y * z + w * x)],
    [norm * (x * z + w * y), norm * (y * z - w * x), 1 - norm * (x * x + y * y)],
  ];
  let [oo, od, dd] = [0, 0, 0];
  for (let axis = 0; axis < 3; axis++) {
    const [a, b, c] = columns[axis];
    const size = sizes[scales[3 * i + axis]];
    const o = (a * px + b * py + c * pz) / size;
    const d = (a * dx + b * dy + c * dz) / size;
    oo += o * o;
    od += o * d;
    dd += d * d;
  }
  return Math.exp(-0.5 * Math.max(0, oo - (od * od) / dd));
}
