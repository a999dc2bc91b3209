"""Headless Chromium, driven by the DevTools protocol over a pair of pipes: only the browser must be installed."""
import base64
import itertools
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

KEYS = {
    "Tab": (9, ""), "Escape": (27, ""), "Enter": (13, "\r"), "Space": (32, " "), "ArrowLeft": (37, ""), "ArrowRight": (39, ""),
    "Home": (36, ""), "End": (35, ""),
}


class Failure(Exception):
    """The page differs from what a test expects."""


class Browser:
    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="texloom-browser-")
        to_browser, self.to = os.pipe()
        self.answers, from_browser = os.pipe()
        # The browser reads commands from descriptor 3 and writes answers to descriptor 4.
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "browser", program, "--headless=new",
             "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--no-first-run", "--disable-background-networking", f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.numbers, self.waiting, self.pages, self.lock = itertools.count(1), {}, {}, threading.Lock()
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self):
        rest = b""
        while data := os.read(self.answers, 1 << 20):
            *whole, rest = (rest + data).split(b"\0")
            for text in whole:
                message = json.loads(text)
                if "id" in message:
                    self.waiting.pop(message["id"]).put(message)
                elif page := self.pages.get(message.get("sessionId")):
                    page.hear(message["method"], message["params"])

    def call(self, method, session=None, **parameters):
        number, answer = next(self.numbers), queue.Queue()
        self.waiting[number] = answer
        message = dict(id=number, method=method, params=parameters, **({"sessionId": session} if session else {}))
        data = json.dumps(message).encode() + b"\0"
        with self.lock:
            while data:
                data = data[os.write(self.to, data):]
        found = answer.get(timeout=60)
        if "error" in found:
            raise Failure(f"{method}: {found['error']['message']}")
        return found["result"]

    def page(self, host, **looks):
        """Opens a new window with its own profile. `looks`: see Page."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, target, host, **looks)
        page.prepare()
        return page

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """A window with the dashboard. `problems` collects its errors and its requests to other hosts."""

    def __init__(self, browser, session, target, host, width=1440, height=1000, dark=False, javascript=True):
        self.browser, self.session, self.target, self.host = browser, session, target, host
        self.width, self.height, self.dark, self.javascript = width, height, dark, javascript
        self.problems = []

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def prepare(self):
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=self.width, height=self.height,
                  deviceScaleFactor=2 if self.width < 600 else 1, mobile=self.width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            dict(name="prefers-color-scheme", value="dark" if self.dark else "light"),
            # Avoids pictures in the middle of a transition.
            dict(name="prefers-reduced-motion", value="reduce")])
        self.call("Emulation.setScriptExecutionDisabled", value=not self.javascript)

    def hear(self, method, event):
        match method:
            case "Runtime.exceptionThrown":
                details = event["exceptionDetails"]
                self.problems.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")
            case "Runtime.consoleAPICalled" if event["type"] in ("error", "warning", "assert"):
                self.problems.append(f"console: {[value.get('value', value.get('description')) for value in event['args']]}")
            case "Log.entryAdded" if event["entry"]["level"] in ("error", "warning"):
                self.problems.append(f"log: {event['entry']['text']} ({event['entry'].get('url', '')})")
            case "Network.requestWillBeSent":
                address = event["request"]["url"]
                if not address.startswith((self.host + "/", "data:", "about:")):
                    self.problems.append(f"a request to another host: {address}")

    def go(self, path):
        # The command returns once the new page has replaced the old one.
        self.call("Page.navigate", url=self.host + path)
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(self.host + path)}", f"{path} has loaded")

    def wait(self, condition, what, seconds=30):
        """Waits until a condition holds, or an expression is true in the page."""
        end = time.monotonic() + seconds
        while True:
            try:
                if found := condition() if callable(condition) else self.evaluate(condition):
                    return found
            except Failure:
                # The page may be loading another one.
                pass
            if time.monotonic() > end:
                raise Failure(f"it never came to this: {what}")
            time.sleep(0.05)

    def evaluate(self, expression):
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise Failure(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return found["result"].get("value")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")

    def middle(self, selector):
        """The place where a person would point. Fails if the element is missing or invisible."""
        place = self.evaluate(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            if (!element) return null;
            element.scrollIntoView({{ block: "center", inline: "center", behavior: "instant" }});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2, box.width, box.height, box.x, box.y];
        }})()""")
        if not place or place[2] == 0 or place[3] == 0:
            raise Failure(f"nobody can see {selector}")
        return place

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector):
        x, y, *_ = self.middle(selector)
        is_on_top = self.evaluate(f"""(() => {{
            const top = document.elementFromPoint({x}, {y}), element = document.querySelector({json.dumps(selector)});
            return element.contains(top) || top?.contains(element);
        }})()""")
        if not is_on_top:
            raise Failure(f"{selector} is covered by something else")
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def drag(self, selector, start, end):
        """Drags across an element, from one fraction of its width to another."""
        _, y, width, _, left, _ = self.middle(selector)
        self.mouse("mouseMoved", left + width * start, y)
        self.mouse("mousePressed", left + width * start, y, button="left", clickCount=1)
        for step in range(1, 6):
            self.mouse("mouseMoved", left + width * (start + (end - start) * step / 5), y, button="left", buttons=1)
        self.mouse("mouseReleased", left + width * end, y, button="left", clickCount=1)

    def double_click(self, selector):
        x, y, *_ = self.middle(selector)
        for count in (1, 2):
            self.mouse("mousePressed", x, y, button="left", clickCount=count)
            self.mouse("mouseReleased", x, y, button="left", clickCount=count)

    def press(self, key, shift=False):
        code, text = KEYS[key]
        name = " " if key == "Space" else key
        common = dict(key=name, code=key, windowsVirtualKeyCode=code, modifiers=8 if shift else 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, selector, text):
        """Replaces the content of an input field."""
        self.evaluate(f"(() => {{ const field = document.querySelector({json.dumps(selector)}); field.focus(); field.select(); }})()")
        self.call("Input.insertText", text=text)

    def drop(self, selector, *files):
        """Drops files as if they came from the desktop."""
        x, y, *_ = self.middle(selector)
        data = dict(items=[], files=[str(file) for file in files], dragOperationsMask=1)
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def overflow(self):
        """How many pixels the page is wider than the window, and which elements stick out."""
        return self.evaluate("""(() => {
            const room = document.documentElement.clientWidth, excess = document.documentElement.scrollWidth - room;
            const wide = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > room + 1);
            return excess > 0 ? `${excess} px: ${wide.slice(0, 3).map((e) => e.outerHTML.slice(0, 80)).join(" | ")}` : "";
        })()""")

    def screenshot(self, file, whole=True):
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **({"clip": self.extent()} if whole else {}))
        with open(file, "wb") as output:
            output.write(base64.b64decode(picture["data"]))

    def extent(self):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return dict(x=0, y=0, width=self.width, height=max(self.height, min(size["height"], 6000)), scale=1)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
