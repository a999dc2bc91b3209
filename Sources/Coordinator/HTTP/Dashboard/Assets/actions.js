// Sends cancel, retry, priority and drain in the background and shows the answer at the bottom of the window. Submits a
// list's filters when one changes.
import { $, all, announce, problem } from "./page.js";
import { refresh } from "./refresh.js";

document.addEventListener("submit", async (event) => {
  const form = event.target;
  // Logging in and out is a change of pages.
  if (form.method !== "post" || "plain" in form.dataset) return;
  event.preventDefault();
  const button = $("button", form);
  button.disabled = true;
  try {
    const response = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" },
    });
    // A page whose subject is gone has nothing to show.
    if (response.ok && form.dataset.leave && document.body.dataset.page === form.dataset.leaves) return location.assign(form.dataset.leave);
    if (response.ok) announce((await response.json()).message);
    else announce(await problem(response), true);
    close(form.closest("details"));
    refresh();
  } catch {
    announce("No answer came. The coordinator may have done this or not; the page shows it once it is reachable.", true);
    refresh();
  }
  button.disabled = false;
});

function close(menu) {
  menu.open = false;
  $("summary", menu).focus();
}

// Escape, or a click elsewhere, closes an open menu, so only one is open at a time.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") all("details.action[open]").forEach(close);
});
document.addEventListener("click", (event) => {
  for (const menu of all("details.action[open]")) if (!menu.contains(event.target)) menu.open = false;
});
// A menu that opens moves the focus to its first field.
document.addEventListener("toggle", (event) => {
  if (event.target.matches("details.action[open]")) $("input:not([type=hidden]), button", event.target)?.focus({ preventScroll: true });
}, true);

// A choice takes effect at once. The button is for keyboard users and for browsers without JavaScript.
for (const choice of all("form.filters select")) choice.addEventListener("change", () => choice.form.requestSubmit());
