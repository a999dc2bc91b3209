// A job's log as it grows.
import { $, plain } from "./page.js";

const maxLines = 2000;
const log = $("#log");
let last = Number($("#job")?.dataset.log ?? 0);
if (log) log.scrollTop = log.scrollHeight;

export function appendLog({ entries }) {
  const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  for (const entry of entries) {
    // A stream that starts over may repeat lines.
    if (entry.id <= last) continue;
    last = entry.id;
    const line = document.createElement("span");
    line.className = entry.level;
    const attempt = entry.attempt > 0 ? ` #${entry.attempt}` : "";
    const time = entry.at.slice(0, 19).replace("T", " ");
    line.textContent = plain(`${time} ${entry.level} ${entry.source}${attempt}: ${entry.message}\n`);
    log.append(line);
  }
  while (log.childElementCount > maxLines) log.firstElementChild.remove();
  // Follows the newest line unless the reader has scrolled back.
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}
