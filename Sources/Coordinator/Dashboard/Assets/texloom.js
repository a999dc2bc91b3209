// Keeps a page alive. The server renders every page whole; this script listens to the event stream, writes moving
// numbers into place, and, when more than a number has changed, fetches the page again and adopts what differs.
// Without it the pages are complete and reload themselves.

const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const page = document.body.dataset.page;

// ---------------------------------------------------------------- numbers as people read them

function duration(seconds) {
  if (seconds == null) return "";
  const s = Math.round(Math.min(Math.max(seconds, 0), 1e9));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}
const significant = (value) => value === 0 ? "0" : String(Number(value.toPrecision(4)));
const put = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };

// ---------------------------------------------------------------- adopting a page that was fetched again

// Makes `old` like `fresh`, touching only what differs: pictures do not flicker, the focus and open menus stay.
function adopt(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.dataset?.job ?? "") !== (fresh.dataset?.job ?? "")) {
    old.replaceWith(fresh.cloneNode(true));
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  // An open menu is being used: it is left alone until it is closed.
  if (old.nodeName === "DETAILS" && old.open) return;
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "hidden") old.removeAttribute(name);
  const [mine, theirs] = [[...old.childNodes], [...fresh.childNodes]];
  theirs.forEach((child, index) => mine[index] ? adopt(mine[index], child) : old.append(child.cloneNode(true)));
  mine.slice(theirs.length).forEach((child) => child.remove());
}

let refreshing = false;
let wanted = false;
let lastRefresh = 0;
const restBetweenRefreshes = 2000;

async function refresh() {
  if (document.hidden) { wanted = true; return; }
  if (refreshing) { wanted = true; return; }
  const wait = lastRefresh + restBetweenRefreshes - Date.now();
  refreshing = true;
  if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  wanted = false;
  lastRefresh = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of all("[data-live]")) {
        const twin = $(`[data-live="${part.dataset.live}"]`, fresh);
        if (twin) adopt(part, twin);
      }
      const [job, twin] = [$("#job"), $("#job", fresh)];
      if (job && twin) for (const key of ["state", "snapshot", "attempt"]) job.dataset[key] = twin.dataset[key];
      document.dispatchEvent(new Event("adopted"));
    }
  } catch { /* The stream tells that the coordinator is away, and when it is back. */ }
  refreshing = false;
  if (wanted) refresh();
}

// ---------------------------------------------------------------- what the streams say

function showJob(job) {
  const places = all(`[data-job="${job.id}"]`);
  let isStale = false;
  for (const place of places) {
    if (place.dataset.state !== job.state || (place.dataset.snapshot ?? "") !== (job.latestSnapshot ?? "")
      || (place.dataset.attempt && place.dataset.attempt !== String(job.attempt))) isStale = true;
    const bar = $("progress", place);
    if (bar && job.totalIterations > 0) {
      bar.max = job.totalIterations;
      bar.value = job.iteration;
      const share = Math.floor(100 * job.iteration / job.totalIterations);
      put($('[data-field="progress"]', place), `${job.iteration} of ${job.totalIterations} (${share} %)`);
    } else if (!bar && job.totalIterations > 0) isStale = true;
    put($('[data-field="left"]', place), job.etaSeconds != null ? `${duration(job.etaSeconds)} left` : "");
    if (job.secondsPerIteration) put($('[data-field="speed"]', place), speed(1 / job.secondsPerIteration));
  }
  if (isStale || places.length === 0 && (page === "overview" || page === "jobs")) refresh();
}

const speed = (perSecond) => `${perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toFixed(2)} it/s`;

function showSummary(summary) {
  for (const [state, count] of Object.entries(summary.jobs)) put($(`[data-count="${state}"]`), String(count));
  put($('[data-field="throughput"]'), summary.iterationsPerSecond.toFixed(2));
  put($('[data-field="queue"]'), summary.queueSeconds != null ? duration(summary.queueSeconds) : "unknown");
  put($('[data-field="slots"]'), String(summary.slots));
}

