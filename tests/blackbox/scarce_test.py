#!/usr/bin/env python3
"""Few descriptors: every model serves with what there is, and says how many connections that allows."""

import re
import resource
import signal
import socket
import subprocess

from lib import GEARBOX, PATIENCE_S, READY, case, case_for_each, check, check_equal, check_refusal, main, \
    receive_exactly, run
from models import MODELS

DESCRIPTORS = 64
WARNING = re.compile(r": warning: at most (\d+) connections?: a process may have no more than (\d+) descriptors")


def few(number):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


@case_for_each(MODELS)
def serves_with_few_descriptors(model):
    arguments = [GEARBOX, "serve", "echo", "--listen", "127.0.0.1:0", "--log-level", "warning",
                 *model.with_workers(2)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, preexec_fn=few(DESCRIPTORS)) as server:
        try:
            warning, line = server.stderr.readline(), server.stderr.readline()
            told, ready = WARNING.search(warning), READY.match(line.rstrip("\n"))
            check(told and ready, f"a warning, then the ready line: {warning!r}, {line!r}")
            check_equal(int(told[2]), DESCRIPTORS, "descriptors")
            host, port = ready["where"].rsplit(":", 1)
            together = 1 if model.one_at_a_time else min(int(told[1]), 40)
            check(int(told[1]) >= 10, f"few connections: {warning!r}")
            clients = [socket.create_connection((host, int(port)), timeout=PATIENCE_S) for _ in range(together)]
            for client in clients:
                client.sendall(b"scarce\n")
                check_equal(receive_exactly(client, 7), b"scarce\n", "the answer")
            for client in clients:
                client.close()
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.stderr.read()
        check_equal((server.wait(PATIENCE_S), rest), (0, ""), "exit code and standard error")


@case
def many_workers_are_refused_with_what_would_be_right():
    done = run("serve", "echo", "--listen", "127.0.0.1:0", "--model", "multi-reactor,workers=40",
               before_exec=few(DESCRIPTORS))
    check_refusal(done, 1, "40 workers need", f"a process may have {DESCRIPTORS}", "take fewer workers", "ulimit -Hn")


@case
def one_worker_is_refused_where_it_has_none():
    done = run("serve", "echo", "--listen", "127.0.0.1:0", "--model", "reactor", before_exec=few(9))
    check_refusal(done, 1, "1 worker needs", "a process may have 9", "ulimit -Hn")
    check("fewer" not in done.stderr, f"there are no fewer than one: {done.stderr!r}")


if __name__ == "__main__":
    main()
