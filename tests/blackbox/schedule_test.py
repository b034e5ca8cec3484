#!/usr/bin/env python3
"""Where and when threads run: affinity, polling before sleeping, an acceptor that does not take its workers' CPU."""

import os
import signal
import time

from client import round_trip
from lib import Server, case_for_each, check_equal, children, cpu_seconds, main, tasks, wait_until
from models import EACH_ENGINE, MODELS

CLIENTS = 3
CPUS = sorted(os.sched_getaffinity(0))
STILL_S = 0.05
POLLED_S = 0.02  # of CPU, many times what a message takes


def is_courteous(task):
    return os.sched_getscheduler(task) == os.SCHED_BATCH


def gives_to_loops(model):
    return model.axes["accept"] == "acceptor" and model.axes["engine"] != "blocking"


def others(server):
    """All threads of all processes but the main one, which accepts or supervises."""
    return [task for process in server.processes() for task in tasks(process) if task != server.pid]


@case_for_each(MODELS)
def who_gives_to_event_loops_waits_for_a_cpu(model):
    with Server(*model.serving(CLIENTS)) if model.serving(CLIENTS) else Server(*model.arguments) as server:
        clients = [server.connect() for _ in range(CLIENTS if model.serving(CLIENTS) else 1)]
        for client in clients:
            round_trip(client)
        # The thread becomes so when all is ready, which it says before.
        wait_until(lambda: is_courteous(server.pid) == gives_to_loops(model), "the main thread's policy")
        check_equal([task for task in others(server) if is_courteous(task)], [], "threads that are not the acceptor's")
        for client in clients:
            client.close()


@case_for_each([model for model in MODELS if model.processes and gives_to_loops(model)])
def a_worker_that_replaces_another_does_not(model):
    with Server(*model.arguments) as server:
        server.expected_log = r"^gearbox: .*worker [0-9]+ ended unexpectedly"
        wait_until(lambda: is_courteous(server.pid), "the acceptor's policy")
        before = children(server.pid)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: before[0] not in (now := children(server.pid)) and len(now) == len(before),
                   "the worker is replaced")
        check_equal([is_courteous(worker) for worker in children(server.pid)], [False] * len(before), "the workers")
        # It puts that off while it starts one, and may do so still.
        wait_until(lambda: is_courteous(server.pid), "the acceptor's policy afterwards")


@case_for_each([model for model in MODELS if model.processes and gives_to_loops(model)])
def a_policy_that_somebody_else_gives_it_stays(model):
    """chrt(1), at any time. Workers that are started again look at it."""
    with Server(*model.arguments) as server:
        server.expected_log = r"^gearbox: .*worker [0-9]+ ended unexpectedly"
        wait_until(lambda: is_courteous(server.pid), "the acceptor's policy")
        os.sched_setscheduler(server.pid, os.SCHED_IDLE, os.sched_param(0))
        before = children(server.pid)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: before[0] not in (now := children(server.pid)) and len(now) == len(before),
                   "the worker is replaced")
        check_equal(os.sched_getscheduler(server.pid), os.SCHED_IDLE, "the acceptor's policy")


def placed(server):
    """The CPUs of those threads that have one only, which workers and nobody else have."""
    return sorted(min(cpus) for task in [server.pid, *others(server)] if len(cpus := os.sched_getaffinity(task)) == 1)


@case_for_each(MODELS)
def each_worker_has_a_cpu_in_turn(model):
    arguments = model.with_workers(CLIENTS)
    with Server(*arguments, "--affinity", "auto") as server:
        clients = [server.connect() for _ in range(CLIENTS if model.per_connection else 1)]
        for client in clients:
            round_trip(client)
        if len(CPUS) > 1:
            workers = 1 if model.axes["workers"] == "1" else CLIENTS
            wait_until(lambda: placed(server) == sorted(CPUS[i % len(CPUS)] for i in range(workers)),
                       "each worker has its CPU")
        for client in clients:
            client.close()


@case_for_each(MODELS)
def a_list_says_which_cpus(model):
    last = CPUS[-1]
    with Server(*model.with_workers(CLIENTS), "--affinity", f"{last}-{last}") as server:
        client = server.connect()
        round_trip(client)
        if len(CPUS) > 1:
            check_equal(set(placed(server)), {last}, "the CPUs of workers")
        client.close()


@case_for_each(EACH_ENGINE, waits=True)
def who_polls_before_sleeping_still_sleeps_and_ends(model):
    """What other threads have for a worker must reach it while it polls, and it must not poll for ever."""
    with Server(*model.arguments, "--busy-poll", "300000") as server:
        for _ in range(CLIENTS):
            with server.connect() as client:
                round_trip(client)

        def still():
            before = cpu_seconds(server.processes())
            time.sleep(STILL_S)
            return cpu_seconds(server.processes()) - before < STILL_S / 5

        if not model.polls_busily:
            wait_until(still, "nobody polls any more")
        with server.connect() as client:
            round_trip(client)


@case_for_each([model for model in EACH_ENGINE if not model.polls_busily], waits=True)
def who_polls_before_sleeping_works_while_nothing_happens(model):
    with Server(*model.arguments, "--busy-poll", "1000000") as server, server.connect() as client:
        def polls():
            """For a second after a message, in which it may get little of a CPU that others have as well."""
            round_trip(client)
            before, asked = cpu_seconds(server.processes()), time.monotonic()
            while time.monotonic() - asked < 1:
                if cpu_seconds(server.processes()) - before > POLLED_S:
                    return True
                time.sleep(0.01)
            return False
        wait_until(polls, "it polls")


if __name__ == "__main__":
    main()