let knownWorkers;
function showWorkers({ workers }) {
  const shape = JSON.stringify(workers.map((w) => [w.id, w.isConnected, w.isDraining, w.jobs]));
  if (knownWorkers !== undefined && shape !== knownWorkers && (page === "overview" || page === "workers")) refresh();
  knownWorkers = shape;
  for (const worker of workers) {
    put($(`[data-worker="${CSS.escape(worker.id)}"] [data-field="speed"]`), speed(worker.iterationsPerSecond));
  }
}

function connected(isLive) {
  const light = $("#connection");
  light.dataset.state = isLive ? "live" : "away";
  light.textContent = isLive ? "live" : "the coordinator is away";
}

let stream;
let isFirstGreeting = true;
function listen() {
  const job = $("#job");
  stream = new EventSource(job ? `/api/v1/jobs/${job.dataset.job}/events?after=${job.dataset.log}.-1` : "/api/v1/events");
  const on = (name, handle) => stream.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  stream.onopen = () => connected(true);
  stream.onerror = () => connected(false);
  on("job", showJob);
  on("summary", showSummary);
  on("workers", showWorkers);
  // What was rendered a moment ago needs no second fetch; what was missed later does.
  on("reset", () => { if (!isFirstGreeting) refresh(); isFirstGreeting = false; });
  on("metrics", ({ rows }) => charts?.add(rows));
  on("log", ({ entries }) => appendLog(entries));
}
document.addEventListener("visibilitychange", () => { if (!document.hidden && wanted) refresh(); });
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => { if (event.persisted) { listen(); refresh(); } });

// ---------------------------------------------------------------- actions

function answer(text, isProblem = false) {
  const line = document.createElement("p");
  line.textContent = text;
  line.classList.toggle("problem", isProblem);
  $("#answers").append(line);
  setTimeout(() => line.remove(), isProblem ? 12000 : 5000);
}

async function problem(response) {
  try { return (await response.json()).detail; } catch { return `the coordinator answered with status ${response.status}`; }
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  const button = $("button", form);
  button.disabled = true;
  try {
    const response = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" },
    });
    if (response.ok) answer((await response.json()).message);
    else answer(await problem(response), true);
    form.closest("details")?.removeAttribute("open");
    refresh();
  } catch {
    answer("the coordinator cannot be reached; nothing was changed", true);
  }
  button.disabled = false;
});
// A menu closes by Escape and by a click elsewhere.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of all("details.action[open]")) { menu.open = false; $("summary", menu).focus(); }
});
document.addEventListener("click", (event) => {
  for (const menu of all("details.action[open]")) if (!menu.contains(event.target)) menu.open = false;
});
// Choosing shows at once; the button is for the keyboard and for those without this script.
for (const choice of all("form.filters select")) choice.addEventListener("change", () => choice.form.requestSubmit());

// ---------------------------------------------------------------- a job's snapshots

let pinned = new URL(location.href).searchParams.get("snapshot");
let playing;

function showSnapshot(index) {
  const links = all("#strip a");
  const link = links[Math.min(Math.max(index, 0), links.length - 1)];
  if (!link) return;
  links.forEach((other) => other === link ? other.setAttribute("aria-current", "true") : other.removeAttribute("aria-current"));
  const address = `/api/v1/artifacts/${link.dataset.sha256}`;
  $("#shown").src = address;
  $("#shown-link").href = address;
  put($("#shown-iteration"), link.dataset.iteration);
  $("#scrub").value = links.indexOf(link);
  put($(".scrub output"), `iteration ${link.dataset.iteration}`);
  link.scrollIntoView({ block: "nearest", inline: "nearest" });
  showQuality(Number(link.dataset.iteration));
}

function showQuality(iteration) {
  const values = charts?.values(iteration);
  for (const place of all("[data-quality]")) {
    const value = values?.[place.dataset.quality];
    if (value !== undefined) put($("dd", place), significant(value));
  }
}

function pin(index) {
  const links = all("#strip a");
  // The newest one is followed; any other one stays.
  pinned = index >= links.length - 1 ? null : links[index].dataset.iteration;
  const address = new URL(location.href);
  if (pinned) address.searchParams.set("snapshot", pinned); else address.searchParams.delete("snapshot");
  history.replaceState(null, "", address);
  showSnapshot(index);
}

