// Draws a job's loss curves: one panel per term, all over the same range of iterations.
import { $, all, put, significant, tick } from "./page.js";

const titles = {
  l1: "L1", style: "Style", adversarial: "Adversarial", discriminator_fake: "Discriminator, generated",
  discriminator_real: "Discriminator, real", gradient_adversarial: "Gradient of adversarial",
  gradient_l1: "Gradient of L1", gradient_style: "Gradient of style",
};
const [right, top, bottom] = [6, 6, 18];
const font = "11px system-ui, sans-serif";
const gap = 5; // between a label of the scale and its curve

export class Charts {
  rows = []; // ascending iterations
  byIteration = new Map();
  panels = new Map();
  view = null; // [from, to], or null for the whole run
  hover = null;
  dragged = null; // [start, now], in iterations
  left = 46; // where the curves begin: leaves room for the longest label of all panels
  isScheduled = false;

  constructor(root) {
    this.root = root;
    for (const end of ["#from", "#to"]) $(end).addEventListener("change", () => this.typed());
    $("#whole").addEventListener("click", () => this.zoom(null));
    $("#smooth").addEventListener("input", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // The values of an iteration, by name; undefined while none has arrived.
  values(iteration) { return this.rows.length > 0 ? this.byIteration.get(iteration)?.values ?? {} : undefined; }

  add(rows) {
    let isInOrder = true;
    for (const row of rows) {
      // A term that a recipe leaves out is always 0.
      for (const [term, value] of Object.entries(row.values)) {
        if (value !== 0 && !term.startsWith("quality_")) this.panel(term);
      }
      const known = this.byIteration.get(row.iteration);
      // An iteration trained again after a resume replaces its row.
      if (known) { Object.assign(known, row); continue; }
      isInOrder &&= this.rows.length === 0 || this.rows.at(-1).iteration < row.iteration;
      this.rows.push(row);
      this.byIteration.set(row.iteration, row);
    }
    if (!isInOrder) this.rows.sort((a, b) => a.iteration - b.iteration);
    $("#range").hidden = this.rows.length < 2;
    this.draw();
  }

  panel(term) {
    if (this.panels.has(term)) return;
    const [figure, title, label, canvas] = ["figure", "h3", "p", "canvas"].map((name) => document.createElement(name));
    figure.className = "chart card";
    figure.dataset.term = term;
    title.textContent = titles[term] ?? term.replaceAll("_", " ");
    label.className = "small dim numbers";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title.textContent} over the iterations`);
    figure.append(title, label, canvas);
    const rank = (name) => name in titles ? Object.keys(titles).indexOf(name) : Infinity;
    const after = all("figure", this.root).find((other) => rank(other.dataset.term) > rank(term));
    this.root.insertBefore(figure, after ?? null);
    this.panels.set(term, { canvas, label });
    this.listen(canvas);
  }

  listen(canvas) {
    const at = (event) => this.iterationAt(canvas, event.offsetX);
    canvas.addEventListener("pointerdown", (event) => {
      this.dragged = [at(event), at(event)];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      this.hover = at(event);
      if (this.dragged) this.dragged[1] = this.hover;
      this.draw();
    });
    canvas.addEventListener("pointerup", () => {
      const [from, to] = this.range();
      const ends = this.dragged?.sort((a, b) => a - b);
      this.dragged = null;
      if (ends && ends[1] - ends[0] > (to - from) / 50) this.zoom(ends);
    });
    for (const name of ["pointerleave", "pointercancel"]) {
      canvas.addEventListener(name, () => { this.hover = null; this.dragged = null; this.draw(); });
    }
    canvas.addEventListener("dblclick", () => this.zoom(null));
  }

  range() { return this.view ?? [0, Math.max(1, this.rows.at(-1)?.iteration ?? 1)]; }

  zoom(view) { this.view = view; this.draw(); }

  typed() {
    const [from, to] = [Number($("#from").value), Number($("#to").value)];
    if (to > from) this.zoom([from, to]);
  }

  iterationAt(canvas, x) {
    const [from, to] = this.range();
    const share = (x - this.left) / Math.max(1, canvas.clientWidth - this.left - right);
    return Math.round(from + Math.min(Math.max(share, 0), 1) * (to - from));
  }

  draw() {
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(() => { this.isScheduled = false; this.paint(); });
  }

  paint() {
    const [from, to] = this.range();
    if (document.activeElement !== $("#from")) $("#from").value = from;
    if (document.activeElement !== $("#to")) $("#to").value = to;
    const style = getComputedStyle(document.body);
    const [dim, line, accent] = ["--dim", "--line", "--accent"].map((name) => style.getPropertyValue(name).trim());
    const visible = this.rows.filter((row) => row.iteration >= from && row.iteration <= to);
    const planes = new Map();
    for (const [term, { canvas, label }] of this.panels) {
      const pen = prepare(canvas);
      const points = visible.filter((row) => row.values[term] !== undefined)
        .map((row) => ({ iteration: row.iteration, value: row.values[term] }));
      if (points.length === 0) put(label, "no values in this range");
      else planes.set(term, new Plane(pen, canvas, from, to, points));
    }
    this.left = Math.max(46, ...[...planes.values()].map((plane) => Math.ceil(plane.labelWidth()) + gap + 1));
    for (const [term, plane] of planes) {
      const { points } = plane;
      const { label } = this.panels.get(term);
      plane.left = this.left;
      plane.axes(dim, line);
      plane.curves(points, accent, Number($("#smooth").value));
      if (this.dragged) plane.mark(this.dragged, accent);
      let told = points.at(-1);
      if (this.hover !== null) {
        const distance = (point) => Math.abs(point.iteration - this.hover);
        told = points.reduce((best, point) => distance(point) < distance(best) ? point : best);
        plane.rule(told.iteration, dim);
      }
      put(label, `${significant(told.value)} at ${told.iteration}`);
    }
  }
}

// Clears a canvas and sets its resolution to the screen's.
function prepare(canvas) {
  const [width, height, dense] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
  if (canvas.width !== Math.round(width * dense)) canvas.width = Math.round(width * dense);
  if (canvas.height !== Math.round(height * dense)) canvas.height = Math.round(height * dense);
  const pen = canvas.getContext("2d");
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

// Maps iterations and values to positions on a canvas.
class Plane {
  constructor(pen, canvas, from, to, points) {
    Object.assign(this, { pen, from, to, points, left: 0, width: canvas.clientWidth, height: canvas.clientHeight });
    // The scale ignores the most extreme half per cent, so that one spike does not flatten the curve.
    const sorted = points.map((point) => point.value).sort((a, b) => a - b);
    this.low = sorted[Math.floor(sorted.length / 200)];
    this.high = sorted[Math.ceil(sorted.length * 199 / 200) - 1];
    const middle = (this.low + this.high) / 2;
    this.scale = [this.low, middle, this.high];
    if (this.high - this.low > Math.abs(middle) * 1e-3) return;
    // The labels would be equal: a constant has one line, in the middle.
    const reach = Math.abs(middle) + 1e-12;
    Object.assign(this, { low: middle - reach, high: middle + reach, scale: [middle] });
  }

  labelWidth() {
    this.pen.font = font;
    return Math.max(...this.scale.map((value) => this.pen.measureText(tick(value)).width));
  }

  x(iteration) { return this.left + (iteration - this.from) / (this.to - this.from) * (this.width - this.left - right); }

  y(value) {
    const share = Math.min(Math.max((value - this.low) / (this.high - this.low), -0.02), 1.02);
    return top + (1 - share) * (this.height - top - bottom);
  }

  axes(ink, line) {
    const { pen } = this;
    Object.assign(pen, { font, fillStyle: ink, strokeStyle: line, lineWidth: 1, textAlign: "right" });
    for (const value of this.scale) {
      pen.fillText(tick(value), this.left - gap, this.y(value) + 4);
      pen.beginPath(); pen.moveTo(this.left, this.y(value)); pen.lineTo(this.width - right, this.y(value)); pen.stroke();
    }
    pen.fillText(this.to, this.width - right, this.height - 4);
    pen.textAlign = "left";
    pen.fillText(this.from, this.left, this.height - 4);
  }

  // Draws the values pale, and their running mean above them. Each step of smoothing doubles the mean's memory.
  curves(points, colour, smoothing) {
    const keep = 1 - 1 / 2 ** smoothing;
    this.curve(points, colour, keep > 0 ? 0.28 : 1, 1);
    if (keep === 0) return;
    let mean = points[0].value;
    const means = points.map(({ iteration, value }) => ({ iteration, value: mean = keep * mean + (1 - keep) * value }));
    this.curve(means, colour, 1, 1.8);
  }

  curve(points, strokeStyle, globalAlpha, lineWidth) {
    const { pen } = this;
    pen.beginPath();
    for (const { iteration, value } of points) pen.lineTo(this.x(iteration), this.y(value));
    Object.assign(pen, { strokeStyle, globalAlpha, lineWidth });
    pen.stroke();
    pen.globalAlpha = 1;
  }

  mark([start, end], fillStyle) {
    Object.assign(this.pen, { fillStyle, globalAlpha: 0.18 });
    this.pen.fillRect(this.x(start), top, this.x(end) - this.x(start), this.height - top - bottom);
    this.pen.globalAlpha = 1;
  }

  rule(iteration, strokeStyle) {
    const { pen } = this;
    Object.assign(pen, { strokeStyle, lineWidth: 1 });
    pen.beginPath(); pen.moveTo(this.x(iteration), top); pen.lineTo(this.x(iteration), this.height - bottom); pen.stroke();
  }
}
