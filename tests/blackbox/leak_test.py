#!/usr/bin/env python3
"""After thousands of connections a server holds what it held before, and after its end nothing is left."""

import glob
import json
import os
import socket
import tempfile

from client import answered
from lib import CASE_SECONDS_MAX, HOST, Server, SMALL, case_for_each, check, check_equal, main, run, wait_until
from models import MODELS, PRESETS

CONNECTIONS = 1000 if SMALL else 10000
CONNECTIONS_OVERRIDES = 200 if SMALL else 1000
WARM_UP = 200
PARALLEL = 20


def connect_echo_close(server, connections):
    done = run("load", server.address, "--reconnect", "--messages-per-connection", "1", "--messages",
               str(connections), "--connections", str(PARALLEL), "--json", "--quiet", seconds=CASE_SECONDS_MAX)
    check(done.returncode in (0, 3), f"exit code of load ({done.stderr!r})")  # 3: figures that nobody reads here
    result = json.loads(done.stdout)
    check(result["messages"] >= connections, f"only {result['messages']} messages of {connections} were answered")


def crew(holdings):
    """Processes, with the threads of each."""
    return [threads for threads, _ in holdings]


@case_for_each(MODELS)
def descriptors_threads_and_processes_after_many_connections(model):
    # A process for each connection takes as long as ten elsewhere.
    connections = CONNECTIONS if model in PRESETS and not (model.processes and model.per_connection) \
        else CONNECTIONS_OVERRIDES
    with Server(*model.settled) as server:
        bare = server.rest()
        connect_echo_close(server, WARM_UP)  # what is made when it is first needed, once, is no leak
        # A worker for each connection may end later than its client.
        before = wait_until(lambda: crew(now := server.rest()) == crew(bare) and now, "its workers are as before")
        connect_echo_close(server, connections)
        server.check_rest(before)


def shared_memory():
    """Segments, semaphores and queues of the two kinds of interprocess communication."""
    found = set(glob.glob("/dev/shm/*") + glob.glob("/dev/mqueue/*"))
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}", encoding="ascii") as file:
            found.update(f"{kind} {line}" for line in file.readlines()[1:])
    return found


@case_for_each(MODELS)
def nothing_after_the_end(model):
    """No file, no socket, no shared memory; lib.py looks for processes after each case."""
    shared = shared_memory()
    with tempfile.TemporaryDirectory() as folder:
        unix = [f"unix:{folder}/gearbox.sock"] if model.axes["accept"] != "reuseport" else []
        with Server(*model.arguments, listen=[f"{HOST}:0", *unix],
                    before_exec=lambda: os.chdir(folder)) as server:
            clients = [server.connect() for _ in range(3)]
            answered_port = server.port
            for client in clients:
                client.close()
            answered(server)
        check_equal(os.listdir(folder), [], "what is left in its folder")
    check_equal(shared_memory() - shared, set(), "shared memory left over")
    with socket.socket() as probe:
        check(probe.connect_ex((HOST, answered_port)) != 0, "somebody still listens")


if __name__ == "__main__":
    main()
