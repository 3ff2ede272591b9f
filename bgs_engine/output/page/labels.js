// Every Gaussian has one integer, its code. The label of a level is the leading bits of the code: a shift. So all that
// the page keeps about labels is a few values for each different code.
"use strict";

class Labels {
  // codes: the code of each Gaussian, Uint32Array.
  constructor(codes) {
    this.codes = Uint32Array.from(new Set(codes)).sort(); // each different code once
    const place = new Map(Array.from(this.codes, (code, index) => [code, index]));
    this.codeOf = new Uint32Array(codes.length); // of each Gaussian: the place of its code in `codes`
    this.counts = new Uint32Array(this.codes.length);
    for (let i = 0; i < codes.length; i++) {
      const index = place.get(codes[i]);
      this.codeOf[i] = index;
      this.counts[index]++;
    }
    this.rows = HEAD.levels.map((rows) => new Map(rows.map((row) => [row.label, row])));
    this.shown = new Uint8Array(this.codes.length).fill(1);
    this.setLevel(1);
    this.byLabel = false; // else as captured
    this.chosen = -1; // place in `codes` of what is selected; -1: nothing
  }

  setLevel(level) {
    this.level = level;
    this.shift = HEAD.level_bits.slice(level).reduce((sum, bits) => sum + bits, 0); // bits of the finer levels
  }

  // The label of a code at the shown level.
  labelOf(index) {
    return this.codes[index] >>> this.shift;
  }

  get list() {
    return HEAD.levels[this.level - 1];
  }

  get selected() {
    return this.chosen < 0 ? null : this.labelOf(this.chosen);
  }

  // Places in `codes` of all codes of a label of the shown level.
  codesOf(label) {
    const found = [];
    for (let index = 0; index < this.codes.length; index++) if (this.labelOf(index) === label) found.push(index);
    return found;
  }

  // A label counts as shown while one of its Gaussians is shown, as in Blender.
  shownLabels() {
    const found = new Set();
    for (let index = 0; index < this.codes.length; index++) if (this.shown[index]) found.add(this.labelOf(index));
    return found;
  }

  // The smallest box round the labels that are shown: {low, high}, three numbers each; null if none is.
  shownBox() {
    const shown = this.shownLabels();
    const rows = this.list.filter((row) => shown.has(row.label));
    if (!rows.length) return null;
    // One after the other: a call cannot have a million arguments.
    const best = (end, k, pick) => rows.reduce((found, row) => pick(found, row[end][k]), rows[0][end][k]);
    const of = (end, pick) => HEAD.offset.map((far, k) => best(end, k, pick) - far);
    return { low: of("low", Math.min), high: of("high", Math.max) };
  }

  show(label, shown) {
    for (const index of this.codesOf(label)) this.shown[index] = shown ? 1 : 0;
  }

  // Shows one label alone, and all labels if it was alone already.
  isolate(label) {
    const alone = this.shownLabels();
    if (alone.size === 1 && alone.has(label)) return this.showAll();
    this.shown.fill(0);
    this.show(label, true);
  }

  showAll() {
    this.shown.fill(1);
  }

  // Selects a label, or nothing if it was selected. Its largest code stands for it when the level changes.
  select(label) {
    if (label === null || label === this.selected) {
      this.chosen = -1;
      return;
    }
    this.chosen = this.codesOf(label).reduce((best, index) => (this.counts[index] > this.counts[best] ? index : best));
  }

  // What the shader needs for each code: red, green, blue, and in the fourth byte 0 = hidden, else 1 + the share of
  // that colour.
  styles(bytes) {
    const { selected } = this;
    for (let index = 0; index < this.codes.length; index++) {
      const label = this.labelOf(index);
      const row = this.rows[this.level - 1].get(label);
      const lit = label === selected;
      const color = lit ? HEAD.highlight : row.color;
      const share = lit ? HEAD.highlight_share : this.byLabel ? HEAD.tint_share : 0;
      for (let k = 0; k < 3; k++) bytes[4 * index + k] = Math.round(255 * color[k]);
      bytes[4 * index + 3] = this.shown[index] ? 1 + Math.round(254 * share) : 0;
    }
  }

  // Numbers of the Gaussians for which `wanted` holds of their code, ascending.
  gaussians(wanted) {
    const keep = new Uint8Array(this.codes.length);
    for (let index = 0; index < keep.length; index++) keep[index] = wanted(index) ? 1 : 0;
    const found = [];
    for (let i = 0; i < this.codeOf.length; i++) if (keep[this.codeOf[i]]) found.push(i);
    return found;
  }
}
