#!/usr/bin/env python3
"""docs/tutorial.md: its file compiles, and its commands do what it says, in their order."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile

from lib import PATIENCE_S, case, check, check_equal, main

BUILD = pathlib.Path(os.environ["BUILD"])
ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:7000"  # in the page; here the port is a free one


class Reader:
    """Somebody who does what the page says."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        # Library and headers where they are in the tree, in place of those that are installed (packaging/install_test.py).
        self.environment = os.environ | {"PKG_CONFIG_PATH": str(BUILD / "meson-uninstalled"),
                                         "LD_LIBRARY_PATH": str(BUILD / "src"), "CPATH": str(ROOT / "include")}
        self.server, self.address, self.told = None, None, {}

    def serve(self, command):
        self.server = subprocess.Popen(command.removesuffix(" &").replace(ADDRESS, "127.0.0.1:0").split(), cwd=self.folder,
                                       env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.server.stderr:  # a model that does not suit the handler has a line of its own
            if found := re.search(r"serving sums on (127\.0\.0\.1:[0-9]+)", line):
                self.address = found[1]
                return
        check(False, f"{command} ended before it served")

    def end(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.stderr.read()
        check_equal(self.server.wait(PATIENCE_S), 0, "exit code of the server")
        self.server.stderr.close()
        self.server = None

    def call(self, command):
        if self.server:
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


@case
def the_tutorial_does_what_it_says():
    program, = re.findall(r"^```c\n(.*?)^```$", PAGE, re.M | re.S)
    commands = re.findall(r"^\$ (.*)$", PAGE, re.M)
    check(len(commands) > 8, f"commands {commands}")
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "sums.c").write_text(program, encoding="utf-8")
        reader = Reader(folder)
        try:
            for command in commands:
                reader.follow(command)
        finally:
            if reader.server:
                reader.server.kill()
                reader.server.wait()
                reader.server.stderr.close()
    check("reactor-pool" in reader.told["./sums compare"], reader.told["./sums compare"])
    check("--model " in reader.told["./sums advise"] and "Why:" in reader.told["./sums advise"], reader.told["./sums advise"])
    check("\nmodel " in reader.told["cat sums.conf"], reader.told["cat sums.conf"])


if __name__ == "__main__":
    main()
