"""Somebody who does what a page says: its files in a folder, its commands in their order."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

from lib import PATIENCE_S, check, check_equal

BUILD = pathlib.Path(os.environ["BUILD"])
ROOT = pathlib.Path(__file__).resolve().parents[1]
ADDRESS = "127.0.0.1:7000"  # in the pages; here the port is a free one


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)


def commands(text):
    return re.findall(r"^\$ (.*)$", text, re.M)


class Reader:
    """As a context, nothing that was served is left."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        # Library, headers and command where they are in the tree, in place of those that are installed
        # (packaging/install_test.py).
        self.environment = os.environ | {"PKG_CONFIG_PATH": str(BUILD / "meson-uninstalled"), "PATH": f"{BUILD}:{os.environ['PATH']}",
                                         "LD_LIBRARY_PATH": str(BUILD / "src"), "CPATH": str(ROOT / "include")}
        self.server, self.address, self.told = None, None, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.kill()
            self.server.wait()
            self.server.stderr.close()

    def serve(self, command):
        words = command.removesuffix(" &").replace(ADDRESS, "127.0.0.1:0").replace("$PWD", str(self.folder)).split()
        self.server = subprocess.Popen(words, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
        said = ""
        for line in self.server.stderr:  # a model that does not suit the handler has a line of its own
            said += line
            if re.search(r"serving \S+ on |Listening on ", line):
                addresses = re.findall(r"127\.0\.0\.1:[0-9]+", line)
                self.address = addresses[-1] if addresses else None
                return
        check(False, f"{command} ended before it served: {said}")

    def end(self):
        self.server.send_signal(signal.SIGTERM)
        said = self.server.stderr.read()
        check_equal(self.server.wait(PATIENCE_S), 0, f"exit code of the server ({said})")
        self.server.stderr.close()
        self.server = None

    def call(self, command):
        if self.server and self.address:
            command = command.replace(ADDRESS, self.address)
        done = subprocess.run(["sh", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True,
                              check=False, timeout=PATIENCE_S)
        # A load's figures may be doubtful on a machine that is busy; its answers are right all the same.
        allowed = (0, 3) if " load " in command else (0,)
        check(done.returncode in allowed, f"exit code {done.returncode} of {command} ({done.stdout}{done.stderr})")
        self.told[command.split(" --")[0]] = done.stdout

    def follow(self, command):
        if command.endswith(" &"):
            self.serve(command)
        elif command == "kill %1":
            self.end()
        else:
            self.call(command)

    def has(self, program):
        return shutil.which(program, path=self.environment["PATH"]) is not None
