// The panel beside the picture: level, colours, list of labels, downloads. Names are set as text, never as HTML.
"use strict";

const ROWS_SHOWN = 300; // rows of the list at once; the search finds the others

class Panel {
  // changed() is called when the state of the labels has changed, frame() to look at what is shown.
  constructor(splat, labels, changed, frame) {
    this.splat = splat;
    this.labels = labels;
    this.changed = changed;
    this.frame = frame;
    this.part = (id) => document.getElementById(id);
    this.part("facts").textContent = `${HEAD.count.toLocaleString()} Gaussians`;
    this.part("renderer").textContent = HEAD.renderer;
    const level = this.part("level");
    level.max = HEAD.levels.length;
    level.value = 1;
    level.addEventListener("input", () => this.setLevel(Number(level.value)));
    for (const radio of document.getElementsByName("colors")) {
      radio.addEventListener("change", () => this.change(() => (this.labels.byLabel = radio.value === "labels")));
    }
    this.part("search").addEventListener("input", () => this.fill());
    this.part("show-all").addEventListener("click", () => this.change(() => this.labels.showAll()));
    this.part("frame").addEventListener("click", frame);
    this.part("download-shown").addEventListener("click", () => {
      download("shown", this.labels.gaussians((index) => this.labels.shown[index]), this.splat);
    });
    document.addEventListener("keydown", (event) => this.key(event));
    this.fill();
    this.part("panel").hidden = false;
  }

  change(action) {
    action();
    this.fill();
    this.changed();
  }

  setLevel(level) {
    if (level < 1 || level > HEAD.levels.length) return;
    this.part("level").value = level;
    this.change(() => this.labels.setLevel(level));
    this.reveal();
  }

  // Selects a label that was clicked in the picture.
  picked(label) {
    this.change(() => this.labels.select(label));
    this.reveal();
  }

  reveal() {
    document.querySelector("#labels .selected")?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const forBrowser = event.ctrlKey || event.metaKey || event.altKey; // Ctrl+F is its search
    if (event.target.id === "search" || forBrowser) return;
    if (event.key === "Escape") this.change(() => this.labels.select(null));
    if (event.key === "f") this.frame();
    if (event.key === "[") this.setLevel(this.labels.level - 1);
    if (event.key === "]") this.setLevel(this.labels.level + 1);
  }

  fill() {
    const { labels } = this;
    const levels = HEAD.levels.length;
    this.part("level-text").textContent = `Level ${labels.level} of ${levels}, ${plural(labels.list.length)}`;
    const wanted = this.part("search").value.trim().toLowerCase();
    const shown = labels.shownLabels();
    const found = labels.list.filter((row) => row.name.toLowerCase().includes(wanted) || row.label === labels.selected);
    const rows = found.slice(0, ROWS_SHOWN);
    const selected = found.find((row) => row.label === labels.selected);
    if (selected && !rows.includes(selected)) rows.unshift(selected);
    const items = rows.map((row) => this.item(row, shown.has(row.label)));
    if (found.length > rows.length) items.push(element("li", "hint", `${plural(found.length - rows.length)} more: search`));
    this.part("labels").replaceChildren(...items);
  }

  item(row, shown) {
    const { labels } = this;
    const item = element("li", "");
    item.dataset.label = row.label;
    item.classList.toggle("hidden", !shown);
    item.classList.toggle("selected", row.label === labels.selected);
    const swatch = element("span", "swatch");
    swatch.style.background = `rgb(${row.color.map((value) => Math.round(255 * value)).join(" ")})`;
    const name = element("button", "name", row.name);
    name.title = row.name;
    name.addEventListener("click", () => this.change(() => labels.select(row.label)));
    const act = (text, title, action) => {
      const button = element("button", "act", text);
      button.title = title;
      button.addEventListener("click", action);
      return button;
    };
    const hide = act(shown ? "Hide" : "Show", "Hide or show this label", () => {
      this.change(() => labels.show(row.label, !shown));
    });
    const isolate = act("Only", "Show this label alone; again: show all", () => {
      this.change(() => labels.isolate(row.label));
    });
    const save = act("PLY", "Download this label as PLY", () => {
      download(row.file, labels.gaussians((index) => labels.labelOf(index) === row.label), this.splat);
    });
    item.append(swatch, name, element("span", "count", row.count.toLocaleString()), hide, isolate, save);
    return item;
  }
}

function plural(count) {
  return `${count.toLocaleString()} ${count === 1 ? "label" : "labels"}`;
}

function element(kind, style, text = "") {
  const made = document.createElement(kind);
  made.className = style;
  made.textContent = text;
  return made;
}
