"""A coordinator with jobs in every state. Real workers train some. Scripted workers play the others: they speak the
worker protocol and train nothing."""
import asyncio
import hashlib
import importlib.machinery
import importlib.util
import json
import math
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request
import zlib

import pictures

ROOT = pathlib.Path(__file__).resolve().parents[2]


def benchmark(name):
    """Loads a script of Benchmarks/ as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "Benchmarks" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


load = benchmark("cluster-load")
field, message = load.field, load.message
SNAPSHOT, CHECKPOINT, GENERATOR, DISCRIMINATOR = 2, 3, 4, 5
LOG, FAIL, HAND_BACK = 14, 18, 19

TINY = dict(style="off", start="random", k=8, ngf=4, ndf=4, blocks=1, discriminator_layers=1, dropout=0.5, metrics_every=5)


def tiny(recipe, **settings):
    """Changes a recipe so that it trains in seconds."""
    for key, value in {**TINY, **settings}.items():
        recipe = re.sub(rf"^{key}:.*$", f"{key}: {value}", recipe, flags=re.MULTILINE)
    return recipe


class Cluster:
    def __init__(self, program, folder):
        self.program, self.folder, self.processes = program, pathlib.Path(folder), []
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("TEXLOOM_")}
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        with open(self.folder / "coordinator.log", "wb") as log:
            self.coordinator = subprocess.Popen(
                [program, "coordinator", "--data", self.folder / "coordinator", "--http", "127.0.0.1:0", "--workers",
                 "tcp://127.0.0.1:0", "--heartbeat", "1", "--lease", "10"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.environment, text=True)
        self.processes.append(self.coordinator)
        line = self.coordinator.stdout.readline()
        addresses = re.search(r"(http://\S+) .* (tcp://\S+) for", line)
        if not addresses:
            raise SystemExit(f"the coordinator does not start: {(self.folder / 'coordinator.log').read_text()}")
        self.host, self.endpoint = addresses[1], addresses[2]
        self.recipe = {recipe["name"]: recipe["yaml"] for recipe in self.get("/api/v1/recipes")["recipes"]}

    def worker(self, name, slots=1):
        """Starts a real worker."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [self.program, "worker", "--coordinator", self.endpoint, "--slots", str(slots), "--threads", "1", "--name",
                 name, "--data", self.folder / name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)
        self.processes.append(process)
        return process

    def scripted(self, name, **looks):
        worker = ScriptedWorker(self, name, **looks)
        worker.run(worker.arrive(int(self.endpoint.rsplit(":", 1)[1])))
        return worker

    def call(self, method, path, body=None):
        is_json = not isinstance(body, bytes | None)
        request = urllib.request.Request(
            self.host + path, method=method, data=json.dumps(body).encode() if is_json else body,
            headers={"Content-Type": "application/json"} if is_json else {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path} was answered {error.code}: {error.read().decode()}") from None

    def get(self, path):
        return self.call("GET", path)

    def submit(self, name, png, recipe=None, priority=0, **tags):
        """Submits a job, with `batch`, `labels` or `then`, and returns its id."""
        digest = self.call("POST", "/api/v1/exemplars", png)["sha256"]
        job = dict(name=name, fileName=f"{name}.png"[-200:], exemplarSHA256=digest, priority=priority,
                   recipeYAML=recipe or self.recipe["draft"], **tags)
        return self.call("POST", "/api/v1/jobs", dict(jobs=[job]))["jobs"][0]["id"]

    def job(self, id):
        return self.get(f"/api/v1/jobs/{id}")["job"]

    def wait(self, id, *states, seconds=60):
        end = time.monotonic() + seconds
        while (job := self.job(id))["state"] not in states:
            if time.monotonic() > end:
                raise TimeoutError(f"{job['name']} is {job['state']} and never {' or '.join(states)}; logs: {self.folder}")
            time.sleep(0.1)
        return job

    def stop(self):
        self.loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(self.loop)])
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class ScriptedWorker(load.Worker):
    """Follows orders, and sends heartbeats in between."""
    class Count:
        surprises = repetitions = 0

    def __init__(self, cluster, name, slots=1, threads=2, cpu="AMD EPYC 7763 64-Core Processor", version="0.2.0"):
        super().__init__(0, self.Count())
        self.cluster, self.name, self.hello = cluster, name, (slots, threads, cpu, version)
        self.running = {}

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.cluster.loop).result(60)

    async def arrive(self, port):
        await self.connect(port)
        # The coordinator ends before its workers. That is no error.
        self.receiving.add_done_callback(lambda task: task.cancelled() or task.exception())
        slots, threads, cpu, version = self.hello
        await self.ask(load.HELLO, message((1, 1), (2, 1), (3, self.name), (4, self.name), (5, version), (6, slots),
                                           (7, threads), (8, cpu)), "welcome")
        self.beating = asyncio.create_task(self.beat())

    async def beat(self):
        for sequence in range(1, 1 << 30):
            status = [(3, message((1, attempt), (2, at), (3, total), (4, pace)))
                      for attempt, (at, total, pace) in self.running.items()]
            self.send(load.HEARTBEAT, message((1, ("fixed64", sequence)), (2, self.hello[0] - len(status)), *status))
            await asyncio.sleep(0.5)

    def leave(self):
        """Vanishes without a message, as when a machine loses power."""
        self.cluster.loop.call_soon_threadsafe(lambda: (self.beating.cancel(), self.receiving.cancel(), self.writer.close()))

    def take(self, envelope):
        if load.CREDIT in envelope and not load.parse(envelope[load.CREDIT]).get(4):
            # Room for more chunks. Only a credit with `rewind` asks for something.
            return
        if load.ASSIGN in envelope:
            # The name is next to the attempt.
            self.assigned = load.parse(envelope[load.ASSIGN])
        super().take(envelope)

    def work(self):
        """Takes the next job and returns the attempt."""
        async def take():
            while True:
                request = self.id()
                kind, body = await self.ask(load.WORK_REQUEST, message((1, ("fixed64", request)), (2, 1)), request)
                if kind == load.ASSIGN:
                    return body[2]
                await asyncio.sleep(0.2)
        attempt = self.run(take())
        self.running[attempt] = (0, 6000, 0.05)
        return attempt

    def reach(self, attempt, iteration, total=6000, pace=0.05):
        self.running[attempt] = (iteration, total, pace)

    def tell(self, kind, attempt, *values):
        """Sends a message that the coordinator acknowledges by its request number."""
        request = self.id()
        _, answer = self.run(self.ask(kind, message((1, attempt), (2, ("fixed64", request)), *values), request))
        if answer.get(2, 0) != 0:
            raise RuntimeError(f"{self.name} was answered with code {answer[2]}: {answer.get(3)}")

    def measure(self, attempt, rows):
        """`rows`: iteration, {name: value}."""
        columns = list(rows[0][1])
        self.tell(load.METRICS, attempt, *((3, column) for column in columns), *(
            (4, message((1, iteration), (2, time.time()), (3, struct.pack(f"<{len(columns)}f", *map(values.get, columns)))))
            for iteration, values in rows))

    def log(self, attempt, *lines):
        """`lines`: level, text."""
        self.tell(LOG, attempt, *((3, message((1, time.time()), (2, level), (3, text))) for level, text in lines))

    def send_file(self, attempt, kind, data, iteration):
        """Delivers a file and returns its SHA-256."""
        digest = hashlib.sha256(data).hexdigest()

        async def offer():
            transfer = self.id()
            text = message((1, attempt), (2, ("fixed64", transfer)), (3, kind), (4, message((1, digest), (2, len(data)))), (5, iteration))
            chunk = message((1, ("fixed64", transfer)), (3, ("fixed32", zlib.crc32(data))), (4, 1))
            answer, body = await self.ask(load.OFFER, text, transfer)
            while answer != load.RECEIPT:
                if answer == load.ACKNOWLEDGEMENT:
                    raise RuntimeError(f"{self.name}'s file was refused: {body}")
                # A snapshot's receipt comes once: who offers it again has to send it again.
                waiter = self.waiting[transfer] = asyncio.get_running_loop().create_future()
                self.send(load.CHUNK, chunk, data)
                try:
                    answer, body = await asyncio.wait_for(waiter, 5)
                except TimeoutError:
                    answer, body = await self.ask(load.OFFER, text, transfer)
        self.run(offer())
        return digest

    def finish(self, attempt, iteration=6000, report=None):
        digests = [self.send_file(attempt, kind, os.urandom(900) * 40, iteration) for kind in (GENERATOR, DISCRIMINATOR, CHECKPOINT)]
        self.running.pop(attempt)
        self.tell(load.FINISH, attempt, (3, iteration), *zip((4, 5, 6), digests), (7, 312.0), (8, json.dumps(report or {})))

    def fail(self, attempt, iteration, reason, is_retryable, code):
        self.running.pop(attempt)
        self.tell(FAIL, attempt, (3, iteration), (4, reason), (5, int(is_retryable)), (6, code))

    def hand_back(self, attempt, iteration, reason):
        self.running.pop(attempt)
        self.tell(HAND_BACK, attempt, (3, iteration), (4, reason))


