#!/usr/bin/env python3
"""Being found on the local network: beside a bus and an Avahi daemon of our own, in a namespace with nothing but lo.

Skipped, and told so, where there is no namespace to be had or a program is missing.
"""

import atexit
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

from client import answered
from lib import PATIENCE_S, Server, case, check, check_equal, keep, main, wait_until
from models import EACH_ENGINE

INSIDE = "GEARBOX_LOCAL_TEST"  # set in the namespace
PROGRAMS = ("dbus-daemon", "avahi-daemon", "avahi-browse", "unshare")
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS = 0x8914
_UP = 0x1 | 0x8 | 0x40 | 0x1000  # and a loopback that runs, with multicast
_libc = ctypes.CDLL(None, use_errno=True)

_BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="*"/>
<allow send_destination="*" eavesdrop="false"/><allow receive_type="*"/></policy></busconfig>
"""
_AVAHI = """\
[server]
host-name=tester
use-ipv4=yes
use-ipv6=no
[publish]
publish-workstation=no
publish-hinfo=no
"""


class Daemon:
    """A program that runs from `start` to `stop`."""

    def __init__(self, *words):
        self.words = [shutil.which(words[0], path=_PATH), *words[1:]]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL,
                                        preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        keep(self.process.pid)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(PATIENCE_S)
            keep(self.process.pid, False)
            self.process = None


def _furnish():
    """A namespace as a machine without a network: its lo, and a /run of its own for the daemon's file."""
    check(_libc.mount(b"none", b"/run", b"tmpfs", 0, None) == 0, "cannot mount a /run")
    os.mkdir("/run/avahi-daemon")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _UP))


def _await_names(server, *wanted):
    """It is announced under these names."""
    def named():
        told = server.counters()["announce_local"]
        return told["state"] == "registered" and sorted(told["names"]) == sorted(wanted)
    wait_until(named, f"it is announced as {wanted}", pause=0.05)


def _seen(kind):
    """{(name, port)} of who is found on the network."""
    done = subprocess.run(["avahi-browse", "-rpt", kind], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=PATIENCE_S)
    rows = (line.split(";") for line in done.stdout.decode().splitlines() if line.startswith("="))
    return {(row[3].replace("\\032", " ").replace("\\035", "#"), int(row[8])) for row in rows}


def is_found_under_every_engine():
    avahi.start()
    servers = [Server(*model.arguments, "--announce-local", f"m{i}._engines._tcp")
               for i, model in enumerate(EACH_ENGINE)]
    for i, server in enumerate(servers):
        _await_names(server, f"m{i}._engines._tcp")
    wait_until(lambda: _seen("_engines._tcp") == {(f"m{i}", server.port) for i, server in enumerate(servers)},
               "all are found")
    for i, server in enumerate(servers):
        if i % 2:
            server.expected_code = -signal.SIGKILL
            server.send_signal(signal.SIGKILL)
            server.wait()
        with server:
            pass
    wait_until(lambda: not _seen("_engines._tcp"), "who has ended, or was killed, is not found any more")


def a_name_that_somebody_has_is_counted_on():
    with Server("--announce-local", "Same name._same._tcp") as one:
        _await_names(one, "Same name._same._tcp")
        with Server("--announce-local", "Same name._same._tcp") as other:
            _await_names(other, "Same name #2._same._tcp")
            wait_until(lambda: _seen("_same._tcp") == {("Same name", one.port), ("Same name #2", other.port)},
                       "both are found")


def a_daemon_comes_goes_and_comes_again():
    avahi.stop()
    with Server("--announce-local", "_later._tcp") as server:
        answered(server)
        wait_until(lambda: server.counters()["announce_local"]["state"] == "absent", "no daemon is there")
        name, = server.counters()["announce_local"]["names"]
        for _ in range(2):
            avahi.start()
            _await_names(server, name)
            avahi.stop()
            wait_until(lambda: server.counters()["announce_local"]["state"] == "absent", "the daemon has gone")
        avahi.start()


def a_daemon_that_hangs_holds_nobody_up():
    avahi.process.send_signal(signal.SIGSTOP)
    try:
        for model in EACH_ENGINE:
            with Server(*model.arguments, "--announce-local", "_hangs._tcp") as server:
                answered(server)
    finally:
        avahi.process.send_signal(signal.SIGCONT)


def without_a_bus_it_serves():
    before = os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nowhere"
    try:
        with Server("--announce-local", "_nobus._tcp") as server:
            answered(server)
            check_equal(server.counters()["announce_local"]["state"], "absent", "state")
            check(any("until there is a system bus" in line for line in server.log), f"it says {server.log}")
    finally:
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before


def _obstacle():
    """Why it cannot be tried here, or None."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=_PATH)]
    if missing:
        return f"there is no {' and no '.join(missing)} here"
    tried = subprocess.run(["unshare", "-nm", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "no network namespaces here"


if __name__ == "__main__":
    obstacle = _obstacle() if INSIDE not in os.environ else None
    if obstacle:
        print(f"skipped: the local network: {obstacle}\n0 passed, 0 failed", flush=True)
        sys.exit(0)
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-nm", sys.executable, *sys.argv])
    _furnish()
    FOLDER = tempfile.mkdtemp(prefix="gearbox-local-")
    atexit.register(shutil.rmtree, FOLDER)
    for path, text in ((f"{FOLDER}/bus.conf", _BUS.format(folder=FOLDER)), (f"{FOLDER}/avahi.conf", _AVAHI)):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={FOLDER}/bus"
    bus = Daemon("dbus-daemon", f"--config-file={FOLDER}/bus.conf", "--nofork", "--nopidfile")
    avahi = Daemon("avahi-daemon", "-f", f"{FOLDER}/avahi.conf", "--no-drop-root", "--no-rlimits", "--no-chroot")
    bus.start()
    atexit.register(bus.stop)
    wait_until(lambda: os.path.exists(f"{FOLDER}/bus"), "the bus is there")
    for function in (is_found_under_every_engine, a_name_that_somebody_has_is_counted_on,
                     a_daemon_comes_goes_and_comes_again, a_daemon_that_hangs_holds_nobody_up,
                     without_a_bus_it_serves):
        case(function)
    atexit.register(avahi.stop)
    main()
