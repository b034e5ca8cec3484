#!/usr/bin/env python3
"""`gearbox trace`: a server that runs is looked at, as text and as JSON."""

import json
import os
import signal
import socket
import subprocess
import threading

from lib import GEARBOX, HANDLERS, Server, case, check, check_equal, check_refusal, main, run, wait_until

MESSAGE = b"traced\n"
NANOSLEEP = {"230", "35", "115", "101"}  # clock_nanosleep and nanosleep, of x86-64 and of aarch64


class Talk:
    """A client that asks and asks, until the end of the block."""

    def __init__(self, server):
        self.address, self.over = (server.host, server.port), False
        self.thread = threading.Thread(target=self.talk)

    def talk(self):
        with socket.create_connection(self.address) as client:
            while not self.over:
                client.sendall(MESSAGE)
                client.recv(len(MESSAGE))

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *ignored):
        self.over = True
        self.thread.join()


@case
def stages_and_workers_are_shown():
    with Server("--model", "multi-reactor,workers=2") as server, Talk(server):
        arguments = ("trace", "--pid", str(server.process.pid), "--every", "1")
        done = run(*arguments, "--duration", "1s", "--json")
        check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
        answer = json.loads(done.stdout)
        text = run(*arguments, "--duration", "100ms")
    check_equal(answer["process"], server.process.pid, "process")
    check("engine=epoll" in answer["model"], f"model: {answer['model']}")
    check(answer["messages"] > 0 and not answer["interrupted"] and not answer["ended"], f"{answer}")
    check_equal(list(answer["stages"]), ["accept", "queue", "run", "output"], "stages")
    for name in ("queue", "run", "output"):
        stage = answer["stages"][name]
        check(stage["count"] > 0, f"{name} was timed: {stage}")
        check(stage["p50_ns"] <= stage["p99_ns"] <= stage["max_ns"], f"{name}: {stage}")
    check_equal(round(sum(answer["stages"][name]["share"] for name in ("queue", "run", "output")), 6), 1, "shares")
    check_equal(sum(worker["messages"] for worker in answer["workers"]), answer["messages"], "of all workers")
    check_equal(sum(worker["connections"] for worker in answer["workers"]), 1, "connections")
    check(any(worker["compute_share"] is not None for worker in answer["workers"]), "compute share")
    check_equal(text.returncode, 0, "exit code")
    check(all(name in text.stdout for name in ("stage", "accept", "queue", "run", "output", "worker")), text.stdout)


@case
def an_interrupted_trace_shows_what_it_has():
    with Server("--model", "reactor") as server:
        trace = subprocess.Popen([GEARBOX, "trace", "--pid", str(server.process.pid), "--duration", "1h", "--json"],
                                 stdout=subprocess.PIPE)
        with Talk(server):
            await_sleep(trace)
        trace.send_signal(signal.SIGINT)
        answer = json.loads(trace.communicate()[0])
    check_equal(trace.returncode, 0, "exit code")
    check(answer["interrupted"], f"{answer}")


def await_sleep(trace):
    """It looks, and rests in between: what it would do first has been done."""
    def asleep():
        with open(f"/proc/{trace.pid}/syscall", encoding="ascii") as file:
            return file.read().split()[0] in NANOSLEEP
    wait_until(asleep, "the trace looks")


@case
def handlers_that_hold_their_loop_are_counted():
    """Each message is answered once it is reported that it holds the loop."""
    with Server("--model", "reactor", "--stall-limit", "50ms", service="stalling", program=HANDLERS,
                expected_log=": warning: worker 0: ") as server:
        trace = subprocess.Popen([GEARBOX, "trace", "--pid", str(server.pid), "--duration", "1h", "--json"],
                                 stdout=subprocess.PIPE)
        await_sleep(trace)
        with server.connect() as client:
            client.sendall(MESSAGE)
            check_equal(client.recv(len(MESSAGE)), MESSAGE, "the answer")
        trace.send_signal(signal.SIGINT)
        answer = json.loads(trace.communicate()[0])
    check(answer["stalls"] >= 1, f"{answer}")
    check_equal(sum(worker["stalls"] for worker in answer["workers"]), answer["stalls"], "of all workers")


@case
def a_server_that_ends_is_told():
    with Server("--model", "prefork-reactor,workers=2") as server:
        trace = subprocess.Popen([GEARBOX, "trace", "--pid", str(server.process.pid), "--duration", "1h"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        await_sleep(trace)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait()
        output, errors = trace.communicate()
    check_equal(trace.returncode, 1, "exit code")
    check("the server ended after" in errors, errors)
    check("stage" in output, output)


@case
def what_cannot_be_traced_is_refused():
    check_refusal(run("trace"), 2, "--pid PID")
    check_refusal(run("trace", "--pid", "0"), 2, "pid")
    check_refusal(run("trace", "--pid", str(os.getpid())), 1, "has no gearbox server")
    with Server("--model", "reactor") as server:
        check_refusal(run("trace", "--pid", str(server.process.pid), "--server", "1"), 1, "has only 1 gearbox server")


if __name__ == "__main__":
    main()
