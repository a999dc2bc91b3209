"""Drives every page and every action of the dashboard in a browser. scripts/test-dashboard runs it."""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
import cluster as clusters  # noqa: E402
import history  # noqa: E402
from browser import Browser, Failure  # noqa: E402

WIDTHS = (1440, 390)


def expect(is_so, what):
    if not is_so:
        raise Failure(what)


def equal(found, expected, what):
    expect(found == expected, f"{what}: found {found!r}, expected {expected!r}")


class Tests:
    """Each method is a test. They run in this order, because some change the cluster for later ones."""

    def __init__(self, cluster, browser, screenshots):
        self.cluster, self.browser, self.screenshots = cluster, browser, screenshots
        self.found = history.fill(cluster)
        self.pages = {
            "overview": "/", "jobs": "/jobs", "job-finished": f"/jobs/{self.found['finished']}",
            "job-running": f"/jobs/{self.found['running']}", "job-held": f"/jobs/{self.found['held']}",
            "job-hostile": f"/jobs/{self.found[history.HOSTILE]}", "gallery": "/gallery", "batches": "/batches",
            "batch": "/batches/examples-by-crop", "batch-filtered": "/batches/examples-by-crop?state=finished&label=exemplar%3Dpebbles",
            "workers": "/workers",
            "submit": "/submit", "job-long-worker": f"/jobs/{self.found['on a long worker']}", "job-seed": f"/jobs/{self.found['seed 3']}", "seeds": f"/jobs/{self.found['seed 1']}/seeds",
        }

    def page(self, path="/", **looks):
        page = self.browser.page(self.cluster.host, **looks)
        page.go(path)
        if page.javascript:
            page.wait("document.querySelector('#connection').dataset.state === 'live'", f"{path} is live")
        return page

    def done(self, page):
        """Ends a visit. The browser must not have reported a problem."""
        equal(page.problems, [], "what the browser complained of")
        page.close()

    def answer(self, page, text):
        page.wait(f"document.querySelector('#answers').innerText.includes({text!r})", f"the answer: {text}")

    def test_a_real_training_is_seen_live_without_a_reload(self):
        page = self.page("/")
        page.evaluate("window.wasHere = true")
        # A small exemplar for a short training.
        png = clusters.Exemplar("tree-rings", 48, 40).png
        recipe = clusters.tiny(self.cluster.recipe["draft"], iterations=30_000, snapshot_every=5000)
        job = self.cluster.submit("live-rings", png, recipe, priority=100)
        card = f'[data-live="running"] [data-job="{job}"]'
        page.wait("document.querySelector('[data-count=queued]').textContent !== '0'", "the job is counted as queued")
        self.cluster.worker("ash")
        page.wait(f"document.querySelector('{card}') !== null", "the running job has a card")
        page.wait("[...document.querySelectorAll('[data-worker]')].some((e) => e.innerText.includes('ash'))", "its worker has one")
        progress = f"document.querySelector('{card} [data-field=progress]')?.textContent"
        first = page.wait(progress, "the card tells its progress")
        page.wait(f"({progress} ?? {first!r}) !== {first!r} || !document.querySelector('{card}')", "the progress moves")
        self.cluster.wait(job, "finished")
        page.wait(f"document.querySelector('[data-live=\"finished\"] [data-job=\"{job}\"]') !== null", "it is among the finished")
        equal(page.evaluate("window.wasHere"), True, "the page was never loaded again")
        self.found["trained"] = job
        self.done(page)

    def test_photographs_are_submitted_by_drag_and_drop(self):
        files = []
        # The second one has no extension of an image, as in `texloom submit`.
        for name in ("dropped-scales.png", "dropped-pebbles.01"):
            files.append(self.cluster.folder / name)
            files[-1].write_bytes(clusters.Exemplar(files[-1].stem.removeprefix("dropped-"), 48, 40).png)
        files.append(self.cluster.folder / "letter.png")
        files[-1].write_text("this is no image")
        page = self.page("/")
        # The form waits for its recipes, and the browser does not open what is dropped meanwhile.
        page.call("Network.setBlockedURLs", urls=["*/api/v1/recipes"])
        page.go("/submit")
        page.wait("document.querySelector('#time').innerText.includes('does not answer. Asking again')", "it says what it waits for")
        page.drop("#drop", files[2])
        page.call("Network.setBlockedURLs", urls=[])
        page.wait("document.querySelector('#outcomes').innerText.includes('letter.png: refused: ')", "what was dropped has its outcome")
        page.evaluate("document.querySelector('#outcomes').replaceChildren()")
        page.wait("document.querySelector('#yaml').value.includes('name:')", "the recipe is there")
        page.wait("document.querySelector('#time').innerText.includes('about')", "how long the recipe takes is told")
        page.click("#submit summary")
        recipe = clusters.tiny(self.cluster.recipe["draft"], iterations=400, snapshot_every=100)
        page.type("#yaml", recipe)
        equal(page.text("#time"), "", "the time of a recipe that is no longer the offered one")
        page.type("#priority", "90")
        page.type("#batch", "dropped-batch")
        page.click('#then input[value="expand seamless=both"]')
        page.drop("#drop", *files)
        page.wait("document.querySelectorAll('#outcomes li').length === 3 && !document.querySelector('#outcomes').innerText.includes('sending')",
                  "each file has its outcome")
        outcomes = page.text("#outcomes")
        expect("dropped-scales.png: accepted" in outcomes and "dropped-pebbles.01: accepted" in outcomes, outcomes)
        expect("letter.png: refused: " in outcomes and "PNG" in outcomes, outcomes)
        jobs = {job["name"]: job for job in self.cluster.get("/api/v1/jobs?name=dropped")["jobs"]}
        names = ["dropped-scales", "dropped-pebbles.01", "dropped-scales-expand", "dropped-pebbles.01-expand"]
        equal({name: job["priority"] for name, job in jobs.items()}, dict.fromkeys(names, 90), "the jobs and what follows them")
        equal({job["batch"] for job in jobs.values()}, {"dropped-batch"}, "their batch")
        equal(jobs["dropped-scales-expand"]["recipe"], "seamless=both", "what is made of the generator")
        equal(self.cluster.get(f"/api/v1/jobs/{jobs['dropped-scales']['id']}")["recipeYAML"], recipe, "the recipe")
        page.drop("#drop", files[0])
        page.wait("document.querySelector('#outcomes').innerText.includes('was submitted before')", "the same again is told")
        for job in jobs.values():
            self.cluster.wait(job["id"], "finished")
        page.problems = [problem for problem in page.problems if "422" not in problem and "/api/v1/recipes" not in problem]
        self.done(page)

    def test_a_worker_is_drained(self):
        self.found["yew"].leave()
        page = self.page("/workers")
        page.wait(lambda: self.cluster.job(self.found["lost"])["worker"] == "ash", "it trains what another one has lost", 40)
        page.wait("document.querySelector('main').innerText.includes('lost-and-found')", "the page says so")
        row = page.evaluate("[...document.querySelectorAll('tr[data-worker]')].find((e) => e.innerText.includes('ash')).dataset.worker")
        page.click(f'[data-worker="{row}"] summary')
        page.click(f'[data-worker="{row}"] form button')
        self.answer(page, "“ash” gets no more work")
        self.cluster.wait(self.found["lost"], "queued")
        # A drained idle worker ends.
        page.wait(f"document.querySelector('[data-worker=\"{row}\"] .standing').innerText === 'away'", "the page says so")
        expect("handed back" in self.cluster.job(self.found["lost"])["reason"], "the job was handed back")
        self.done(page)
        # From here on, queued jobs stay queued.
        self.found["queue"] = history.queue(self.cluster)

    def test_a_job_is_cancelled_and_retried(self):
        job = self.found["queue"][0]
        page = self.page(f"/jobs/{job}")
        page.click("#job summary")
        expect("Stop “waiting-00”?" in page.text("details[open] form"), "it asks first")
        page.press("Escape")
        expect(page.evaluate("document.querySelector('details[open]') === null"), "Escape closes the menu")
        equal(self.cluster.job(job)["state"], "queued", "nothing has happened yet")
        page.click("#job summary")
        page.type("details[open] input[name=reason]", "too <dark>")
        page.click("details[open] button.danger")
        self.answer(page, "“waiting-00” is cancelled.")
        page.wait("document.querySelector('[data-live=head] .state').innerText === 'cancelled'", "the page says so")
        expect("too <dark>" in page.text("[data-live=head]"), "with the reason")
        equal(self.cluster.job(job)["state"], "cancelled", "the job")
        page.wait("document.querySelector('#log').innerText.includes('too <dark>')", "the log tells it live")
        page.click("form[action$=retry], #job summary")
        page.click("details[open] button.primary")
        self.answer(page, "“waiting-00” is queued again.")
        page.wait("document.querySelector('[data-live=head] .state').innerText === 'queued'", "the page says so")
        self.done(page)

    def test_a_lost_answer_is_not_taken_for_a_refusal(self):
        job = self.found["queue"][11]
        page = self.page(f"/jobs/{job}")
        page.evaluate("""(() => {
            const real = window.fetch;
            window.fetch = async (...request) => {
                const answer = await real(...request);
                if (request[1]?.method === "POST") throw new TypeError("the connection broke after the change");
                return answer;
            };
        })()""")
        page.click("#job summary")
        page.click("details[open] button.danger")
        self.answer(page, "The coordinator may have done this or not")
        page.press("Escape")
        page.wait("document.querySelector('[data-live=head] .state').innerText === 'cancelled'", "the page shows that it did")
        self.cluster.call("POST", f"/api/v1/jobs/{job}/retry")
        self.cluster.wait(job, "queued")
        self.done(page)

    def test_a_job_that_arrives_leaves_an_open_menu_alone(self):
        job = self.found["queue"][13]
        page = self.page("/jobs?name=waiting-&sort=newest")
        row = f'[data-job="{job}"]'
        page.click(f"{row} summary")
        page.type("details[open] input[name=reason]", "half a sentence")
        late = self.cluster.submit("waiting-late", clusters.Exemplar("tree-rings").png)
        page.wait(f"document.querySelector('tbody tr').dataset.job === '{late}'", "the new job comes first")
        state = page.evaluate(f"""(() => {{
            const field = document.querySelector('{row} details[open] input[name=reason]');
            return [field?.value, field !== null && document.activeElement === field];
        }})()""")
        equal(state, ["half a sentence", True], "the menu's text, and whether it has the focus")
        # A job that overtakes another one moves.
        page.go("/jobs?name=waiting-&sort=priority&state=queued")
        page.click(f"{row} summary")
        page.type("details[open] input[name=reason]", "half a sentence")
        self.cluster.call("POST", f"/api/v1/jobs/{job}/priority", dict(priority=99))
        page.wait(f"document.querySelector('tbody tr').dataset.job === '{job}'", "it is the first")
        equal(page.evaluate("[document.activeElement.name, document.activeElement.value]"), ["reason", "half a sentence"], "the focus")
        # A job that moves down leaves the others where they are.
        page.evaluate("""(() => {
            window.moved = new Set();
            const hear = (changes) => changes.forEach(({ removedNodes }) => removedNodes.forEach((node) => node.dataset && window.moved.add(node.dataset.job)));
            new MutationObserver(hear).observe(document.querySelector("tbody"), { childList: true });
        })()""")
        self.cluster.call("POST", f"/api/v1/jobs/{job}/priority", dict(priority=-100))
        page.wait(f"document.querySelector('tbody tr:last-of-type').dataset.job === '{job}'", "it is the last")
        equal(page.evaluate("[...window.moved]"), [job], "the jobs whose elements have moved")
        equal(page.evaluate("[document.activeElement.name, document.activeElement.value]"), ["reason", "half a sentence"], "the focus")
        self.done(page)
        # A table that scrolls would jump back when a menu opens.
        for width in (1240, 1300, 1361):
            page = self.page("/jobs", width=width)
            equal(page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.table'))"), 0,
                  f"what the table lacks of its width at {width} px")
            self.done(page)
        # A menu hangs out of a table with one row, and its button is within reach.
        page = self.page("/jobs?name=waiting-late", height=600)
        page.click("td details:last-of-type summary")
        reach = page.evaluate("""(() => {
            const box = document.querySelector("details[open] form button").getBoundingClientRect();
            return document.elementFromPoint(box.x + box.width / 2, box.bottom - 2)?.matches("details[open] form button");
        })()""")
        equal(reach, True, "the whole button can be seen without scrolling the table")
        self.done(page)
        self.found["late"] = late

    def test_a_deleted_job_is_told_for_good(self):
        job = self.found["late"]
        page = self.page(f"/jobs/{job}")
        hidden = self.page(f"/jobs/{job}")
        # As a hidden tab, which has no stream.
        hidden.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))")
        self.cluster.call("POST", f"/api/v1/jobs/{job}/cancel")
        self.cluster.call("POST", "/api/v1/selection/delete", dict(jobs=[job]))
        page.wait("document.querySelector('main').innerText.includes('This job was deleted.')", "the page says so")
        equal(page.text("#connection"), "deleted", "the light")
        expect(page.evaluate("document.querySelector('.heading details') === null"), "there is nothing left to do")
        hidden.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        hidden.wait("document.querySelector('main').innerText.includes('This job was deleted.')", "so does one that sees it late")
        equal(hidden.text("#connection"), "deleted", "its light")
        # A page that never had a job asks for nothing.
        none = self.browser.page(self.cluster.host)
        none.go("/none")
        asked = none.evaluate("""(() => {
            let count = 0;
            window.fetch = async () => { count += 1; return new Response(); };
            document.dispatchEvent(new Event("visibilitychange"));
            return count;
        })()""")
        equal((asked, none.text("#connection")), (0, ""), "what a page asks that says that nothing is there, and its light")
        expect("nothing is served at this address" in none.text("main"), none.text("main"))
        for each in (hidden, page, none):
            each.problems = [problem for problem in each.problems if "404" not in problem]
            self.done(each)

    def test_a_stream_that_the_browser_gave_up_is_opened_again(self):
        job = self.found["queue"][15]
        page = self.browser.page(self.cluster.host)
        # A proxy's 502 while the coordinator restarts ends a browser's stream for good, as any answer but 200 does.
        page.call("Page.addScriptToEvaluateOnNewDocument", source="""
            window.streams = [];
            window.EventSource = class extends EventSource {
                constructor(address) { super(window.isAway ? "/api/v1/none" : address); window.streams.push(this); }
            };
            Math.random = () => 0;""")
        page.go("/jobs?name=waiting-15")
        page.wait("document.querySelector('#connection').dataset.state === 'live'", "it is live")
        page.evaluate("window.isAway = true; window.streams[0].close(); window.streams[0].dispatchEvent(new Event('error'))")
        page.wait("document.querySelector('#connection').dataset.state === 'away'", "the light says so")
        page.wait("window.streams.length === 2 && window.streams[1].readyState === EventSource.CLOSED", "the next try fails as well")
        # The browser has no stream, so nothing tells the page about this.
        self.cluster.call("POST", f"/api/v1/jobs/{job}/cancel")
        page.evaluate("window.isAway = false")
        page.wait("document.querySelector('#connection').dataset.state === 'live'", "live again")
        page.wait("document.querySelector('td.standing .state').innerText === 'cancelled'", "and up to date")
        equal(page.evaluate("window.streams.length"), 3, "one stream at a time")
        self.cluster.call("POST", f"/api/v1/jobs/{job}/retry")
        self.cluster.wait(job, "queued")
        page.problems = [problem for problem in page.problems if "404" not in problem]
        self.done(page)

    def test_files_that_find_no_coordinator_or_a_full_one_say_so(self):
        files = []
        for name in ("full.png", "lost.png", "third.png"):
            files.append(self.cluster.folder / name)
            files[-1].write_text("this is no image")
        page = self.page("/submit")
        page.wait("document.querySelector('#yaml').value.includes('name:')", "the recipe is there")
        page.evaluate("""(() => {
            const real = window.fetch;
            window.answers = [
                () => new Promise((resolve) => { window.answer = () => resolve(Response.json({ detail: "no room" }, { status: 507, headers: { "Retry-After": "3600" } })); }),
                () => { throw new TypeError("Failed to fetch"); },
                () => Response.json({ detail: "too busy" }, { status: 503, headers: { "Retry-After": "1" } }),
            ];
            window.fetch = (path, ...more) => path === "/api/v1/exemplars" && window.answers.shift()?.() || real(path, ...more);
        })()""")
        page.drop("#drop", *files)
        page.wait("document.querySelectorAll('#outcomes li').length === 3", "all files are listed at once")
        outcomes = page.text("#outcomes")
        expect("full.png: sending 16 bytes, 1 of 3" in outcomes and "third.png: waiting, 3 of 3" in outcomes, outcomes)
        leaves = "window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
        equal(page.evaluate(leaves), False, "whether the page may be left")
        page.evaluate("window.answer()")
        page.wait("document.querySelector('#outcomes').innerText.includes('third.png: waiting 1 s: too busy')", "it waits as it is told")
        page.wait("document.querySelector('#outcomes').innerText.includes('third.png: refused: ')", "all have an outcome")
        outcomes = page.text("#outcomes")
        expect("full.png: refused: no room" in outcomes and "lost.png: no answer came; drop it again" in outcomes, outcomes)
        equal(page.text("#sending"), "0 of 3 accepted", "the sum")
        equal(page.evaluate(leaves), True, "whether the page may be left")
        page.problems = [problem for problem in page.problems if "422" not in problem]
        self.done(page)

    def test_waiting_files_keep_what_the_form_said_when_they_were_dropped(self):
        files = [self.cluster.folder / name for name in ("first.png", "second.png")]
        for file in files:
            file.write_text("this is no image")
        page = self.page("/submit")
        page.wait("document.querySelector('#yaml').value.includes('name:')", "the recipe is there")
        page.evaluate("""(() => {
            const real = window.fetch, held = new Promise((resolve) => { window.answer = resolve; });
            [window.uploads, window.orders] = [0, []];
            window.fetch = async (path, request) => {
                if (path === "/api/v1/exemplars") { window.uploads += 1; await held; return Response.json({ sha256: "none" }); }
                if (path !== "/api/v1/jobs") return real(path, request);
                window.orders.push(JSON.parse(request.body).jobs[0]);
                return Response.json({ detail: "enough" }, { status: 422 });
            };
        })()""")
        recipe = page.evaluate("document.querySelector('#yaml').value")
        page.type("#batch", "early")
        for count, file in enumerate(files, 1):
            page.drop("#drop", file)
            page.wait(f"document.querySelectorAll('#outcomes li').length === {count}", "the file is listed")
        equal(page.evaluate("window.uploads"), 1, "files under way at once")
        page.type("#batch", "late")
        page.type("#priority", "9")
        page.click('#then input[value="export format=onnx"]')
        page.evaluate("document.querySelector('#yaml').value = 'another recipe'; window.answer()")
        page.wait("document.querySelectorAll('#outcomes li.wrong').length === 2", "both have an outcome")
        orders = page.evaluate("window.orders.map(({ name, batch, priority, then, recipeYAML }) => [name, batch, priority, then ?? null, recipeYAML])")
        equal(orders, [[name, "early", 0, None, recipe] for name in ("first", "second")], "what was ordered")
        self.done(page)

    def test_figures_have_the_form_that_the_server_gives_them(self):
        page = self.page("/")
        values = [0, 1, 0.25, 12345.6, 0.00012344, 0.000012344, 999.96, 9999.6, 1e6, -1e-6, 1.23e-12, 123.4]
        found = page.evaluate(f"""import(document.querySelector("script").src.replace("texloom.js", "page.js"))
            .then((page) => [{values}.map(page.significant), [0, 0.43, 1, 23.26].map(page.speed), [16, 1536, 5 * 2 ** 20].map(page.bytes),
                page.plain(String.fromCodePoint(...Array(0x3000).keys()))])""")
        equal(found[0], ["%.4g" % value for value in values], "losses")
        equal(found[1], [text.replace(" ", "\u00a0") for text in ("0.0 it/s", "2.33 s/it", "1.0 it/s", "23.3 it/s")], "speeds")
        equal(found[2], ["16 bytes", "1.5 KiB", "5.0 MiB"], "sizes")
        # As in Readable+Page.swift.
        replaced = {*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {0x9, 0xA}
        equal(found[3], "".join("\ufffd" if code in replaced else chr(code) for code in range(0x3000)), "characters")
        self.done(page)

    def test_a_priority_is_changed_in_the_list(self):
        job = self.found["queue"][3]
        page = self.page("/jobs?name=waiting-03")
        menu = f'[data-job="{job}"] details:nth-of-type(2)'
        page.click(f"{menu} summary")
        page.type(f"{menu} input[name=priority]", "77")
        page.click(f"{menu} button")
        self.answer(page, "“waiting-03” has priority 77.")
        page.wait(f"document.querySelector('[data-job=\"{job}\"] [data-label=priority]').innerText.includes('77')", "the list says so")
        equal(self.cluster.job(job)["priority"], 77, "the priority")
        self.done(page)

    def test_an_action_that_is_refused_says_why(self):
        job = self.found["queue"][5]
        page = self.page(f"/jobs/{job}")
        page.click("#job summary")
        page.evaluate("document.querySelector('details[open] form').action = '/jobs/none/cancel'")
        page.click("details[open] button.danger")
        self.answer(page, "there is no job 'none'")
        page.problems = [problem for problem in page.problems if "404" not in problem]
        self.done(page)

    def test_curves_are_zoomed_by_drag_by_numbers_and_back(self):
        page = self.page(self.pages["job-finished"])
        page.wait("document.querySelectorAll('#charts figure').length === 5", "each term has its curve")
        page.wait("document.querySelector('#to').value === '6000'", "the whole run is shown")
        ink = "document.querySelector('#charts canvas').toDataURL()"
        whole = page.evaluate(ink)
        page.drag("#charts canvas", 0.4, 0.7)
        page.wait("document.querySelector('#to').value !== '6000'", "a drag zooms")
        start, end = (int(page.evaluate(f"document.querySelector('#{end}').value")) for end in ("from", "to"))
        expect(1200 < start < 2600 and 3400 < end < 4600, f"the dragged range is {start} to {end}")
        page.wait(lambda: page.evaluate(ink) != whole, "the curve is another one")
        page.double_click("#charts canvas")
        page.wait("document.querySelector('#to').value === '6000'", "a double click goes back")
        page.type("#to", "1000")
        page.press("Enter")
        page.wait("document.querySelector('#charts p').innerText.endsWith(' at 1000')", "a typed range ends where it says")
        page.click("#whole")
        page.wait("document.querySelector('#charts p').innerText.endsWith(' at 6000')", "the button goes back")
        self.done(page)

    def test_snapshots_are_walked_through_at_the_exemplars_scale(self):
        page = self.page(self.pages["job-finished"])
        shown = lambda: int(page.text("#shown-iteration"))  # noqa: E731
        iterations = page.evaluate("[...document.querySelectorAll('#strip a')].map((a) => Number(a.dataset.iteration))")
        equal((len(iterations), shown()), (9, 6000), "the newest of all snapshots")
        page.wait("document.querySelector('#shown').complete && document.querySelector('#exemplar').complete", "the pictures")
        scales = page.evaluate("['#exemplar', '#shown'].map((s) => document.querySelector(s)).map((i) => [i.clientWidth / i.naturalWidth, i.naturalWidth])")
        expect(scales[0][0] == scales[1][0] and scales[1][1] == 2 * scales[0][1], f"one scale for both: {scales}")
        page.evaluate("document.querySelector('#scrub').focus()")
        page.press("ArrowLeft")
        equal(shown(), iterations[-2], "the slider goes back by the keyboard")
        before = page.text("#quality")
        page.press("Home")
        equal(shown(), iterations[0], "to the first")
        expect("coverage" in before and page.text("#quality") != before, "the quality figures follow")
        page.click("#strip a:nth-child(4)")
        equal(shown(), iterations[3], "the strip chooses")
        expect(f"snapshot={iterations[3]}" in page.evaluate("location.href"), "the address says which")
        source = page.evaluate("document.querySelector('#shown').src")
        page.go(f"{self.pages['job-finished']}?snapshot={iterations[3]}")
        equal((shown(), page.evaluate("document.querySelector('#shown').src")), (iterations[3], source), "the address shows it again")
        page.click("#play")
        page.wait(f"document.querySelector('#shown-iteration').innerText === '{iterations[1]}'", "it plays")
        page.wait("document.querySelector('#shown-iteration').innerText === '6000' && document.querySelector('#play').innerText === 'Play'", "to the end")
        self.done(page)

    def test_seeds_are_compared_and_the_best_is_marked(self):
        page = self.page("/jobs?name=mud-seed")
        page.click(f'[data-job="{self.found["seed 1"]}"] a[href$="/seeds"]')
        page.wait("document.querySelectorAll('.seeds [data-job]').length === 4", "all seeds are there")
        equal(page.evaluate("[...document.querySelectorAll('.seeds [data-job]')].map((card) => card.querySelector('b').innerText)"),
              ["Seed 1", "Seed 2", "Seed 3", "Seed 4"], "in their order")
        best = f'[data-job="{self.found["seed 2"]}"]'
        equal(page.evaluate("[...document.querySelectorAll('.best')].map((card) => card.dataset.job)"), [self.found["seed 2"]], "the best")
        expect("lines break" in page.text(f'[data-job="{self.found["seed 1"]}"]') and "good" in page.text(best), "verdicts")
        # The page shows the last job's progress.
        self.found["oak"].reach(self.found["seed attempt"], 4321)
        page.wait(f"""document.querySelector('[data-job="{self.found["seed 4"]}"] progress').value === 4321""", "it lives")
        page.click(f"{best} a")
        page.wait("document.querySelectorAll('.seeds [aria-current]').length === 1", "the job's own page has them as well")
        equal(page.evaluate("document.querySelector('.seeds [aria-current]').closest('li').dataset.job"), self.found["seed 2"], "where one is")
        self.done(page)

    def test_a_batch_is_filtered_and_changed_as_a_whole(self):
        page = self.page("/batches")
        page.click("a[href='/batches/examples-by-crop'].name")
        page.wait("document.querySelector('h1').innerText === 'examples-by-crop'", "its page opens")
        equal(page.evaluate("document.querySelectorAll('.gallery.batch > li').length"), 12, "pictures")
        expect("12 jobs" in page.text("[data-live=head]") and "6 finished" in page.text("[data-live=head]"), "its counts")
        page.evaluate("(() => { const menu = [...document.querySelectorAll('select[name=label]')].find((e) => e.innerText.includes('64')); menu.value = 'k=64'; menu.dispatchEvent(new Event('change', { bubbles: true })); })()")
        page.wait("location.search.includes('k%3D64') && document.querySelectorAll('.gallery.batch > li').length === 6", "the menu filters")
        page.go("/batches/examples-by-crop?state=queued&label=k%3D64")
        equal(page.evaluate("document.querySelectorAll('.gallery.batch > li').length"), 3, "waiting pictures")
        page.click(".heading summary")
        expect("Stop 3 jobs of those shown?" in page.text("details[open] form"), "it asks first")
        page.type("details[open] input[name=reason]", "k=64 is too large")
        page.click("details[open] button.danger")
        self.answer(page, "3 jobs of “examples-by-crop” are cancelled.")
        page.wait("document.querySelectorAll('.gallery.batch > li').length === 0", "the page says so")
        page.go("/batches/examples-by-crop?state=cancelled")
        page.click("form[action*=retry] button, .heading summary")
        page.click("details[open] button")
        self.answer(page, "3 jobs of “examples-by-crop” are queued again.")
        states = [self.cluster.job(self.found[f"batch 64 {name}"])["state"] for name in history.EXAMPLES]
        equal(states.count("queued"), 3, "the jobs")
        self.done(page)

    def test_a_running_job_lives(self):
        page = self.page(self.pages["job-running"])
        oak, attempt = self.found["oak"], self.found["running attempt"]
        page.wait("document.querySelectorAll('#charts figure').length === 5", "the curves are there")
        count = page.evaluate("document.querySelectorAll('#strip a').length")
        oak.reach(attempt, 1500)
        oak.log(attempt, ("warning", "a line <b>that comes</b> while\u202e somebody looks"))
        oak.measure(attempt, [(1500, {**clusters.losses(1500)[-1][1], "quality_coverage": 0.66, "gradient_l1": 0.0})])
        oak.send_file(attempt, clusters.SNAPSHOT, clusters.Exemplar("drying-mud").snapshot(0.6), 1500)
        page.wait("document.querySelector('#log').innerText.includes('a line <b>that comes</b> while\ufffd somebody')", "the log grows")
        page.wait("document.querySelector('[data-field=progress]').innerText.startsWith('1500 of 6000')", "the progress moves")
        page.wait(f"document.querySelectorAll('#strip a').length === {count + 1}", "the strip grows")
        page.wait("document.querySelector('#shown-iteration').innerText === '1500'", "the newest is shown")
        page.wait("document.querySelector('#charts p').innerText.endsWith('at 1500')", "the curves grow")
        page.wait("document.querySelector('[data-quality=quality_coverage]').innerText.includes('0.66')", "its quality is told")
        equal(page.evaluate("document.querySelector('[data-term=gradient_l1]')"), None, "the curve of a term that is always 0")
        # Elements kept by a refresh still work, and only once.
        page.click("#play")
        page.wait("document.querySelector('#play').innerText === 'Stop'", "it plays after a refresh")
        # Labels of a scale are complete, however large the values.
        page.evaluate("""
            window.labels = []; window.cut = [];
            const real = CanvasRenderingContext2D.prototype.fillText;
            CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
                const start = this.textAlign === 'right' ? x - this.measureText(text).width : x;
                (start < 0 ? window.cut : window.labels).push(text);
                return real.call(this, text, x, y);
            };""")
        oak.reach(attempt, 1600)
        oak.measure(attempt, [(1600, {"gradient_style": 1_090_000.0})])
        page.wait("window.labels.some((text) => text.toString().startsWith('1.09e'))", "a large value has its label")
        equal(page.evaluate("window.cut.join()"), "", "labels that are cut off")
        page.evaluate("window.labels = []; document.querySelector('#smooth').dispatchEvent(new Event('input'))")
        page.wait("window.labels.length > 0", "the curves are drawn again")
        equal(page.evaluate("window.labels.filter((text) => text.toString().startsWith('1.09e')).length"), 1, "labels of a constant")
        self.done(page)

    def test_the_list_is_filtered_sorted_and_paged(self):
        page = self.page("/jobs")
        names = lambda: page.evaluate("[...document.querySelectorAll('td.name > a')].map((a) => a.innerText)")  # noqa: E731
        total = int(page.text(".pager").split()[0])
        expect(total > 60 and len(names()) == 50, f"{len(names())} of {total} jobs on the first page")
        first = names()
        page.click("a[rel=next]")
        page.wait("location.search.includes('cursor=') && document.readyState === 'complete'", "the next page")
        expect(not set(names()) & set(first) and len(names()) == total - 50, f"the second page has {len(names())}")
        page.click(".pager a:not([rel])")
        page.wait("!location.search.includes('cursor=') && document.readyState === 'complete'", "the first page again")

        def choose(name, value):
            page.evaluate(f"""(() => {{ const s = document.querySelector('select[name={name}]'); s.value = '{value}';
                s.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()""")
            page.wait(f"location.search.includes('{name}={value}') && document.readyState === 'complete'", f"{name} {value}")
        choose("state", "held")
        equal(sorted(names()), ["diverging", "unlucky"], "the held jobs")
        choose("state", "queued")
        choose("recipe", "tiny")
        expect(names() and all(name.startswith("waiting-") for name in names()), f"queued and tiny: {names()}")
        equal(len(names()), 12, "a third of the queue")
        page.go("/jobs?name=scales&sort=name")
        equal(names(), sorted(names(), key=str.lower), "by name")
        expect(len(names()) >= 6 and all("scales" in name for name in names()), f"{names()}")
        page.go("/jobs?sort=priority&state=queued")
        priorities = [int(text) for text in page.evaluate("[...document.querySelectorAll('[data-label=priority]')].map((e) => e.innerText)")]
        equal(priorities, sorted(priorities, reverse=True), "by priority")
        page.type("input[name=name]", "no such name")
        page.press("Enter")
        page.wait("document.querySelector('.empty')?.innerText === 'No job matches.'", "nothing found is told")
        page.wait("document.querySelector('#connection').dataset.state === 'live'", "live")
        self.done(page)

    def test_the_keyboard_reaches_everything(self):
        page = self.page(f"/jobs/{self.found['queue'][7]}")
        focused = lambda: page.evaluate("(document.activeElement.innerText || document.activeElement.name || '').trim()")  # noqa: E731
        page.press("Tab")
        equal(focused(), "Skip to the content", "first comes the skip link")
        expect(page.evaluate("document.activeElement.getBoundingClientRect().left >= 0"), "which can be seen then")
        order = []
        links = ["texloom", "Overview", "Jobs", "Batches", "Gallery", "Workers", "Submit", "Audit"]
        for _ in range(len(links) + 2):
            page.press("Tab")
            order.append(focused())
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            equal(outline, "solid", f"the focus on {order[-1]} can be seen")
        equal(order, links + ["Cancel…", "Priority…"], "the order")
        page.press("Enter")
        page.wait("document.querySelector('details[open] input[name=priority]') === document.activeElement", "a menu is entered")
        page.press("Escape")
        equal(focused(), "Priority…", "and left to where one was")
        page.press("Enter")
        page.wait("document.activeElement.name === 'priority'", "opened again")
        page.type("details[open] input[name=priority]", "13")
        page.press("Enter")
        self.answer(page, "has priority 13.")
        page.go("/")
        page.press("Tab")
        page.press("Enter")
        page.wait("document.activeElement.id === 'main'", "the skip link skips")
        self.done(page)

    def test_pages_are_complete_without_javascript(self):
        job = self.found["queue"][9]
        page = self.page(f"/jobs/{job}", javascript=False)
        expect(page.evaluate("document.querySelector('#range').checkVisibility()") is False, "no dead controls")
        page.click("#job summary")
        page.type("details[open] input[name=reason]", "by hand & without a script")
        page.click("details[open] button.danger")
        page.wait("document.querySelector('main').innerText.includes('“waiting-09” is cancelled.')", "the answer is a page")
        page.click("main a.button")
        page.wait("document.querySelector('[data-live=head] .state')?.innerText === 'cancelled'", "the way back")
        equal(self.cluster.job(job)["reason"].count("by hand & without a script"), 1, "the reason")
        page.go(self.pages["job-finished"])
        page.wait("document.querySelector('img.plot').naturalWidth > 0", "the curves are a picture")
        shares = page.evaluate("['#exemplar', '#shown'].map((s) => document.querySelector(s).clientWidth)")
        expect(abs(shares[1] - 2 * shares[0]) <= 2, f"both at one scale: {shares}")
        page.click("#strip a:nth-child(2)")
        page.wait("location.search.includes('snapshot=') && document.querySelector('#shown-iteration').innerText !== '6000'", "snapshots are links")
        for name, path in self.pages.items():
            page.go(path)
            expect(len(page.text("main")) > 40, f"{name} says something")
        page.go(self.pages["submit"])
        expect("texloom submit" in page.text("main"), "who cannot drop is told what to do")
        page.go("/")
        self.done(page)

    def test_every_page_fits_is_quiet_and_speaks_to_nobody_else(self):
        for width in WIDTHS:
            for dark in (False, True):
                page = self.page("/", width=width, height=900 if width > 600 else 844, dark=dark)
                for name, path in self.pages.items():
                    page.go(path)
                    page.wait("document.querySelector('#connection').dataset.state === 'live'", f"{name} is live")
                    # Loads pictures that no one has scrolled to.
                    page.evaluate("document.querySelectorAll('img[loading]').forEach((image) => { image.loading = 'eager'; })")
                    page.wait("[...document.images].every((image) => image.complete)", f"{name} has its pictures")
                    equal(page.evaluate("[...document.images].filter((image) => image.naturalWidth === 0).map((image) => image.src)"), [], f"broken pictures of {name}")
                    equal(page.overflow(), "", f"{name} at {width} px is as wide as the window")
                    equal(page.problems, [], f"complaints about {name} at {width} px")
                    if self.screenshots:
                        page.screenshot(self.screenshots / f"{name}-{width}-{'dark' if dark else 'light'}.png")
                if width < 600:
                    page.go("/jobs")
                    page.click(f'[data-job="{self.found["queue"][-1]}"] details:nth-of-type(2) summary')
                    equal(page.overflow(), "", "an open menu fits a phone")
                    box = page.evaluate("(() => { const b = document.querySelector('details[open] form').getBoundingClientRect(); return [b.left, b.right]; })()")
                    expect(box[0] >= 0 and box[1] <= width, f"the menu is within the window: {box}")
                    page.go("/batches/examples-by-crop")
                    page.evaluate("document.querySelector('.heading details:last-of-type').open = true")
                    box = page.evaluate("(() => { const b = document.querySelector('details[open] form').getBoundingClientRect(); return [b.left, b.right, b.bottom]; })()")
                    expect(box[0] >= 0 and box[1] <= width and box[2] <= 844, f"a batch's last menu is within the window: {box}")
                self.done(page)

    def test_a_coordinator_that_goes_away_is_told(self):
        page = self.page("/")
        states = self.cluster.get("/api/v1/summary")["jobs"]
        expect(sum(states.values()) >= 30 and all(states.values()), f"jobs in all states: {states}")
        self.cluster.coordinator.terminate()
        self.cluster.coordinator.wait(20)
        page.wait("document.querySelector('#connection').innerText === 'the coordinator is away'", "the light says so")
        page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texloom", required=True, help="the program")
    parser.add_argument("--chromium", required=True, help="the browser")
    parser.add_argument("--screenshots", type=pathlib.Path, help="a folder for pictures of every page")
    parser.add_argument("--only", default="", help="tests with this in their names, and those they need")
    options = parser.parse_args()
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="texloom-dashboard-")
    cluster, browser, failures = None, None, 0
    began = time.monotonic()
    try:
        cluster = clusters.Cluster(os.path.abspath(options.texloom), folder)
        browser = Browser(options.chromium)
        tests = Tests(cluster, browser, options.screenshots)
        names = [name for name in vars(Tests) if name.startswith("test_")]
        needed = ("test_a_real_training", "test_photographs", "test_a_worker_is_drained")
        for name in names:
            if options.only not in name and not name.startswith(needed):
                continue
            sentence, start = name.removeprefix("test_").replace("_", " "), time.monotonic()
            try:
                getattr(tests, name)()
                print(f"ok    {sentence} ({time.monotonic() - start:.1f} s)", flush=True)
            except Exception:
                failures += 1
                print(f"WRONG {sentence}\n{traceback.format_exc()}", flush=True)
    finally:
        if browser:
            browser.close()
        if cluster:
            cluster.stop()
    print(f"test-dashboard: {failures or 'nothing'} wrong, {time.monotonic() - began:.0f} s")
    if failures:
        print(f"test-dashboard: logs are in {folder}")
    else:
        shutil.rmtree(folder)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
