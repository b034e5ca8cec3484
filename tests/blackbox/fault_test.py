#!/usr/bin/env python3
"""What the kernel refuses while a server accepts: it neither spins nor loses a client.

strace injects errors into accept4; io_uring is out of its reach, since it makes no such system call.
"""

import re
import resource
import shutil
import time

from client import Talk, answered, converse, round_trip
from lib import Failure, Server, add_case, case, case_for_each, check, check_equal, cpu_seconds, descriptors, main, \
    threads, wait_until
from models import MODELS, PRESETS

STRACE = shutil.which("strace")
CLIENTS = 20
OVER_FD_SETSIZE = 1100
FD_SETSIZE = 1024
WATCHED_S = 0.5
CPU_SHARE_MAX = 0.10
EXHAUSTED = "^gearbox: .*(accepting rests|connection was refused|has no descriptor for a connection)"

WAITS_FAILED = 20
WAIT_FAILED = "^gearbox: error: worker [0-9]+ cannot wait for events: "

INJECTED = [model for model in PRESETS if not model.uses_io_uring]


def strace(*options):
    # -D: the tracer stands aside, so that the server is this process's child.
    return (STRACE, "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=accept4", *options)


def all_are_answered(server):
    converse(server, [Talk([data], data) for data in (b"%d" % number for number in range(CLIENTS))])


def accept_fails_now_and_then(model, error):
    """Every third attempt: the clients do not notice, and nothing is reported."""
    with Server(*model.arguments, prefix=strace("-e", f"inject=accept4:error={error}:when=1+3")) as server:
        all_are_answered(server)


for served in INJECTED:
    for name in ("ECONNABORTED", "EINTR", "EPROTO", "EPERM"):
        add_case(f"accept_fails_now_and_then_with_{name}[{served}]", accept_fails_now_and_then, served, name,
                 waits=True)


@case_for_each(INJECTED, waits=True)
def descriptors_run_out_of_the_machine(model):
    """ENFILE for the first attempts of each thread; then the clients that waited are answered."""
    with Server(*model.arguments, prefix=strace("-e", "inject=accept4:error=ENFILE:when=1..3"), expected_log=EXHAUSTED) as server:
        all_are_answered(server)


@case_for_each([model for model in PRESETS if model.axes["engine"] == "epoll"], waits=True)
def waiting_fails_for_some_time(model):
    """It is told, not each time; then the clients that waited are answered."""
    failing = strace("-e", "trace=epoll_wait,epoll_pwait",
                     "-e", f"inject=epoll_wait,epoll_pwait:error=ENOMEM:when=2..{WAITS_FAILED}")
    with Server(*model.arguments, prefix=failing, expected_log=WAIT_FAILED) as server:  # workers wait before it is ready
        all_are_answered(server)
        processes, tasks = server.processes(), sum(threads(pid) for pid in server.processes())
    lines = [line for line in server.log if re.search(WAIT_FAILED, line)]
    check(1 <= len(lines) < tasks * WAITS_FAILED // 2, f"{len(lines)} lines of {len(processes)} processes: {server.log}")


def take_descriptors_away(pids):
    """No process gets another one: the limit is the lowest number that is free. Returns what to give back."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid in pids:
        taken = descriptors(pid)
        lowest = next(number for number in range(len(taken) + 1) if number not in taken)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[pid][1]))
    return before


@case_for_each(MODELS, waits=True)
def descriptors_run_out_of_the_process(model):
    """EMFILE until the limit is raised: no spin meanwhile, those served stay served, who waits is answered."""
    arguments = model.serving(2)
    with Server(*(arguments or model.arguments)) as server:
        server.expected_log = EXHAUSTED
        server.rest()
        stays = server.connect() if arguments else None
        if stays:
            round_trip(stays)
        pids = server.processes()
        before = take_descriptors_away(pids)
        waiting = [server.connect() for _ in range(CLIENTS)]
        for client in waiting:
            client.sendall(b"waiting\n")
        began, used = time.monotonic(), cpu_seconds(pids)
        time.sleep(WATCHED_S)  # not waiting for anything: a share of a CPU is one of some time
        took, used = time.monotonic() - began, cpu_seconds(pids) - used
        check(model.polls_busily or used < CPU_SHARE_MAX * took, f"{used:.3f} s of CPU in {took:.3f} s")
        if stays:
            round_trip(stays)
        # The one who stayed stays until then: the descriptors of a worker that ends come one by one, the first of
        # them would let a client in for whose worker there are not enough.
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        if stays:
            stays.close()
        refused = 0
        for client in waiting:
            try:
                check_equal(client.recv(100), b"waiting\n", "the answer to a client that waited")
            except (Failure, ConnectionResetError):
                refused += 1
            client.close()
        # Who accepts and hands over may hold a connection when the worker's process has no descriptor for it.
        check(not refused or model.processes and model.axes["accept"] == "acceptor",
              f"{refused} of {CLIENTS} clients that waited were not answered")
        answered(server)


@case_for_each([model for model in MODELS if model.axes["accept"] != "reuseport" and not model.uses_io_uring], waits=True)
def a_drain_does_not_wait_for_descriptors_that_nobody_gives_back(model):
    """Who waits in the backlog is taken in by a drain; without descriptors it ends all the same, long before its time."""
    with Server(*model.arguments, "--drain-timeout", "1h") as server:
        server.expected_log = EXHAUSTED + "|notice|draining"
        server.rest()
        take_descriptors_away(server.processes())
        with server.connect() as client:
            client.sendall(b"waiting\n")
            while not re.search(EXHAUSTED, line := server.read_line() or "the end"):
                check(line != "the end", "the server ended without a word")
            server.send_signal()
            check_equal(server.wait(), 0, "exit code")


@case_for_each([model for model in MODELS if model.axes["engine"] == "select"])
def connections_beyond_fd_setsize_are_closed(model):
    """select cannot watch them; the others are served, and new ones when there is room again."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Server(*model.arguments) as server:
        clients = [server.connect() for _ in range(OVER_FD_SETSIZE)]
        served = 0
        for client in clients:
            try:
                client.sendall(b"x")
                served += client.recv(1) == b"x"
            except (ConnectionResetError, BrokenPipeError):
                pass
        if model.processes:
            check(served >= FD_SETSIZE - 50, f"only {served} were served")
        else:
            check(FD_SETSIZE - 50 <= served < FD_SETSIZE, f"{served} were served")
        round_trip(clients[0])
        for client in clients:
            client.close()
        wait_until(lambda: all(len(descriptors(pid)) < 50 for pid in server.processes()), "all are closed")
        answered(server)


@case
def strace_is_here():
    check(STRACE, "strace is not installed")


if __name__ == "__main__":
    main()
