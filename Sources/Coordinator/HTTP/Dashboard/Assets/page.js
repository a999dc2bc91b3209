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

export const significant = (value) => value === 0 ? "0" : String(Number(value.toPrecision(4)));
// A short label for an axis, whatever the magnitude.
export const tick = (value) => {
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(3)));
};
export const speed = (perSecond) => `${perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toFixed(2)} it/s`;

// Times refer to the coordinator's clock, because the browser's may be wrong.
const skew = Date.now() - Date.parse(document.body.dataset.now);
export const ago = (date) => `${duration((Date.now() - skew - Date.parse(date)) / 1000)} ago`;

// Shows a line at the bottom of the window for some seconds.
export function announce(text, isProblem = false) {
  const line = document.createElement("p");
  line.textContent = text;
  line.classList.toggle("problem", isProblem);
  $("#answers").append(line);
  setTimeout(() => line.remove(), isProblem ? 12000 : 6000);
}

// The reason in an answer that reports a failure.
export async function problem(response) {
  try { return (await response.json()).detail; } catch { return `the coordinator answered with status ${response.status}`; }
}
