// Turns dropped or chosen photographs into jobs, one after the other.
import { $, all, bytes, duration, plain, problem, put } from "./page.js";

export function prepareSubmission() {
  const form = $("#submit");
  if (!form) return;
  let recipes, isMeasuring = true, begin;
  const begun = new Promise((resolve) => { begin = resolve; });
  const take = async (files) => { await begun; submit(files); };
  form.addEventListener("submit", (event) => event.preventDefault());
  const drop = $("#drop");
  $("#files").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
  // Accepts files dropped anywhere, also before the recipes are known: the browser would open them instead.
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (event.relatedTarget === null) drop.classList.remove("over"); });
  addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); take([...event.dataTransfer.files]); });
  form.hidden = false;
  const chosen = () => recipes.find((recipe) => recipe.name === $("#recipe").value);
  // The estimate applies only to the recipe as offered.
  const showTime = () => {
    const isOffered = chosen()?.yaml === $("#yaml").value;
    put($("#time"), !isOffered ? "" : chosen().expectedText ?? (isMeasuring ? "measuring how long this recipe takes" : ""));
    for (const recipe of recipes) {
      const option = all("option", $("#recipe")).find((option) => option.value === recipe.name);
      const time = recipe.expectedText ? `, ${recipe.aboutText}` : "";
      put(option, `${recipe.name}${time}: ${recipe.abstract}`);
    }
  };
  const choose = () => { $("#yaml").value = chosen()?.yaml ?? ""; showTime(); };
  // Until all times are known.
  const ask = async () => {
    const isFirst = !recipes;
    try {
      ({ recipes, isMeasuring } = await offered());
      if (isFirst) {
        $("#recipe").addEventListener("change", choose);
        $("#yaml").addEventListener("input", showTime);
        choose();
        $("#files").disabled = false;
        begin();
      } else {
        showTime();
      }
    } catch (error) {
      put($("#time"), `The ${isFirst ? "recipes" : "times"} are not known yet: ${error.message}. Asking again`);
    }
    if (isMeasuring) setTimeout(ask, 2000);
  };
  ask();
}

async function offered() {
  const response = await fetch("/api/v1/recipes").catch(() => { throw new Error("the coordinator does not answer"); });
  if (!response.ok) throw new Error(await problem(response));
  return response.json();
}

// The job's name as `texloom submit` makes it: without the extension of an image, cut between characters.
function jobName(fileName, maxBytes) {
  let [name, bytes] = ["", 0];
  for (const { segment } of new Intl.Segmenter().segment(fileName.replace(/\.(png|jpe?g)$/i, "") || fileName)) {
    bytes += new TextEncoder().encode(segment).length;
    if (bytes > maxBytes) break;
    name += segment;
  }
  return name;
}

// Files that have no outcome yet.
let unsent = 0;
addEventListener("beforeunload", (event) => { if (unsent > 0) event.preventDefault(); });

// The files of one drop go after those of the drop before.
let queue = Promise.resolve();

function submit(files) {
  if (files.length === 0 || !$("#priority").reportValidity()) return;
  const order = chosenOrder();
  const lines = files.map((file, index) => new Line(file, files.length > 1 ? `, ${index + 1} of ${files.length}` : "", order));
  $("#outcomes").prepend(...lines.map((line) => line.element));
  unsent += files.length;
  queue = queue.then(() => sendAll(lines));
}

// What the form orders for each file that is dropped now. It may change while they wait.
function chosenOrder() {
  const then = all("#then input:checked").map((box) => box.value.split(" ")).map(([kind, spec]) => ({ kind, spec }));
  // JSON leaves out what is undefined.
  return {
    recipeYAML: $("#yaml").value, priority: Number($("#priority").value), batch: $("#batch").value.trim() || undefined,
    then: then.length ? then : undefined,
  };
}

async function sendAll(lines) {
  for (const [index, line] of lines.entries()) {
    put($("#sending"), `Sending ${index + 1} of ${lines.length}`);
    await line.send();
    unsent -= 1;
  }
  const failed = lines.filter((line) => line.element.classList.contains("wrong")).length;
  put($("#sending"), `${lines.length - failed} of ${lines.length} accepted`);
}

class Refusal extends Error {}

// A file and what became of it.
class Line {
  // - Parameter place: ", 3 of 200"; empty for a single file.
  constructor(file, place, order) {
    Object.assign(this, { file, place, order, element: document.createElement("li"), text: document.createElement("span") });
    this.element.className = "card";
    this.element.append(this.text);
    this.tell(`waiting${place}`);
  }

  tell(text, ...more) { this.text.replaceChildren(plain(`${this.file.name}: ${text}`), ...more); }

  async send() {
    const begin = () => this.tell(`sending ${bytes(this.file.size)}${this.place}`);
    begin();
    try {
      const job = await submitOne(this.file, this.order, (problem, seconds) => {
        if (seconds > 0) this.tell(`waiting ${duration(seconds)}: ${problem}`); else begin();
      });
      const [picture, link] = [document.createElement("img"), document.createElement("a")];
      picture.alt = "";
      picture.src = `/thumbnails/${job.exemplar}.png`;
      link.href = `/jobs/${job.id}`;
      link.textContent = plain(job.resultName);
      this.tell(`${job.alreadyExisted ? `was submitted before and is ${job.state}` : "accepted"}, `, link);
      this.element.prepend(picture);
    } catch (error) {
      this.element.classList.add("wrong");
      this.tell(error instanceof Refusal ? `refused: ${error.message}`
        : "no answer came; drop it again, an accepted one is not trained twice");
    }
  }
}

// Statuses of a coordinator that is busy now and says when to try again. Where a disk or a quota is full (507), a person
// has to make room first, and a smaller file may still fit.
const busy = [429, 503];

// - Parameter order: what `chosenOrder` gave when the file was dropped.
// - Parameter pause: gets the reason and the seconds of each pause, and 0 seconds at its end.
async function submitOne(file, order, pause) {
  const send = async (path, body, type) => {
    for (;;) {
      const response = await fetch(path, { method: "POST", body, headers: { "Content-Type": type } });
      if (response.ok) return response.json();
      const [reason, seconds] = [await problem(response), Number(response.headers.get("Retry-After"))];
      if (!busy.includes(response.status) || !(seconds > 0)) throw new Refusal(reason);
      pause(reason, seconds);
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      pause(reason, 0);
    }
  };
  const receipt = await send("/api/v1/exemplars", file, "application/octet-stream");
  const name = jobName(file.name, Number($("#submit").dataset.nameBytes));
  // As in `texloom submit`, the same photograph with the same recipe is the same job.
  const job = { ...order, name, fileName: file.name, exemplarSHA256: receipt.sha256, once: true };
  const { jobs } = await send("/api/v1/jobs", JSON.stringify({ jobs: [job] }), "application/json");
  return { ...jobs[0], exemplar: receipt.sha256 };
}
