#!/usr/bin/env python3
"""The process around the server: standard error that nobody reads, closed descriptors, signals, orphans, its log."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

from client import answered, round_trip
from lib import GEARBOX, PATIENCE_S, SMALL, Server, add_case, case, case_for_each, check, check_equal, descriptors, main, \
    wait_until
from models import EACH_ENGINE, MODELS, PRESETS


def fill(fd):
    """A pipe to the brim."""
    os.set_blocking(fd, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(fd, b"x" * size)
        except BlockingIOError:
            pass
    os.set_blocking(fd, True)


class FullServer:
    """A server whose standard error is a full pipe, found by the socket that it listens on."""

    def __init__(self, model, *arguments):
        self.reader, self.writer = os.pipe()
        fill(self.writer)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen([GEARBOX, "serve", "echo", "--listen", f"127.0.0.1:{self.port}",
                                         *model.arguments, *arguments], stderr=self.writer,
                                        stdin=subprocess.DEVNULL)

    def connect(self):
        def try_it():
            try:
                return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
            except ConnectionRefusedError:
                return None
        return wait_until(try_it, "it listens")

    def drain(self):
        """What stands in the pipe."""
        os.set_blocking(self.reader, False)
        found = b""
        try:
            while part := os.read(self.reader, 1 << 16):
                found += part
        except BlockingIOError:
            pass
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self.reader)
        os.close(self.writer)


@case_for_each(PRESETS)
def nobody_reads_standard_error(model):
    """The ready line and notices are lost and counted; it serves, and it ends."""
    with FullServer(model, "--max-message", "8") as server:
        with server.connect() as client:
            round_trip(client)
        check_equal(fcntl.fcntl(server.writer, fcntl.F_GETFL) & os.O_NONBLOCK, 0, "O_NONBLOCK of the shared pipe")
        first = server.drain()
        server.process.terminate()
        check_equal(server.process.wait(PATIENCE_S), 0, "exit code")
        text = b"\n".join((first, server.drain())).decode(errors="replace")
        # Where workers serve before the server is ready, there may have been room for that line again, just before.
        check(re.search("^gearbox: warning: [0-9]+ lines lost", text, re.M) or " serving echo on " in text,
              f"no count of lost lines: {text!r}")


@case_for_each(PRESETS)
def nobody_reads_standard_error_to_the_end(model):
    with FullServer(model) as server:
        with server.connect() as client:
            round_trip(client)
        server.process.terminate()
        check_equal(server.process.wait(PATIENCE_S), 0, "exit code")


def ends_whatever_standard_error_is(model, before_exec):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([GEARBOX, "serve", "echo", "--listen", f"127.0.0.1:{port}", *model.arguments],
                               preexec_fn=before_exec)

    def connected():
        try:
            return socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        except ConnectionRefusedError:
            return None
    try:
        with wait_until(connected, "it listens") as client:
            round_trip(client)
            held = descriptors(process.pid)
            for number in (0, 1, 2):
                check(not held[number].startswith(("socket:", "anon_inode:")), f"descriptor {number} is {held[number]}")
        process.terminate()
        check_equal(process.wait(PATIENCE_S), 0, "exit code")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@case_for_each(PRESETS)
def standard_descriptors_are_closed(model):
    def close_all():
        for number in (0, 1, 2):
            os.close(number)
    ends_whatever_standard_error_is(model, close_all)


@case_for_each(EACH_ENGINE)
def standard_error_is_a_full_disk(model):
    ends_whatever_standard_error_is(model, lambda: os.dup2(os.open("/dev/full", os.O_WRONLY), 2))


@case_for_each(EACH_ENGINE)
def the_reader_of_standard_error_has_gone(model):
    def break_it():
        reader, writer = os.pipe()
        os.dup2(writer, 2)
        os.close(reader)
        os.close(writer)
    ends_whatever_standard_error_is(model, break_it)


@case_for_each(MODELS)
def blocked_signals_are_inherited(model):
    def block():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM})
    with Server(*model.arguments, before_exec=block) as server:
        answered(server)


@case_for_each(EACH_ENGINE)
def an_interrupt_that_is_ignored_stays_so(model):
    """As a shell has it for what it starts in the background."""
    with Server(*model.arguments, before_exec=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as server:
        server.send_signal(signal.SIGINT)
        answered(server)


@case
def as_process_1_it_reaps_orphans():
    """In a process namespace of its own; a shell there would wait for them instead."""
    script = ("import os, sys\n"
              "if os.fork() == 0:\n"
              "    if os.fork() == 0:\n"
              "        import time\n"
              "        while os.getppid() != 1: time.sleep(0.001)\n"
              "    os._exit(0)\n"
              "os.execv(sys.argv[1], sys.argv[1:])\n")
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode:
        print("skipped: no process namespaces here", flush=True)
        return
    for model in EACH_ENGINE:
        process = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", script, GEARBOX,
                                    "serve", "echo", "--listen", "127.0.0.1:0", *model.arguments],
                                   stderr=subprocess.PIPE)
        try:
            check(b"pid 1)" in process.stderr.readline(), "not process 1")

            def no_zombies(parent=process.pid):
                with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
                    init = int(file.read().split()[0])
                with open(f"/proc/{init}/task/{init}/children", encoding="ascii") as file:
                    below = file.read().split()
                states = []
                for pid in below:
                    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="ascii") as file:  # or it is gone
                        states.append(file.read().rpartition(")")[2].split()[0])
                return "Z" not in states and (not below or model.processes)
            wait_until(no_zombies, f"{model} reaps what came to it")
        finally:
            process.kill()
            process.wait(PATIENCE_S)
            process.stderr.close()


def read_notice(server, pattern):
    while True:
        line = server.read_line()
        check(line is not None, f"standard error ends without {pattern}")
        if re.search(pattern, line):
            return line


# Others warn before they are ready that this service may block.
@case_for_each([model for model in PRESETS
                if model.axes["engine"] == "blocking" or model.axes["compute"] == "threads"])
def a_connection_that_is_dropped_leaves_a_line(model):
    with Server("--max-message", "8", *model.arguments, service="work") as server:
        with server.connect() as client:
            client.sendall(b"x" * 100)
            try:
                while client.recv(100):
                    pass
            except ConnectionResetError:
                pass
            line = read_notice(server, "closed")
            check(re.match(r"gearbox: notice: connection from 127\.0\.0\.1:%d, \S+: closed: (message_too_large|bad_frame), "
                           % client.getsockname()[1], line), line)


@case_for_each([model for model in PRESETS if not model.one_at_a_time])
def a_connection_that_is_refused_leaves_a_line(model):
    with Server("--max-connections", "1", *model.arguments) as server:
        with server.connect() as first:
            round_trip(first)
            with server.connect() as second:
                try:
                    check_equal(second.recv(1), b"", "what a client beyond the limit gets")
                except ConnectionResetError:
                    pass
                line = read_notice(server, "over_limit")
                check(f"connection from 127.0.0.1:{second.getsockname()[1]}, echo: refused: over_limit, " in line, line)


@case_for_each(EACH_ENGINE)
def lines_are_few(model):
    with Server("--max-connections", "1", *model.with_workers(2)) as server:
        with server.connect() as first:
            round_trip(first)
            if model.one_at_a_time:
                return
            for _ in range(50):
                with server.connect() as other:
                    try:
                        other.recv(1)
                    except ConnectionResetError:
                        pass
        server.stop()
        told = [line for line in server.log if "over_limit" in line]
        check(1 <= len(told) <= 25, f"{len(told)} lines of 50 refusals")


@case_for_each(EACH_ENGINE)
def stops_leave_lines_and_levels_hold_them_back(model):
    for level, told in (("notice", True), ("warning", False)):
        with Server("--log-level", level, *model.arguments) as server:
            answered(server)
            server.stop()
            check_equal(any("notice: told to stop: draining" in line for line in server.log), told,
                        f"a line about the drain under log-level={level}")


@case
def endings_are_told_under_info():
    with Server("--log-level", "info", "--model", "reactor") as server:
        answered(server)
        line = read_notice(server, "closed: eof")
        server.expected_log = "gearbox: info: "
        check(line.startswith("gearbox: info: connection from 127.0.0.1:"), line)


@case
def json_is_json():
    process = subprocess.Popen([GEARBOX, "serve", "echo", "--listen", "127.0.0.1:0", "--log-format=json",
                                "--max-connections=1"], stderr=subprocess.PIPE)
    ready = json.loads(process.stderr.readline())
    check_equal(ready["level"], "notice", "level of the ready line")
    port = int(re.search(r"serving echo on 127\.0\.0\.1:(\d+) \(model", ready["message"])[1])
    with socket.create_connection(("127.0.0.1", port)) as first:
        round_trip(first)
        with socket.create_connection(("127.0.0.1", port)) as second:
            line = json.loads(process.stderr.readline())
            check_equal((line["peer"], line["service"], line["reason"], line["level"]),
                        (f"127.0.0.1:{second.getsockname()[1]}", "echo", "over_limit", "notice"), "fields")
    process.terminate()
    check_equal(process.wait(PATIENCE_S), 0, "exit code")
    for rest in process.stderr:
        json.loads(rest)
    process.stderr.close()


@case
def without_its_daemon_the_journal_gets_priorities():
    process = subprocess.Popen([GEARBOX, "serve", "echo", "--listen", "127.0.0.1:0", "--log-format=journal",
                                "--log-socket=/nowhere/socket"], stderr=subprocess.PIPE)
    check(process.stderr.readline().startswith(b"<5>gearbox: serving echo on "), "no priority before the ready line")
    process.terminate()
    check_equal(process.wait(PATIENCE_S), 0, "exit code")
    check(all(re.match(rb"<[0-7]>gearbox: ", line) for line in process.stderr), "a line without priority")
    process.stderr.close()


def goes_to_a_daemon(log_format, ready, closed, model):
    """All of it, the ready line and what worker processes say included."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(f"{folder}/socket")
        daemon.settimeout(PATIENCE_S)
        process = subprocess.Popen([GEARBOX, "serve", "echo", "--listen", "127.0.0.1:0", f"--log-format={log_format}",
                                    f"--log-socket={folder}/socket", "--log-level=info", "--model", model],
                                   stderr=subprocess.PIPE)
        line = daemon.recv(4096).decode()
        port = re.search(r"serving echo on 127\.0\.0\.1:(\d+) \(model", line)
        check(re.search(ready, line) and port, f"the ready line is {line!r}")
        with socket.create_connection(("127.0.0.1", int(port[1]))) as client:
            round_trip(client)
        line = daemon.recv(4096).decode()
        check(re.search(closed, line), f"of the connection it says {line!r}")
        process.terminate()
        check_equal((process.wait(PATIENCE_S), process.stderr.read()), (0, b""), "exit code and standard error")
        process.stderr.close()


