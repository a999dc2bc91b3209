// Fetches the page again and updates what differs.
import { $, all } from "./page.js";

// Makes `old` equal to `fresh` and changes only what differs, so pictures do not flicker and focus and open menus stay.
function adopt(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || keyOf(old) !== keyOf(fresh)) {
    old.replaceWith(fresh.cloneNode(true));
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  // An open menu is in use and stays until it is closed.
  if (old.nodeName === "DETAILS" && old.open) return;
  for (const { name, value } of [...fresh.attributes]) {
    if (name !== "hidden" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  // Keeps what this script has shown, hidden or sized.
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "hidden" && name !== "style") old.removeAttribute(name);
  }
  adoptChildren(old, fresh);
}

// What an element shows: a job or a worker. Other nodes are matched by their order.
const keyOf = (node) => node.dataset?.job ?? node.dataset?.worker;

// The next job or worker behind a sibling.
function keyedAfter(node) {
  do node = node?.nextSibling; while (node && keyOf(node) === undefined);
  return node;
}

// A job that arrives, ends or overtakes another one leaves the elements of the others as they are.
function adoptChildren(old, fresh) {
  const theirs = [...fresh.childNodes];
  const keyed = new Map(), others = [];
  for (const child of old.childNodes) keyOf(child) === undefined ? others.push(child) : keyed.set(keyOf(child), child);
  const pairs = theirs.map((child) => [child, keyOf(child) === undefined ? others.shift() : keyed.get(keyOf(child))]);
  const kept = new Set(pairs.map(([, mine]) => mine));
  for (const child of [...old.childNodes]) if (!kept.has(child)) child.remove();
  const focused = document.activeElement;
  let next = old.firstChild;
  for (const [child, mine] of pairs) {
    // An element that moves down leaves until its turn comes, so that those behind it need not move up.
    if (mine && mine === keyedAfter(next)) while (next !== mine) { next = next.nextSibling; next.previousSibling.remove(); }
    if (mine && mine === next) next = next.nextSibling;
    else old.insertBefore(mine ?? child.cloneNode(true), next);
    if (mine) adopt(mine, child);
  }
  // An element that moves loses the focus.
  if (old.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

let isRefreshing = false;
let isWanted = false;
let nextAllowed = 0;

// Fetches at most every two seconds, and takes at most a hundredth of the coordinator's time. Waits at most ten seconds,
// because a slow answer must not hide a job that has started.
const restAfter = (milliseconds) => Math.min(10_000, Math.max(2000, 100 * milliseconds));

export async function refresh() {
  isWanted = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isWanted) {
    const wait = nextAllowed - Date.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    isWanted = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      // The session has ended.
      if (answer.redirected && new URL(answer.url).pathname === "/login") return location.assign(answer.url);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok) adoptPage(fresh);
      // The coordinator says so, and not a proxy before it.
      else if (answer.status === 404 && fresh.body.dataset.page) document.dispatchEvent(new Event("gone"));
    } catch { /* The stream reports that the coordinator is away, and when it returns. */ }
    nextAllowed = Date.now() + restAfter(performance.now() - began);
  }
  isRefreshing = false;
}

function adoptPage(fresh) {
  for (const part of all("[data-live]")) {
    const twin = $(`[data-live="${part.dataset.live}"]`, fresh);
    if (twin) adopt(part, twin);
  }
  const [job, twin] = [$("#job"), $("#job", fresh)];
  if (job && twin) for (const key of ["state", "snapshot", "attempt"]) job.dataset[key] = twin.dataset[key];
  document.dispatchEvent(new Event("adopted"));
}