function prepareSnapshots() {
  const bar = $(".scrub");
  if (!bar) return;
  bar.hidden = false;
  if (bar.dataset.ready) return;
  bar.dataset.ready = "yes";
  $("#scrub").addEventListener("input", (event) => pin(Number(event.target.value)));
  $("#strip").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    pin(all("#strip a").indexOf(link));
  });
  $("#play").addEventListener("click", () => {
    if (playing) { clearInterval(playing); playing = undefined; put($("#play"), "Play"); return; }
    let index = 0;
    put($("#play"), "Stop");
    playing = setInterval(() => {
      showSnapshot(index++);
      if (index >= all("#strip a").length) { clearInterval(playing); playing = undefined; put($("#play"), "Play"); }
    }, 400);
  });
}

// ---------------------------------------------------------------- a job's log

function appendLog(entries) {
  const log = $("#log");
  const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  for (const entry of entries) {
    const line = document.createElement("span");
    line.className = entry.level;
    const attempt = entry.attempt > 0 ? ` #${entry.attempt}` : "";
    line.textContent = `${entry.at.replace("T", " ").replace("Z", "")} ${entry.level} ${entry.source}${attempt}: ${entry.message}\n`;
    log.append(line);
  }
  while (log.childElementCount > 2000) log.firstElementChild.remove();
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

// ---------------------------------------------------------------- a job's loss curves

class Charts {
  static titles = {
    l1: "L1", style: "Style", adversarial: "Adversarial", discriminator_fake: "Discriminator, generated",
    discriminator_real: "Discriminator, real", gradient_adversarial: "Gradient of adversarial",
    gradient_l1: "Gradient of L1", gradient_style: "Gradient of style",
  };
  rows = [];
  byIteration = new Map();
  panels = new Map();
  view = null; // [from, to], or null for the whole run
  hover = null;
  scheduled = false;

  constructor(root) {
    this.root = root;
    $("#from").addEventListener("change", () => this.typed());
    $("#to").addEventListener("change", () => this.typed());
    $("#whole").addEventListener("click", () => this.zoom(null));
    $("#smooth").addEventListener("input", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  values(iteration) { return this.byIteration.get(iteration)?.values; }

  add(rows) {
    for (const row of rows) {
      if (!this.byIteration.has(row.iteration)) this.rows.push(row);
      else this.rows[this.rows.findIndex((other) => other.iteration === row.iteration)] = row;
      this.byIteration.set(row.iteration, row);
      for (const term of Object.keys(row.values)) if (!term.startsWith("quality_")) this.panel(term);
    }
    if (rows.length > 0 && this.rows.length > 1 && rows[0].iteration < this.rows.at(-rows.length - 1)?.iteration) {
      this.rows.sort((a, b) => a.iteration - b.iteration);
    }
    $("#range").hidden = this.rows.length < 2;
    this.draw();
    const shown = $("#shown-iteration");
    if (shown) showQuality(Number(shown.textContent));
  }

  panel(term) {
    if (this.panels.has(term)) return;
    const figure = document.createElement("figure");
    figure.className = "chart card";
    figure.dataset.term = term;
    const title = document.createElement("h3");
    title.append(Charts.titles[term] ?? term.replaceAll("_", " "), document.createElement("span"));
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title.firstChild.data} over the iterations`);
    figure.append(title, canvas);
    const known = Object.keys(Charts.titles);
    const rank = (name) => known.includes(name) ? known.indexOf(name) : known.length;
    const after = all("figure", this.root).find((other) => rank(other.dataset.term) > rank(term));
    this.root.insertBefore(figure, after ?? null);
    this.panels.set(term, { figure, canvas, label: $("span", title) });
    let start = null;
    const at = (event) => this.iterationAt(canvas, event.offsetX);
    canvas.addEventListener("pointerdown", (event) => { start = at(event); });
    canvas.addEventListener("pointermove", (event) => {
      this.hover = at(event);
      this.dragged = start === null ? null : [Math.min(start, this.hover), Math.max(start, this.hover)];
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => { this.hover = null; this.dragged = null; start = null; this.draw(); });
    canvas.addEventListener("pointerup", (event) => {
      const end = at(event);
      const [from, to] = this.range();
      if (start !== null && Math.abs(end - start) > (to - from) / 50) this.zoom([Math.min(start, end), Math.max(start, end)]);
      start = null;
      this.dragged = null;
    });
    canvas.addEventListener("dblclick", () => this.zoom(null));
  }

  range() { return this.view ?? [0, Math.max(1, this.rows.at(-1)?.iteration ?? 1)]; }

  zoom(view) { this.view = view && [Math.floor(view[0]), Math.ceil(view[1])]; this.draw(); }

  typed() {
    const [from, to] = [Number($("#from").value), Number($("#to").value)];
    if (to > from) this.zoom([from, to]);
  }

  static left = 46;
  iterationAt(canvas, x) {
    const [from, to] = this.range();
    const share = (x - Charts.left) / Math.max(1, canvas.clientWidth - Charts.left - 6);
    return Math.round(from + Math.min(Math.max(share, 0), 1) * (to - from));
  }

  draw() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => { this.scheduled = false; this.paint(); });
  }

  paint() {
    const [from, to] = this.range();
    if (document.activeElement !== $("#from")) $("#from").value = from;
    if (document.activeElement !== $("#to")) $("#to").value = to;
    const style = getComputedStyle(document.body);
    const colour = (name) => style.getPropertyValue(name).trim();
    const visible = this.rows.filter((row) => row.iteration >= from && row.iteration <= to);
    const keep = 1 - 1 / 2 ** Number($("#smooth").value);
    for (const [term, { canvas, label }] of this.panels) {
      const [width, height, dense] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
      if (canvas.width !== Math.round(width * dense)) canvas.width = Math.round(width * dense);
      if (canvas.height !== Math.round(height * dense)) canvas.height = Math.round(height * dense);
      const pen = canvas.getContext("2d");
      pen.setTransform(dense, 0, 0, dense, 0, 0);
      pen.clearRect(0, 0, width, height);
      const points = visible.filter((row) => row.values[term] !== undefined);
      if (points.length === 0) { put(label, ""); continue; }
      // The scale leaves out the wildest half per cent, so that one spike does not flatten the curve.
      const sorted = points.map((row) => row.values[term]).sort((a, b) => a - b);
      const low = sorted[Math.floor(sorted.length / 200)];
      const high = Math.max(sorted[Math.ceil(sorted.length * 199 / 200) - 1], low + Math.abs(low) * 1e-3 + 1e-12);
      const x = (iteration) => Charts.left + (iteration - from) / (to - from) * (width - Charts.left - 6);
      const y = (value) => 6 + (1 - Math.min(Math.max((value - low) / (high - low), -0.02), 1.02)) * (height - 24);
      pen.font = "11px system-ui, sans-serif";
      pen.fillStyle = colour("--dim");
      pen.strokeStyle = colour("--line");
      pen.textAlign = "right";
      for (const value of [low, (low + high) / 2, high]) {
        pen.fillText(Number(value.toPrecision(3)), Charts.left - 5, y(value) + 4);
        pen.beginPath(); pen.moveTo(Charts.left, y(value)); pen.lineTo(width - 6, y(value)); pen.stroke();
      }
      pen.textAlign = "left"; pen.fillText(from, Charts.left, height - 4);
      pen.textAlign = "right"; pen.fillText(to, width - 6, height - 4);
      const line = (value, alpha, thickness) => {
        pen.beginPath();
        points.forEach((row, index) => index ? pen.lineTo(x(row.iteration), y(value(row))) : pen.moveTo(x(row.iteration), y(value(row))));
        pen.globalAlpha = alpha; pen.lineWidth = thickness; pen.strokeStyle = colour("--accent"); pen.stroke(); pen.globalAlpha = 1;
      };
      line((row) => row.values[term], keep > 0 ? 0.28 : 1, 1);
      if (keep > 0) {
        let mean = points[0].values[term];
        line((row) => mean = keep * mean + (1 - keep) * row.values[term], 1, 1.8);
      }
      if (this.dragged) {
        pen.fillStyle = colour("--accent"); pen.globalAlpha = 0.18;
        pen.fillRect(x(this.dragged[0]), 6, x(this.dragged[1]) - x(this.dragged[0]), height - 24); pen.globalAlpha = 1;
      }
      let told = points.at(-1);
      if (this.hover !== null) {
        told = points.reduce((best, row) => Math.abs(row.iteration - this.hover) < Math.abs(best.iteration - this.hover) ? row : best);
        pen.strokeStyle = colour("--dim"); pen.beginPath(); pen.moveTo(x(told.iteration), 6); pen.lineTo(x(told.iteration), height - 18); pen.stroke();
      }
      put(label, `${significant(told.values[term])} at ${told.iteration}`);
    }
  }
}
const charts = $("#charts") ? new Charts($("#charts")) : null;

// ---------------------------------------------------------------- submission

async function prepareSubmission() {
  const form = $("#submit");
  if (!form) return;
  const { recipes } = await (await fetch("/api/v1/recipes")).json();
  const choose = () => { $("#yaml").value = recipes.find((recipe) => recipe.name === $("#recipe").value)?.yaml ?? ""; };
  $("#recipe").addEventListener("change", choose);
  choose();
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  const drop = $("#drop");
  $("#files").addEventListener("change", (event) => { submit([...event.target.files]); event.target.value = ""; });
  // Files dropped beside the field are meant for it as well; a browser would open them.
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (event.relatedTarget === null) drop.classList.remove("over"); });
  addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); submit([...event.dataTransfer.files]); });
}

async function submit(files) {
  for (const file of files) {
    const line = document.createElement("li");
    line.className = "card";
    const picture = document.createElement("img");
    picture.alt = "";
    const text = document.createElement("span");
    text.textContent = `${file.name}: sending ${(file.size / 1024).toFixed(0)} KiB`;
    line.append(picture, text);
    $("#outcomes").prepend(line);
    try {
      const job = await submitOne(file);
      picture.src = `/thumbnails/${job.exemplar}.png`;
      const link = document.createElement("a");
      link.href = `/jobs/${job.id}`;
      link.textContent = job.resultName;
      text.replaceChildren(`${file.name}: ${job.alreadyExisted ? `was submitted before and is ${job.state}` : "accepted"}, `, link);
    } catch (error) {
      picture.remove();
      line.classList.add("wrong");
      text.textContent = `${file.name}: refused: ${error.message}`;
    }
  }
}

async function submitOne(file) {
  const send = async (path, body, type) => {
    const response = await fetch(path, { method: "POST", body, headers: { "Content-Type": type } });
    if (!response.ok) throw new Error(await problem(response));
    return response.json();
  };
  const receipt = await send("/api/v1/exemplars", file, "application/octet-stream");
  const [name, recipeYAML] = [file.name.replace(/\.[^.]*$/, "") || file.name, $("#yaml").value];
  const job = { name, fileName: file.name, exemplarSHA256: receipt.sha256, recipeYAML, priority: Number($("#priority").value) };
  // The key that `texloom submit` uses, so that the same photograph with the same recipe is the same job. Browsers
  // compute digests only for this machine and over HTTPS.
  if (crypto.subtle) {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${name}\n${receipt.sha256}\n${recipeYAML}`));
    job.key = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  const { jobs } = await send("/api/v1/jobs", JSON.stringify({ jobs: [job] }), "application/json");
  return { ...jobs[0], exemplar: receipt.sha256 };
}

// ---------------------------------------------------------------- start

document.addEventListener("adopted", () => {
  prepareSnapshots();
  const links = all("#strip a");
  const index = pinned ? links.findIndex((link) => link.dataset.iteration === pinned) : links.length - 1;
  if (links.length && !playing && index >= 0) showSnapshot(index);
});
prepareSnapshots();
prepareSubmission();
const log = $("#log");
if (log) log.scrollTop = log.scrollHeight;
listen();
