"""The servers that the counting benches look at, and how one of them is started and found ready."""

import os
import platform
import re
import select
import signal
import subprocess
import threading
import time

import page
from server import LIBC, PR_SET_PDEATHSIG, Failure, process_tree

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PATIENCE_S = 60  # for anything to happen that should happen at once

# A line that a server prints when it is ready, with its port.
READY = re.compile(r"^(?:\S+: serving \S+ on 127\.0\.0\.1:)?(\d+)(?: \(model .*)?$")

LISTEN = ["--listen", "127.0.0.1:0"]


def raw(name):
    return ["{build}/bench/" + name]


def model(spec, *more):
    return ["{build}/gearbox", "serve", "echo", *LISTEN, "--model", spec, *more]


def line_echo(spec):
    return ["{build}/bench/line_echo", *LISTEN, "--model", spec]


def peer(name):
    """On another library; `./dev bench` builds them in a folder of their own."""
    return [os.path.join(ROOT, "build-bench", "bench", "peers", name)]


class Report:
    """Prints lines, and keeps them for a part of a page: --report FILE."""

    def __init__(self, path):
        self.path = path
        self.lines = []

    def say(self, text):
        print(text)
        self.lines.append(text)

    def fill(self, name):
        """Put what was said between the markers of this name."""
        if self.path:
            page.fill(self.path, {name: "```\n" + "\n".join(self.lines).strip() + "\n```"})


def child(command, **streams):
    """Start a command; it ends when this process does."""
    return subprocess.Popen(command, preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), text=True,
                            **streams)


class Server:
    """A server that is ready; as a context it is ended, in order if it can."""

    def __init__(self, name, command, build, prefix=(), environment=None):
        self.name = name
        self.said = []
        command = [part.format(build=build) for part in command]
        if not os.access(command[0], os.X_OK):
            raise Failure(f"{name}: there is no {command[0]}; build it first")
        self.process = child([*prefix, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
        self.pid = self.process.pid
        try:
            self.port = self._wait_ready()
        except BaseException:
            self.kill()
            raise
        # Whoever has more to say must not wait for a reader.
        threading.Thread(target=self._read_all, daemon=True).start()

    def _wait_ready(self):
        output = self.process.stdout
        while True:
            if not select.select([output], [], [], PATIENCE_S)[0]:
                raise Failure(f"{self.name}: not ready within {PATIENCE_S} s")
            line = output.readline()
            if not line:
                raise Failure(f"{self.name} ended before it was ready: {' '.join(self.said) or 'it said nothing'}")
            found = READY.match(line.rstrip("\n"))
            if found:
                return int(found.group(1))
            self.said.append(line.rstrip("\n"))

    def _read_all(self):
        with self.process.stdout as output:
            for line in output:
                self.said.append(line.rstrip("\n"))

    @property
    def ended(self):
        return self.process.poll() is not None

    def check_alive(self):
        if self.ended:
            raise Failure(f"{self.name} ended with code {self.process.returncode}: {' '.join(self.said[-3:])}")

    def ended_within(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self):
        """End it at once, and what it started with it."""
        for pid in reversed(list(process_tree(self.pid))):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        if kind or not self.ended_within(PATIENCE_S):
            self.kill()


def until(condition, what, seconds=PATIENCE_S):
    """Poll for what sends no event, such as a file of /proc. Returns the condition's value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.002)
    return value


def machine():
    """What a report must name, since on another machine all of it may be different."""
    cpu = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": cpu,
        "libc": " ".join(platform.libc_ver()),
        "compiler": first_line(["cc", "--version"]),
    }


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except FileNotFoundError:
        return f"no {command[0]}"
    return done.stdout.partition("\n")[0]


def chosen(rows, names, what):
    """The rows with these names in front, all of them if there are none."""
    known = [row[0] for row in rows]
    for name in names or []:
        if name not in known:
            raise Failure(f"no {what} {name}; there are: {'; '.join(known)}")
    return [row for row in rows if not names or row[0] in names]
