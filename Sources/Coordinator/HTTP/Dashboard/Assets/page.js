// Finds elements and formats numbers for the other parts of the script. Base/Readable.swift has the same formats.

export const $ = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];
export const put = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };

export function duration(seconds) {
  if (!(seconds < 1e12)) return "?";
  const s = Math.round(Math.max(seconds, 0));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.floor((s + 30) / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

// A unit stays on the line of its number.
export const unbroken = (text) => text.replaceAll(" ", "\u00A0");

export function bytes(count) {
  if (count < 1024) return `${count} byte${count === 1 ? "" : "s"}`;
  let [size, unit] = [count / 1024, 0];
  while (size >= 1024 && unit < 3) [size, unit] = [size / 1024, unit + 1];
  return `${size.toFixed(1)} ${["KiB", "MiB", "GiB", "TiB"][unit]}`;
}

// Four significant digits, as C's %.4g writes them on the server.
export function significant(value) {
  if (!Number.isFinite(value)) return String(value);
  const [digits, exponent] = value.toExponential(3).split("e").map(Number);
  if (exponent >= -4 && exponent < 4) return String(Number(value.toPrecision(4)));
  return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

// A short label for an axis, whatever the magnitude.
export const tick = (value) => {
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(3)));
};
export const speed = (perSecond) =>
  unbroken(perSecond > 0 && perSecond < 1 ? `${(1 / perSecond).toFixed(2)} s/it` : `${perSecond.toFixed(1)} it/s`);

// Times refer to the coordinator's clock, because the browser's may be wrong.
const skew = Date.now() - Date.parse(document.body.dataset.now);
export const ago = (date) => `${duration((Date.now() - skew - Date.parse(date)) / 1000)} ago`;

// Shows a line at the bottom of the window for some seconds.
export function announce(text, isProblem = false) {
  const line = document.createElement("p");
  line.textContent = plain(text);
  line.classList.toggle("problem", isProblem);
  $("#answers").append(line);
  setTimeout(() => line.remove(), isProblem ? 12000 : 6000);
}

// Replaces control characters and those that change the writing direction. Readable+Page.swift replaces the same.
export const plain = (text) =>
  text.replace(/[\0-\x08\x0B-\x1F\x7F-\x9F\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g, "\uFFFD");

// The reason in an answer that reports a failure.
export async function problem(response) {
  try { return (await response.json()).detail; } catch { return `the coordinator answered with status ${response.status}`; }
}
