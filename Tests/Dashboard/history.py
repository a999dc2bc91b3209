"""Jobs in every state, as after a week of work."""
import re

from cluster import Exemplar, ROOT, losses, tiny, train

EXAMPLES = sorted(file.stem for file in (ROOT / "Examples").glob("*.png"))
# Names that strangers may choose: long, foreign, or with characters that HTML must not interpret.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'name'"
LONG = "a-photograph-with-a-name-that-nobody-would-have-chosen-but-a-camera-or-a-colleague_IMG_20260714_173312_HDR_cropped_v2_final"
FOREIGN = "été à Málaga 石畳"
LONG_WORKER = "machine_with_a_long_name.rack17.building4.example.org.421706"


def fill(cluster):
    """Returns what tests look up by name: scripted workers and ids of jobs."""
    exemplars = {name: Exemplar(name) for name in EXAMPLES}
    workers = {
        "oak": cluster.scripted("oak", slots=4), "elm": cluster.scripted("elm", slots=2, cpu="Intel Xeon Platinum 8481C"),
        "yew": cluster.scripted("yew", version="0.1.3"),
    }
    oak, elm, yew = workers.values()
    found = dict(workers)

    def begin(name, worker, example=None, priority=0, recipe=None, **tags):
        exemplar = exemplars[example or name.rsplit("-", 1)[0]]
        job = cluster.submit(name, exemplar.png, recipe, priority, **tags)
        return job, worker.work(), exemplar

    # They wait for a training, and are blocked by one that fails.
    pictures = dict(then=[dict(kind="expand", spec="times=1")])
    for number in range(2):
        for name in EXAMPLES:
            job, attempt, exemplar = begin(f"{name}-{number + 1}", oak)
            train(oak, attempt, exemplar, snapshots=9 if number else 3, seed=number + 1)
            oak.finish(attempt)
            found["finished"] = job
    for name in (HOSTILE, LONG, FOREIGN):
        job, attempt, exemplar = begin(name, oak, "pebbles")
        train(oak, attempt, exemplar, snapshots=2)
        oak.finish(attempt)
        found[name] = job
    for name, reason in (("too-small", "too-small.png is 20x31 pixels; with 3 discriminator layers both sides must be at least 64"),
                         ("torn", "the recipe's field 'blocks' is 'many'; expected a number from 1")):
        found["failed"], attempt, _ = begin(name, oak, "scales", **pictures)
        oak.fail(attempt, 0, reason, False, "badExemplar")
        # A job is impossible once a second worker agrees.
        elm.fail(elm.work(), 0, reason, False, "badExemplar")
    for name in ("diverging", "unlucky"):
        job, attempt, exemplar = begin(name, oak, "flowing-hair")
        train(oak, attempt, exemplar, until=2400, snapshots=4)
        oak.log(attempt, ("warning", "the style loss is 30 times what it was 100 iterations ago"), ("error", "l1 is not finite"))
        oak.fail(attempt, 2400, "l1 is not finite at iteration 2412; a smaller learning_rate may help", True, "notFinite")
        # A failed job goes to another worker, if there is one.
        for worker, until in ((elm, 400), (oak, 800)):
            attempt = worker.work()
            worker.measure(attempt, losses(until))
            worker.fail(attempt, until, "the worker's memory is exhausted (3.8 of 4.0 GiB)", True, "memory")
        found["held"] = job
        cluster.wait(job, "held")
    for number in range(3):
        job, attempt, exemplar = begin(f"scales-cancelled-{number + 1}", elm, "scales")
        train(elm, attempt, exemplar, until=1200, snapshots=2)
        cluster.call("POST", f"/api/v1/jobs/{job}/cancel?reason=the%20photograph%20is%20out%20of%20focus")
        elm.running.pop(attempt)
        found["cancelled"] = job
    verdict = "lines break or join where the exemplar's do not: train longer or with another seed"
    for seed, connection in enumerate((0.52, 0.21, 0.33, None), 1):
        recipe = re.sub("^seed: .*$", f"seed: {seed}", cluster.recipe["fast"], flags=re.MULTILINE)
        job, attempt, exemplar = begin(f"mud-seed{seed}", oak, "drying-mud", recipe=recipe)
        train(oak, attempt, exemplar, until=6000 if connection else 2000, snapshots=2, seed=seed)
        if connection:
            figures = dict(gram=0.08, patches=0.118, colour=0.011, checkerboard=0.004, scale=1.02, copying=0.01, coverage=0.93,
                           structure=0.24, border=0.95, connection=connection)
            oak.finish(attempt, report=dict(quality={f"quality_{name}": value for name, value in figures.items()},
                                            verdict=verdict if connection > 0.4 else "good"))
        found[f"seed {seed}"] = job
    found["seed attempt"] = attempt
    paper = cluster.recipe["paper"]
    for number, (name, worker) in enumerate((("drying-mud", oak), ("pebbles", oak), ("lamp-bricks", oak), ("tree-rings", elm), ("scales", elm))):
        job, attempt, exemplar = begin(f"{name}-night", worker, name, recipe=paper if number % 2 else None, **pictures)
        train(worker, attempt, exemplar, until=1000 + 900 * number, snapshots=2 + number)
        found.setdefault("running", job)
        found.setdefault("running attempt", attempt)
    fir = cluster.scripted("fir", slots=4)
    for k in (48, 64):
        recipe = re.sub("^k: .*$", f"k: {k}", cluster.recipe["draft"], flags=re.MULTILINE)
        for number, name in enumerate(EXAMPLES):
            tags = dict(batch="examples-by-crop", labels=dict(k=str(k), exemplar=name, seed="1"))
            waits = k == 64 and number > 2
            job = cluster.submit(f"{name}-k{k}-seed1", exemplars[name].png, recipe, -100 if waits else 50, **tags)
            found[f"batch {k} {name}"] = job
            if waits:
                continue
            attempt = fir.work()
            if k == 64 and number == 2:
                reason = f"{name}.png is 96x96 pixels; k=64 needs at least 128"
                fir.fail(attempt, 0, reason, False, "badExemplar")
                yew.fail(yew.work(), 0, reason, False, "badExemplar")
                continue
            if k == 48:
                train(fir, attempt, exemplars[name], snapshots=3, seed=k)
                fir.finish(attempt)
            else:
                train(fir, attempt, exemplars[name], until=2000, snapshots=2, seed=k)
    long = cluster.scripted(LONG_WORKER)
    found["on a long worker"], attempt, exemplar = begin("held-by-a-long-name", long, "scales")
    train(long, attempt, exemplar, until=1740, snapshots=1)
    long.reach(attempt, 1740, pace=2.31)
    # The next worker with this job trains for long.
    endless = tiny(cluster.recipe["draft"], iterations=2_000_000, snapshot_every=1_000_000)
    found["lost"], attempt, _ = begin("lost-and-found", yew, "scales", recipe=endless)
    yew.reach(attempt, 400)
    return found


def queue(cluster, count=36):
    """Submits waiting jobs of one exemplar."""
    png = Exemplar("tree-rings").png
    recipes = [cluster.recipe["draft"], cluster.recipe["fast"], tiny(cluster.recipe["draft"]).replace('"draft"', '"tiny"')]
    return [cluster.submit(f"waiting-{number:02}", png, recipes[number % 3], -number % 5 * 10) for number in range(count)]
