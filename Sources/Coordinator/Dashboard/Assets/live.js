// Listens to the event stream: writes moving numbers into place, and has the page fetched again when more has changed.
import { $, all, ago, duration, put, speed } from "./page.js";
import { refresh } from "./refresh.js";

const page = document.body.dataset.page;
// States of jobs that this page does not show, as last heard.
const elsewhere = new Map();

function showJob(job) {
  const places = all(`[data-job="${job.id}"]`);
  if (places.length === 0) return hearOf(job);
  let isStale = false;
  for (const place of places) {
    if (place.dataset.state !== job.state || (place.dataset.snapshot ?? "") !== (job.latestSnapshot ?? "")
      || (place.dataset.attempt && place.dataset.attempt !== String(job.attempt))) isStale = true;
    const bar = $("progress", place);
    if (bar && job.totalIterations > 0) {
      bar.max = job.totalIterations;
      bar.value = job.iteration;
      const share = Math.min(Math.floor(100 * job.iteration / job.totalIterations), job.state === "finished" ? 100 : 99);
      put($('[data-field="progress"]', place), `${job.iteration} of ${job.totalIterations} (${share} %)`);
    } else if (!bar && job.totalIterations > 0 && job.state === "running" && page !== "gallery") isStale = true;
    // After the last iteration come the last snapshot, its figures and the upload.
    const isFinishing = job.state === "running" && job.totalIterations > 0 && job.iteration >= job.totalIterations;
    put($('[data-field="left"]', place), isFinishing ? "finishing" : job.etaSeconds != null ? `${duration(job.etaSeconds)} left` : "");
    if (job.secondsPerIteration) put($('[data-field="speed"]', place), speed(1 / job.secondsPerIteration));
    for (const figure of all("[data-loss]", place)) {
      const value = job.lossLatest[figure.dataset.loss];
      if (value !== undefined) put(figure, String(Number(value.toPrecision(4))));
    }
  }
  if (isStale) refresh();
}

// A job that is not on this page matters to it when it comes, or changes its state: it may belong here then.
function hearOf(job) {
  if (elsewhere.get(job.id) === job.state) return;
  elsewhere.set(job.id, job.state);
  if (page === "overview" || page === "jobs" || page === "gallery" && job.state === "finished") refresh();
}

// Jobs behind their last iteration have the last snapshot, its figures and the upload before them.
function queueTime({ queueSeconds, jobs }) {
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
// Of the job's stream: where it goes on. What the page was rendered with is not sent again.
let position = $("#job") && `${$("#job").dataset.log}.-1`;

// - Parameter handlers: of the events of one job's stream, by name.
function open(handlers) {
  const job = $("#job");
  stream = new EventSource(job ? `/api/v1/jobs/${job.dataset.job}/events?after=${position}` : "/api/v1/events");
  const on = (name, handle) => stream.addEventListener(name, (event) => {
    position = event.lastEventId;
    handle(JSON.parse(event.data));
  });
  let isFirstGreeting = true;
  stream.onopen = () => connected(true);
  stream.onerror = () => connected(false);
  on("job", showJob);
  on("summary", showSummary);
  on("workers", showWorkers);
  // The page is as new as the first greeting; what was missed later has to be fetched.
  on("reset", () => { if (!isFirstGreeting) refresh(); isFirstGreeting = false; });
  for (const [name, handle] of Object.entries(handlers)) on(name, handle);
}

export function listen(handlers) {
  open(handlers);
  // A browser has six connections to a host: tabs that nobody looks at do without.
  document.addEventListener("visibilitychange", () => {
    stream.close();
    if (document.hidden) return;
    open(handlers);
    refresh();
  });
  // A page that the browser has kept holds no connection and is out of date when it comes back.
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}