class Exemplar:
    """A piece of an example, and the snapshots of its training: at twice the size, with less and less noise."""

    def __init__(self, name, width=160, height=120):
        rows = pictures.read(ROOT / "Examples" / f"{name}.png")
        self.png, self.rows, self.made = pictures.write(pictures.cut(rows, 40, 30, width, height)), rows, {}
        self.size = (2 * width, 2 * height)

    def snapshot(self, share):
        if share not in self.made:
            self.made[share] = pictures.write(pictures.faded(pictures.cut(self.rows, 0, 0, *self.size), share, 7))
        return self.made[share]


def losses(last, step=20, seed=1):
    """Makes curves that look like a training's."""
    dice, rows = random.Random(seed), []
    for iteration in range(step, last + 1, step):
        fall = math.exp(-iteration / 1500)
        values = dict(l1=0.08 + 0.3 * fall, style=0.02 + 0.5 * fall, adversarial=0.9 - 0.2 * fall,
                      discriminator_fake=0.55 + 0.1 * fall, discriminator_real=0.5 + 0.15 * fall)
        rows.append((iteration, {key: value * (0.9 + 0.2 * dice.random()) for key, value in values.items()}))
    return rows


def quality(share):
    return dict(quality_gram_distance=0.004 + 0.3 * share, quality_sliced_wasserstein=0.021 + 0.4 * share,
                quality_colour_distance=1.7 + 20 * share, quality_checkerboard_2=0.0031 + 0.01 * share,
                quality_scale_ratio=1.04, quality_copying=0.12, quality_coverage=0.83 - 0.5 * share)


def train(worker, attempt, exemplar, until=6000, snapshots=8, seed=1):
    """Plays a training up to an iteration."""
    worker.log(attempt, ("info", "exemplar 160 x 120, recipe draft, 2 threads"), ("info", "iteration 0 of 6000"))
    worker.measure(attempt, losses(until, seed=seed))
    for number in range(1, snapshots + 1):
        iteration = until * number // snapshots // 20 * 20
        share = round(0.8 * (1 - iteration / 6000), 2)
        worker.send_file(attempt, SNAPSHOT, exemplar.snapshot(share), iteration)
        row = next(values for at, values in losses(until, seed=seed) if at == iteration)
        worker.measure(attempt, [(iteration, {**row, **quality(share)})])
    worker.log(attempt, ("info", f"iteration {until} of 6000"))
    worker.reach(attempt, until)
