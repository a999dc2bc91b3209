// Keeps a page alive. The server renders every page whole; this script listens to the event stream, writes moving
// numbers into place, and, when more than a number has changed, fetches the page again and adopts what differs.
// Without it the pages are complete.
import "./actions.js";
import { Charts } from "./charts.js";
import { listen } from "./live.js";
import { appendLog } from "./log.js";
import { $ } from "./page.js";
import { prepareSnapshots, showQuality } from "./snapshots.js";
import { prepareSubmission } from "./submit.js";

// On a phone the menu scrolls.
$("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
const charts = $("#charts") ? new Charts($("#charts")) : null;
prepareSnapshots((iteration) => charts.values(iteration));
prepareSubmission();
// Neither the login page nor an answer, such as that nothing has an address, changes.
if (!["login", "answer"].includes(document.body.dataset.page)) {
  listen({ metrics: ({ rows }) => { charts?.add(rows); showQuality(); }, log: appendLog });
}
