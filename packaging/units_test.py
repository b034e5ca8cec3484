#!/usr/bin/env python3
"""The units of systemd are right, and confine what they start; their sockets are served."""

import os
import re
import shutil
import subprocess
import tempfile

from lib import GEARBOX, PATIENCE_S, case, check, check_equal, main

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "systemd")
EXPOSED_MOST = 2.0  # of systemd-analyze security, where 10 is no confinement at all


def with_units(check_them):
    """Call with a folder that has the units, of an instance, and the command that they start."""
    if not shutil.which("systemd-analyze"):
        print("skipped: no systemd-analyze here", flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{HERE}/gearbox@.service.in", encoding="utf-8") as file:
            text = file.read().replace("@BINDIR@", os.path.dirname(GEARBOX))
        with open(f"{folder}/gearbox@.service", "w", encoding="utf-8") as file:
            file.write(text)
        shutil.copy(f"{HERE}/gearbox@.socket", folder)
        check_them(folder)


def analyzed(folder, *words):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=PATIENCE_S,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_LOG_LEVEL": "warning"})


@case
def systemd_has_nothing_to_say_of_them():
    def verified(folder):
        done = analyzed(folder, "verify", "--man=no", "gearbox@echo.service", "gearbox@echo.socket")
        ours = [line for line in done.stderr.splitlines() if "gearbox" in line]  # not the machine's own units
        check_equal((done.returncode, ours), (0, []), "exit code and what is said")
    with_units(verified)


@case
def they_confine_what_they_start():
    def confined(folder):
        done = analyzed(folder, "security", "--offline=yes", "--no-pager", f"{folder}/gearbox@.service")
        level = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
        check(level, f"no level in {done.stdout[-300:]!r}, {done.stderr!r}")
        check(float(level[1]) <= EXPOSED_MOST, f"the exposure level is {level[1]}")
    with_units(confined)


@case
def the_command_of_the_service_is_one():
    """All of its flags are known, and none is amiss but the sockets."""
    with open(f"{HERE}/gearbox@.service.in", encoding="utf-8") as file:
        line = re.search(r"^ExecStart=@BINDIR@/gearbox (.*)$", file.read(), re.M)[1]
    words = line.replace("%i", "echo").replace(" $GEARBOX_FLAGS", "").split()
    done = subprocess.run([GEARBOX, *words], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    check_equal(done.returncode, 1, f"exit code ({done.stderr})")
    check("no sockets were passed" in done.stderr, f"said {done.stderr!r}")


if __name__ == "__main__":
    main()
