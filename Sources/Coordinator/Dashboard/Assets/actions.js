// Cancel, retry, priority, drain: sent in the background, answered at the foot of the window. Choosers in lists.
import { $, all, announce, problem } from "./page.js";
import { refresh } from "./refresh.js";

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
    if (response.ok) announce((await response.json()).message);
    else announce(await problem(response), true);
    close(form.closest("details"));
    refresh();
  } catch {
    announce("The coordinator cannot be reached; nothing was changed.", true);
  }
  button.disabled = false;
});

function close(menu) {
  menu.open = false;
  $("summary", menu).focus();
}

// One menu is open at a time; it closes by Escape and by a click elsewhere.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") all("details.action[open]").forEach(close);
});
document.addEventListener("click", (event) => {
  for (const menu of all("details.action[open]")) if (!menu.contains(event.target)) menu.open = false;
});
// Whoever opens a menu by the keyboard goes on in it.
document.addEventListener("toggle", (event) => {
  if (event.target.matches("details.action[open]")) $("input, button", event.target)?.focus({ preventScroll: true });
}, true);

// Choosing shows at once; the button is for the keyboard and for those without this script.
for (const choice of all("form.filters select")) choice.addEventListener("change", () => choice.form.requestSubmit());
