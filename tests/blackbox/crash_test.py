#!/usr/bin/env python3
"""Processes that are killed: a worker is replaced, the others' connections stay; nobody outlives the parent."""

import os
import signal

from client import answered, ending, round_trip
from lib import Server, backlog, case_for_each, check, check_equal, children, descendants, ended, holders, main, owner, \
    wait_until
from models import MODELS, PRESETS

PROCESSES = [model for model in MODELS if model.processes]
POOLS = [model for model in PROCESSES if not model.per_connection]
CROWD = 1000  # more than a channel to worker processes holds
# The second is said when it is killed before it could tell of its start.
REPORTS = r"^gearbox: .*worker [0-9]+ (ended unexpectedly|cannot be started again: a worker process ended before)"


@case_for_each(PROCESSES, waits=True)
def a_connection_is_in_one_process_alone(model):
    """Also after a worker was replaced while others had theirs: a copy elsewhere would keep it open."""
    with Server(*(model.serving(3) if model.one_at_a_time else model.arguments)) as server:
        server.expected_log = REPORTS
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            round_trip(client)
        before = children(server.pid)
        workers = [owner(client, before) for client in clients]
        victim = workers[0]
        os.kill(victim, signal.SIGKILL)
        ending(clients[0])
        if not model.per_connection:
            wait_until(lambda: victim not in (now := children(server.pid)) and len(now) == len(before),
                       "the worker is replaced")
        clients = [client for client, worker in zip(clients, workers) if worker != victim] + [server.connect()]
        for client in clients:
            round_trip(client)
            # The acceptor may close its copy after the worker has answered.
            wait_until(lambda: len(holders(client, [server.pid, *children(server.pid)])) == 1, "one process has it")
            client.close()  # or the server would wait for our FIN at its end


@case_for_each(PROCESSES, waits=True)
def no_worker_outlives_its_parent(model):
    server = Server(*model.arguments)
    client = server.connect()
    try:
        round_trip(client)
        workers = descendants(server.pid)
        check(workers, "there is no worker process")
        os.kill(server.pid, signal.SIGKILL)
        check_equal(server.wait(), -signal.SIGKILL, "exit code")
        # They are adopted by this process, and ended when only their exit code is left.
        wait_until(lambda: all(ended(pid) for pid in workers), "the workers end")
        ending(client)
    finally:
        server.kill()
        client.close()


def one_worker_goes(model, number, expected_ending):
    """End one of three workers by a signal; the clients of the others must not notice."""
    arguments = model.serving(3) if model.one_at_a_time else model.arguments
    with Server(*arguments) as server:
        server.expected_log = REPORTS
        before = children(server.pid)
        clients = [server.connect() for _ in range(3 if model.one_at_a_time else 8)]
        for client in clients:
            round_trip(client)
        workers = {client: owner(client, before) for client in clients}
        victim = workers[clients[0]]
        os.kill(victim, number)
        for client in clients:
            if workers[client] == victim:
                check_equal(ending(client) in expected_ending, True, f"whether it ends as {expected_ending}")
                client.close()  # it waits for our FIN
        wait_until(lambda: victim not in children(server.pid) and len(children(server.pid)) == len(before),
                   "the worker is replaced")
        for client in clients:
            if workers[client] != victim:
                round_trip(client)
            client.close()
        check_equal(len(set(children(server.pid)) & set(before)), len(before) - 1, "number of workers that stayed")
        for _ in range(2 * len(before)):
            answered(server)


@case_for_each(POOLS, waits=True)
def a_killed_worker_is_replaced(model):
    one_worker_goes(model, signal.SIGKILL, ("FIN", "reset"))


@case_for_each(POOLS, waits=True)
def a_worker_told_to_end_drains_and_is_replaced(model):
    one_worker_goes(model, signal.SIGTERM, ("FIN",))


@case_for_each([model for model in PROCESSES if model.per_connection], waits=True)
def a_killed_process_costs_its_connection_alone(model):
    with Server(*model.arguments) as server:
        server.expected_log = REPORTS
        with server.connect() as one, server.connect() as other:
            round_trip(one)
            round_trip(other)
            os.kill(owner(one, children(server.pid)), signal.SIGKILL)
            ending(one)
            round_trip(other)
            answered(server)


@case_for_each([model for model in POOLS if model in PRESETS], waits=True)
def killed_again_and_again(model):
    """As often as it starts; the back-off grows, and still the server ends in order."""
    with Server(*model.arguments) as server:
        server.expected_log = REPORTS
        for _ in range(3):
            before = children(server.pid)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(now := set(children(server.pid))) == len(before) and not now & set(before),
                       "all workers are replaced")
        answered(server)
        for pid in children(server.pid):
            os.kill(pid, signal.SIGKILL)


@case_for_each([model for model in POOLS if model.axes["accept"] == "acceptor" and model in PRESETS])
def the_last_worker_dies_while_the_server_drains(model):
    """Nobody will come for those who were accepted and wait: the server does not wait for its deadline."""
    with Server(*model.with_workers(1), "--drain-timeout", "1h", service="time-echo") as server:
        server.expected_log = REPORTS
        clients = [server.connect() for _ in range(CROWD)]
        for client in clients:
            client.sendall(b"begun")
        # The acceptor rests, since the channel is full, or has accepted all.
        wait_until(lambda: (was := backlog(server.port)) < CROWD - 100 and was == backlog(server.port), "it accepts")
        worker, = children(server.pid)
        os.kill(worker, signal.SIGSTOP)
        server.send_signal()
        os.kill(worker, signal.SIGKILL)
        check_equal(server.wait(), 0, "exit code")
        for client in clients:
            ending(client)
            client.close()


if __name__ == "__main__":
    main()