for each in ("reactor", "prefork-reactor", "fork"):
    add_case(f"goes_to_syslogs_daemon[{each}]", goes_to_a_daemon, "syslog", r"^<29>\w{3} [ \d]\d [\d:]{8} gearbox\[\d+\]: serving",
             r"^<30>.* gearbox\[\d+\]: connection from .*eof", each)
    add_case(f"goes_to_the_journals_daemon[{each}]", goes_to_a_daemon, "journal", r"(?m)^PRIORITY=5$",
             r"(?m)^PRIORITY=6\n(.*\n)*GEARBOX_PEER=127\.0\.0\.1:\d+\nGEARBOX_SERVICE=echo\nGEARBOX_REASON=eof\nMESSAGE=", each)


@case_for_each(PRESETS)
def a_signal_asks_for_the_counters(model):
    with Server(*model.arguments) as server:
        answered(server)
        for _ in range(2):
            server.send_signal(signal.SIGUSR1)
            counters = json.loads(read_notice(server, "^{"))
            check_equal(counters["accepted"], 1, "accepted, as the signal has it")


@case_for_each(PRESETS if not SMALL else [])
def a_worker_process_takes_no_notice_of_it(model):
    """All processes of that name are sent it, as killall does."""
    if not model.processes or model.per_connection:
        return
    with Server(*model.arguments) as server:
        before = server.processes()
        for pid in before[1:]:
            os.kill(pid, signal.SIGUSR1)
        answered(server)
        check_equal(server.processes(), before, "processes")


@case
def a_hostile_name_of_a_peer_stays_one_line():
    path = f"/tmp/gearbox-process-test-{os.getpid()}"
    name = f"{path}-client\ngearbox: error: forged"
    try:
        with Server("--max-connections", "1", listen=(f"unix:{path}",)) as server:
            with server.connect() as first, socket.socket(socket.AF_UNIX) as second:
                round_trip(first)
                second.bind(name)
                second.connect(path)
                line = read_notice(server, "over_limit")
                check("-client\\x0agearbox: error: forged" in line, line)
    finally:
        os.unlink(name)


@case_for_each(EACH_ENGINE)
def a_killed_server_is_started_again_at_once(model):
    """As a supervisor does it."""
    server = Server(*model.arguments)
    address = server.address
    answered(server)
    for _ in range(5):
        server.kill()
        server = Server(*model.arguments, listen=(address,))
        check_equal(server.address, address, "the address")
    with server:
        answered(server)


if __name__ == "__main__":
    main()
