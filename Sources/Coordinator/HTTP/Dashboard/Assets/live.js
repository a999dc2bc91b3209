// Listens to the event stream, updates numbers in place, and fetches the page again when more has changed.
import { $, ago, all, duration, put, significant, speed, unbroken } from "./page.js";
import { refresh } from "./refresh.js";

const page = document.body.dataset.page;
// The last known states of jobs that this page does not show.
const elsewhere = new Map();

function showJob(job) {
  const places = all(`[data-job="${job.id}"]`);
  if (places.length === 0) return hearOf(job);
  let isStale = false;
  // The steps of other work say nothing to people.
  const trains = job.kind === "train";
  for (const place of places) {
    if (place.dataset.state !== job.state || (place.dataset.snapshot ?? "") !== (job.latestSnapshot ?? "")
      || (place.dataset.attempt && place.dataset.attempt !== String(job.attempt))) isStale = true;
    const bar = $("progress", place);
    if (bar && job.totalIterations > 0) {
      bar.max = job.totalIterations;
      bar.value = job.iteration;
      const share = Math.min(Math.floor(100 * job.iteration / job.totalIterations), job.state === "finished" ? 100 : 99);
      const percent = unbroken(`${share} %`);
      put($('[data-field="progress"]', place), trains ? `${job.iteration} of ${job.totalIterations} (${percent})` : percent);
    } else if (!bar && job.totalIterations > 0 && job.state === "running" && page !== "gallery") isStale = true;
    // The last iteration is followed by the last snapshot, its figures and the upload.
    const isFinishing = job.state === "running" && job.totalIterations > 0 && job.iteration >= job.totalIterations;
    put($('[data-field="left"]', place), isFinishing ? "finishing" : job.etaSeconds != null ? `${duration(job.etaSeconds)} left` : "");
    if (job.secondsPerIteration && trains) put($('[data-field="speed"]', place), speed(1 / job.secondsPerIteration));
    for (const figure of all("[data-loss]", place)) {
      const value = job.lossLatest[figure.dataset.loss];
      if (value !== undefined) put(figure, significant(value));
    }
  }
  if (isStale) refresh();
  else if (page === "batch") refreshBatch();
}

// The head of a batch's page sums up all of its jobs, so the server counts them again.
let batchTimer;
function refreshBatch() {
  batchTimer ??= setTimeout(() => { batchTimer = undefined; refresh(); }, 10_000);
}

// A job that appears or changes its state may now belong on this page.
function hearOf(job) {
  if (elsewhere.get(job.id) === job.state) return;
  elsewhere.set(job.id, job.state);
  if (page === "batches" || page === "batch" && job.batch === $("#batch").dataset.batch) refresh();
  if (page === "overview" || page === "jobs" || page === "gallery" && job.state === "finished") refresh();
}

// After the last iteration a job still has its last snapshot, the figures and the upload to do.
function queueTime({ queueSeconds, jobs }) {
  if (!(jobs.queued || jobs.running || jobs.waiting)) return "none";
  if (queueSeconds == null) return "unknown";
  return queueSeconds < 1 && jobs.running > 0 ? "finishing" : duration(queueSeconds);
}

function showSummary(summary) {
  for (const [state, count] of Object.entries(summary.jobs)) {
    const place = $(`[data-count="${state}"]`);
    put(place, String(count));
    place?.closest("li").classList.toggle("none", count === 0);
  }
  put($('[data-field="throughput"]'), summary.iterationsPerSecond.toFixed(2));
  put($('[data-field="queue"]'), queueTime(summary));
  put($('[data-field="slots"]'), String(summary.slots));
}

let knownWorkers;
function showWorkers({ workers }) {
  const shape = JSON.stringify(workers.map((worker) => [worker.id, worker.isConnected, worker.isDraining, worker.problem, worker.jobs]));
  if (knownWorkers !== undefined && shape !== knownWorkers && (page === "overview" || page === "workers")) refresh();
  knownWorkers = shape;
  for (const worker of workers) {
    const place = $(`[data-worker="${CSS.escape(worker.id)}"]`);
    if (!place) continue;
    put($('[data-field="speed"]', place), worker.isConnected ? speed(worker.iterationsPerSecond) : "");
    put($('[data-field="beat"]', place), ago(worker.lastSeenAt));
  }
}

function connected(isLive) {
  const light = $("#connection");
  light.dataset.state = isLive ? "live" : "away";
  put(light, isLive ? "live" : "the coordinator is away");
}

// What a deleted job's or batch's page showed stays, because the server no longer has it.
function showGone() {
  if (isGone) return;
  isGone = true;
  close();
  const text = `This ${page === "batch" ? "batch" : "job"} was deleted.`;
  const line = document.createElement("p");
  line.className = "card wrong gone";
  line.setAttribute("role", "alert");
  line.textContent = text;
  $("#main").prepend(line);
  for (const menus of all(".heading .actions")) menus.remove();
  $("#connection").dataset.state = "gone";
  put($("#connection"), "deleted");
}

let stream, reopening;
let isGone = false;
// Where the job's stream continues. The page already shows everything before it.
let position = $("#job") && `${$("#job").dataset.log}.-1`;

function close() {
  clearTimeout(reopening);
  stream?.close();
}

// - Parameter handlers: handlers for the events of one job's stream, by name.
// - Parameter isAgain: whether the browser had given up on the last stream, so that events were missed.
function open(handlers, isAgain = false) {
  close();
  const job = $("#job");
  stream = new EventSource(job ? `/api/v1/jobs/${job.dataset.job}/events?after=${position}` : "/api/v1/events");
  const on = (name, handle) => stream.addEventListener(name, (event) => {
    position = event.lastEventId;
    handle(JSON.parse(event.data));
  });
  let isFirstGreeting = true;
  stream.onopen = () => {
    connected(true);
    if (isAgain) refresh();
    isAgain = false;
  };
  stream.onerror = () => {
    connected(false);
    if (stream.readyState !== EventSource.CLOSED) return;
    // The browser gives up after any other answer than a stream: a proxy's while the coordinator restarts, a refusal.
    // If the session has ended, the page says so. Tabs do not all come back at the same moment.
    refresh();
    reopening = setTimeout(() => open(handlers, true), 5000 + 5000 * Math.random());
  };
  on("job", showJob);
  on("deleted", ({ jobs }) => {
    for (const id of jobs) elsewhere.delete(id);
    if (page === "job") showGone(); else refresh();
  });
  on("summary", showSummary);
  on("workers", showWorkers);
  // The page is up to date at the first greeting. A later greeting means that events were missed.
  on("reset", () => { if (!isFirstGreeting) refresh(); isFirstGreeting = false; });
  for (const [name, handle] of Object.entries(handlers)) on(name, handle);
}

export function listen(handlers) {
  open(handlers);
  document.addEventListener("gone", showGone);
  // A browser allows six connections to a host, so hidden tabs close theirs.
  document.addEventListener("visibilitychange", () => {
    close();
    if (document.hidden || isGone) return;
    open(handlers);
    refresh();
  });
  // A page from the browser's cache has no connection and is out of date.
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}
