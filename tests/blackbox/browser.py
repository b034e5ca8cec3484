"""A headless Chromium, spoken to in the DevTools protocol through a pair of pipes."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from lib import PATIENCE_S, Failure, check

PROGRAM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = ("--headless", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-extensions",
          "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
          "--disable-dev-shm-usage", "--mute-audio", "--hide-scrollbars", "--no-default-browser-check",
          "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider")


class Browser:
    """One page of a browser. Collects what the page asks the network for, and what it complains of."""

    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix="gearbox-browser-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def descriptors():  # the protocol wants them as 3 and 4
            reads, writes = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        # A session of its own, so that what it leaves can be ended by its group.
        self.process = subprocess.Popen(
            [PROGRAM, *_FLAGS, f"--user-data-dir={self._folder}", "about:blank"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=descriptors, pass_fds=(3, 4),
            start_new_session=True, env={**os.environ, "HOME": self._folder, "XDG_CACHE_HOME": self._folder})
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers = itertools.count(1)
        self._pending = b""
        self._session = None
        self.events = []
        self.requests = []  # addresses
        self.complaints = []  # of the console, and exceptions
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _read(self, deadline):
        """The next message."""
        while b"\0" not in self._pending:
            poll = select.poll()
            poll.register(self._in, select.POLLIN)
            if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
                raise Failure("the browser does not answer")
            chunk = os.read(self._in, 1 << 20)
            check(chunk, "the browser has ended")
            self._pending += chunk
        text, _, self._pending = self._pending.partition(b"\0")
        return json.loads(text)

    def _note(self, message):
        method, parameters = message.get("method"), message.get("params", {})
        self.events.append(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(" ".join(str(each.get("value", each.get("description"))) for each in parameters["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])

    def call(self, method, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._read(deadline)
            if answer.get("id") == number:
                check("error" not in answer, f"{method}: {answer.get('error')}")
                return answer["result"]
            self._note(answer)

    def fresh(self):
        """As it was when it began: nothing emulated, nothing noted."""
        self.call("Emulation.clearDeviceMetricsOverride")
        self.call("Emulation.setEmulatedMedia", media="", features=[])
        self.requests.clear()
        self.complaints.clear()

    def open(self, path):
        """Load a file and wait until it is there and drawn."""
        self.events.clear()
        self.call("Page.navigate", url=f"file://{path}")
        deadline = time.monotonic() + PATIENCE_S
        while "Page.loadEventFired" not in self.events:
            self._note(self._read(deadline))
        self.settle()

    def settle(self):
        """Wait until what a change has to be drawn for is drawn."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def evaluate(self, script):
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        check("exceptionDetails" not in result, f"{script}: {result.get('exceptionDetails')}")
        return result["result"].get("value")

    def size(self, width, height=900, mobile=False, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)
        self.settle()

    def media(self, kind="", **features):
        """Emulate a medium (print) and features such as prefers_color_scheme."""
        self.call("Emulation.setEmulatedMedia", media=kind, features=[
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()])
        self.settle()

    def key(self, name, code=None, text=None):
        for kind in ("keyDown", "keyUp"):
            parameters = {"type": kind, "key": name, "windowsVirtualKeyCode": code or 0}
            if text and kind == "keyDown":
                parameters["text"] = text
            self.call("Input.dispatchKeyEvent", **parameters)
        self.settle()

    def click(self, selector):
        """With the mouse, in the middle of an element."""
        where = self.evaluate(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{ block: 'center' }}); const r = e.getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)
        self.settle()

    def screenshot(self, path, whole=True):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **({"clip": self._all()} if whole else {}))
        with open(path, "wb") as file:
            file.write(base64.b64decode(data["data"]))

    def _all(self):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])

    def close(self):
        try:
            if self.process.poll() is None:
                self._session = None
                try:
                    self.call("Browser.close")
                except (Failure, OSError):
                    self.process.kill()
            self.process.wait(PATIENCE_S)
        finally:
            os.close(self._in)
            os.close(self._out)
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
