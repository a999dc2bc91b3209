// Listens to the event stream, updates numbers in place, and fetches the page again when more has changed.
import { $, ago, all, announce, duration, put, speed } from "./page.js";
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
      put($('[data-field="progress"]', place), trains ? `${job.iteration} of ${job.totalIterations} (${share} %)` : `${share} %`);
    } else if (!bar && job.totalIterations > 0 && job.state === "running" && page !== "gallery") isStale = true;
    // The last iteration is followed by the last snapshot, its figures and the upload.
    const isFinishing = job.state === "running" && job.totalIterations > 0 && job.iteration >= job.totalIterations;
    put($('[data-field="left"]', place), isFinishing ? "finishing" : job.etaSeconds != null ? `${duration(job.etaSeconds)} left` : "");
    if (job.secondsPerIteration && trains) put($('[data-field="speed"]', place), speed(1 / job.secondsPerIteration));
    for (const figure of all("[data-loss]", place)) {
      const value = job.lossLatest[figure.dataset.loss];
      if (value !== undefined) put(figure, String(Number(value.toPrecision(4))));
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
  for (const [state, count] of Object.entries(summary.jobs)) put($(`[data-count="${state}"]`), String(count));
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

let stream;
// Where the job's stream continues. The page already shows everything before it.
let position = $("#job") && `${$("#job").dataset.log}.-1`;

// - Parameter handlers: handlers for the events of one job's stream, by name.
function open(handlers) {
  const job = $("#job");
  stream = new EventSource(job ? `/api/v1/jobs/${job.dataset.job}/events?after=${position}` : "/api/v1/events");
  const on = (name, handle) => stream.addEventListener(name, (event) => {
    position = event.lastEventId;
    handle(JSON.parse(event.data));
  });
  let isFirstGreeting = true;
  stream.onopen = () => connected(true);
  stream.onerror = () => {
    connected(false);
    // The coordinator refused the stream, perhaps because the session has ended. The page then says so.
    if (stream.readyState === EventSource.CLOSED) refresh();
  };
  on("job", showJob);
  on("deleted", ({ jobs }) => {
    for (const id of jobs) elsewhere.delete(id);
    if (page === "job") announce("This job was deleted.", true); else refresh();
  });
  on("summary", showSummary);
  on("workers", showWorkers);
  // The page is up to date at the first greeting. A later greeting means that events were missed.
  on("reset", () => { if (!isFirstGreeting) refresh(); isFirstGreeting = false; });
  for (const [name, handle] of Object.entries(handlers)) on(name, handle);
}

export function listen(handlers) {
  open(handlers);
  // A browser allows six connections to a host, so hidden tabs close theirs.
  document.addEventListener("visibilitychange", () => {
    stream.close();
    if (document.hidden) return;
    open(handlers);
    refresh();
  });
  // A page from the browser's cache has no connection and is out of date.
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}
