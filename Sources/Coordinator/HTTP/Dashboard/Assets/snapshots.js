// Shows a job's snapshots beside the exemplar at one scale, with a slider and a strip of all snapshots.
import { $, all, put, significant } from "./page.js";

let pinned = new URL(location.href).searchParams.get("snapshot");
let playing;
let measured = () => undefined;
const prepared = new WeakSet();

function show(index) {
  const links = all("#strip a");
  const link = links[Math.min(Math.max(index, 0), links.length - 1)];
  if (!link) return;
  links.forEach((other) => other === link ? other.setAttribute("aria-current", "true") : other.removeAttribute("aria-current"));
  const address = `/api/v1/artifacts/${link.dataset.sha256}`;
  if ($("#shown").getAttribute("src") !== address) $("#shown").src = address;
  $("#shown-link").href = address;
  put($("#shown-iteration"), link.dataset.iteration);
  $("#scrub").value = links.indexOf(link);
  put($("#scrubbing output"), `iteration ${link.dataset.iteration}`);
  // Not scrollIntoView, which would move the page as well.
  const strip = $("#strip");
  strip.scrollLeft = link.offsetLeft - strip.offsetLeft - (strip.clientWidth - link.clientWidth) / 2;
  showQuality();
}

// Shows the figures of the shown iteration. The page contains those of its first snapshot; the stream sends the others.
export function showQuality() {
  const iteration = Number($("#shown-iteration")?.textContent ?? NaN);
  const values = measured(iteration);
  if (!values) return;
  const list = $("#quality");
  const figures = Object.entries(values).filter(([key]) => key.startsWith("quality_")).sort(([a], [b]) => a < b ? -1 : 1);
  list.hidden = figures.length === 0;
  list.replaceChildren(...figures.map(([key, value]) => {
    const [pair, title, figure] = ["div", "dt", "dd"].map((name) => document.createElement(name));
    pair.dataset.quality = key;
    title.textContent = key.slice("quality_".length).replaceAll("_", " ");
    figure.textContent = significant(value);
    pair.append(title, figure);
    return pair;
  }));
}

// Shows exemplar and snapshot at the same scale: a whole multiple for small pictures, or whatever fits the window.
function fit() {
  const [exemplar, snapshot, room] = [$("#exemplar"), $("#shown"), $("#pictures")];
  if (!snapshot || !exemplar.naturalWidth || !snapshot.naturalWidth) return;
  room.classList.add("fitted");
  const gap = 16;
  const isStacked = getComputedStyle(room).flexDirection === "column";
  const widest = isStacked ? snapshot.naturalWidth : exemplar.naturalWidth + snapshot.naturalWidth;
  const fits = (room.clientWidth - (isStacked ? 0 : gap)) / widest;
  const comfortable = Math.min(fits, innerHeight * 0.8 / snapshot.naturalHeight);
  const scale = comfortable >= 1 ? Math.min(4, Math.floor(comfortable)) : Math.min(fits, 1);
  for (const picture of [exemplar, snapshot]) {
    // The caption is no wider than its picture.
    picture.style.width = picture.closest("figure").style.width = `${picture.naturalWidth * scale}px`;
    picture.classList.toggle("enlarged", scale > 1);
  }
  put($("#scale"), scale === 1 ? "" : scale > 1 ? `, ${scale} times enlarged` : `, ${Math.round(100 * scale)} % of their size`);
}

function pin(index) {
  const links = all("#strip a");
  // Follows the newest snapshot unless the user has chosen another.
  pinned = index >= links.length - 1 ? null : links[index].dataset.iteration;
  const address = new URL(location.href);
  if (pinned) address.searchParams.set("snapshot", pinned); else address.searchParams.delete("snapshot");
  history.replaceState(null, "", address);
  show(index);
}

function stop() {
  clearInterval(playing);
  playing = undefined;
  put($("#play"), "Play");
}

function play() {
  if (playing) return stop();
  let index = 0;
  put($("#play"), "Stop");
  playing = setInterval(() => {
    if (index < all("#strip a").length) show(index++); else stop();
  }, 400);
}

function prepare() {
  const bar = $("#scrubbing");
  if (!bar || prepared.has(bar)) return;
  prepared.add(bar);
  bar.hidden = false;
  $("#scrub").addEventListener("input", (event) => { stop(); pin(Number(event.target.value)); });
  $("#play").addEventListener("click", play);
  $("#strip").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    stop();
    pin(all("#strip a").indexOf(link));
  });
}

function adopted() {
  prepare();
  const links = all("#strip a");
  const index = pinned ? links.findIndex((link) => link.dataset.iteration === pinned) : links.length - 1;
  if (links.length > 0 && !playing && index >= 0) show(index);
  fit();
}

// - Parameter values: the figures of an iteration, by name; undefined while they are unknown.
export function prepareSnapshots(values) {
  if (!$("#pictures")) return;
  measured = values;
  // Capturing: pictures' events do not bubble.
  $("#pictures").parentElement.addEventListener("load", fit, true);
  addEventListener("resize", fit);
  document.addEventListener("adopted", adopted);
  adopted();
}
