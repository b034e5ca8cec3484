#!/usr/bin/env python3
"""SIGTERM and SIGINT: what a client had begun is answered, then comes the FIN, and the server exits with 0."""

import os
import signal
import socket
import struct
import time

from client import answered, ending, round_trip
from lib import PATIENCE_S, SMALL, Failure, Server, add_case, case_for_each, check, check_equal, holders, listens, main, receive_all, \
    receive_exactly, wait_until
from models import EACH_ENGINE, MODELS, PRESETS

CLOCK = ("--set", "clock=1492689600")
STAMP = b"[Thu Apr 20 12:00:00 2017] "
GREETING = b"hello\n"
LINE = b"a drained line\n"
IN_BACKLOG = 200
CROWD = 300 if SMALL else 1500
LONG = ("--drain-timeout", "1h")


def time_echo(arguments, *more):
    return Server(*arguments, *CLOCK, *LONG, *more, service="time-echo")


def served_client(server):
    """A client that has been answered: it is with a worker."""
    client = server.connect()
    round_trip(client, GREETING, STAMP + GREETING)
    return client


def wait_for_drain(server):
    """Until the server has acted upon the signal: nobody listens any more."""
    wait_until(lambda: not listens(server.port), "nobody listens any more")


def check_drained(clients, cuts):
    """Clients that sent LINE up to a cut before the signal send the rest, and are answered."""
    for client, cut in zip(clients, cuts):
        try:
            client.sendall(LINE[cut:])
            got = receive_all(client)
        except OSError as error:
            raise Failure(f"cut at {cut}: {error.strerror}") from None
        check_equal(got, STAMP + LINE, f"what the client got whose line was cut at {cut}")
        client.close()


def drain_with(model, arguments, cuts):
    with time_echo(arguments) as server:
        clients = [served_client(server) for _ in cuts]
        for client, cut in zip(clients, cuts):
            client.sendall(LINE[:cut])
        server.send_signal()
        wait_for_drain(server)
        check_drained(clients, cuts)
        check_equal(server.wait(), 0, "exit code")


@case_for_each(MODELS, waits=True)
def a_line_cut_at_each_byte(model):
    cuts = range(1, len(LINE))
    arguments = model.serving(len(cuts))
    if arguments:
        drain_with(model, arguments, cuts)
        return
    for cut in cuts:
        drain_with(model, model.arguments, [cut])


@case_for_each(MODELS, waits=True)
def idle_connections_end_at_once(model):
    """Although another one still has to finish."""
    arguments = model.serving(3)
    with time_echo(arguments or model.arguments) as server:
        if arguments:
            idle = [served_client(server), served_client(server)]
            busy = served_client(server)
            busy.sendall(LINE[:4])
        else:
            idle = [served_client(server)]
        server.send_signal()
        for client in idle:
            check_equal(client.recv(1), b"", "what an idle client gets")
            client.close()
        if arguments:
            check_drained([busy], [4])
        check_equal(server.wait(), 0, "exit code")


@case_for_each(MODELS, waits=True)
def answers_pending_are_delivered(model):
    """The client reads slowly; the server waits for it."""
    lines = b"x" * 999 + b"\n"
    with time_echo(model.arguments, "--sndbuf", "16KiB", "--rcvbuf", "16KiB") as server:
        client = server.connect_small(4096)
        client.sendall(lines * 100)
        first = receive_exactly(client, 1)
        server.send_signal()
        wait_for_drain(server)
        client.shutdown(socket.SHUT_WR)
        got = first + receive_all(client)
        # What had not reached the server when the signal came need not be answered; what is answered is whole.
        whole, rest = divmod(len(got), len(STAMP + lines))
        check_equal(rest, 0, "bytes of a cut answer")
        check(whole and got == (STAMP + lines) * whole, "the answers differ")
        client.close()
        check_equal(server.wait(), 0, "exit code")


@case_for_each(MODELS, waits=True)
def who_is_in_the_backlog_is_answered(model):
    """Requests sent before the signal, by clients that nobody has looked at yet."""
    with time_echo(model.arguments) as server:
        server.expected_log = "connections wait for one of"  # where the machine is slow to bring the signal
        clients = [server.connect() for _ in range(IN_BACKLOG)]
        for client in clients:
            client.sendall(LINE)
        server.send_signal()
        for number, client in enumerate(clients):
            try:
                check_equal(receive_all(client), STAMP + LINE, f"what client {number} of {IN_BACKLOG} got")
            except ConnectionResetError:
                raise Failure(f"client {number} of {IN_BACKLOG} was reset") from None
            client.close()
        check_equal(server.wait(), 0, "exit code")


def ends_without_clients(model, number):
    with time_echo(model.arguments) as server:
        answered(server, GREETING, STAMP + GREETING)
        check_equal(server.stop(number), 0, "exit code")


for served in MODELS:
    add_case(f"sigint_ends_it[{served}]", ends_without_clients, served, signal.SIGINT, waits=True)
    add_case(f"sigterm_ends_it[{served}]", ends_without_clients, served, signal.SIGTERM, waits=True)


@case_for_each(MODELS)
def sigint_to_the_whole_group_as_by_a_terminal(model):
    with Server(*model.arguments, *CLOCK, *LONG, service="time-echo", before_exec=os.setpgrp) as server:
        client = served_client(server)
        client.sendall(LINE[:5])
        os.killpg(server.pid, signal.SIGINT)
        wait_for_drain(server)
        check_drained([client], [5])
        check_equal(server.wait(), 0, "exit code")


@case_for_each(MODELS, waits=True)
def a_second_signal_ends_it_at_once(model):
    with time_echo(model.arguments) as server, served_client(server) as client:
        client.sendall(LINE[:5])
        server.send_signal()
        wait_for_drain(server)
        server.send_signal()
        ending(client)
        check_equal(server.wait(), 0, "exit code")  # its deadline is an hour away


@case_for_each(PRESETS, waits=True)
def the_drain_ends_at_its_deadline(model):
    with Server(*model.arguments, "--drain-timeout", "300ms", service="time-echo") as server:
        with served_client_of_any_time(server) as client:
            client.sendall(LINE[:5])
            began = time.monotonic()
            server.send_signal()
            ending(client)
            check(time.monotonic() - began >= 0.29, "the client was not given its time")
            check_equal(server.wait(), 0, "exit code")
        check(any("draining: cutting off 1 connection (1 amid a message): still there after 300ms" in line
                  for line in server.log), f"what was cut is not said: {server.log}")


@case_for_each(EACH_ENGINE, waits=True)
def a_drain_says_what_it_waits_for(model):
    with time_echo(model.arguments) as server, served_client(server) as client:
        client.sendall(LINE[:5])
        server.send_signal()
        while "draining: waiting for 1 connection (" not in (line := server.read_line() or "the end"):
            check(line != "the end", "the server ended without a word")
        check("(1 amid a message), for another " in line, f"it says {line!r}")
        check_drained([client], [5])
        check_equal(server.wait(), 0, "exit code")


def served_client_of_any_time(server):
    client = server.connect()
    client.sendall(GREETING)
    receive_exactly(client, len(STAMP + GREETING))
    return client


@case_for_each(PRESETS, waits=True)
def new_clients_are_refused_while_it_drains(model):
    with time_echo(model.arguments) as server, served_client(server) as client:
        client.sendall(LINE[:5])
        server.send_signal()
        wait_for_drain(server)
        with socket.socket() as late:
            # Somebody else may have the port by now.
            check(late.connect_ex((server.host, server.port)) != 0 or not holders(late, server.processes()),
                  "a client came in while the server drains")
        check_drained([client], [5])


@case_for_each(PRESETS, waits=True)
def signals_while_clients_come_and_go(model):
    """The signal meets every phase of accepting, handing over and closing."""
    for _ in range(5):
        with time_echo(model.arguments) as server:
            clients = []
            for number in range(30):
                client = server.connect_later()
                client.settimeout(PATIENCE_S)
                clients.append(client)
                try:
                    client.sendall(LINE)
                    if number % 3 == 0:
                        client.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it no longer listens
                if number == 15:
                    server.send_signal()
            for number, client in enumerate(clients):
                # Those before the signal are answered; those after it are answered or turned away.
                try:
                    got = receive_all(client)
                except OSError:
                    got = b""
                check(got in ((STAMP + LINE,) if number <= 15 else (STAMP + LINE, b"")),
                      f"client {number} got {got!r}")
                client.close()
            check_equal(server.wait(), 0, "exit code")


@case_for_each([model for model in MODELS if model.spec in ("process-pool", "thread-pool")])
def a_crowd_that_no_queue_holds_is_answered(model):
    """More clients wait than can be handed over; they get their turn while the served ones are drained."""
    with Server(*model.serving(2), *LONG) as server:
        idle = [server.connect() for _ in range(2)]
        for client in idle:
            round_trip(client)
        crowd = [server.connect() for _ in range(CROWD)]
        for client in crowd:
            client.sendall(LINE)
        server.send_signal()
        for client in (*idle, *crowd):
            check_equal(receive_all(client), b"" if client in idle else LINE, "what the client got")
            client.close()
        check_equal(server.wait(), 0, "exit code")


def sleeping(pid):
    """Whether a thread of the process sleeps as the handler does (clock_nanosleep)."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/syscall", encoding="ascii") as file:
            if file.read().split()[0] in ("230", "115"): # x86-64, arm64
                return True
    return False


def a_handler_that_does_not_return(spec, code, second_signal):
    request = struct.pack(">IIII", 12, 1, 0, 600_000_000)  # blocks for ten minutes
    drain = LONG if second_signal else ("--drain-timeout", "1s")
    with Server("--model", spec, "--set", "max-block=0", *drain, service="work") as server:
        server.expected_log = "may block|a handler did not return"
        server.expected_code = code
        with server.connect() as client:
            client.sendall(request)
            wait_until(lambda: any(sleeping(pid) for pid in server.processes()), "the handler blocks")
            server.send_signal()
            if second_signal:
                wait_for_drain(server)
                server.send_signal()
            check_equal(server.wait(), code, "exit code")


@case_for_each([model for model in PRESETS if model.spec in ("prefork", "thread")], waits=True)
def a_drain_says_that_a_worker_is_inside_a_handler(model):
    request = struct.pack(">IIII", 12, 1, 0, 600_000_000)
    with Server(*model.with_workers(2), "--set", "max-block=0", "--drain-timeout", "4s", service="work") as server:
        server.expected_log = "may block|a handler did not return|ended unexpectedly"
        server.expected_code = 0 if model.processes else 1
        with server.connect() as client:
            client.sendall(request)
            wait_until(lambda: any(sleeping(pid) for pid in server.processes()), "the handler blocks")
            server.send_signal()
            check_equal(server.wait(), server.expected_code, "exit code")
        check(any("draining: waiting for 1 connection (1 of workers inside a handler), for another " in line
                  for line in server.log), f"it says {server.log}")


add_case("a_thread_that_hangs_is_not_waited_for", a_handler_that_does_not_return, "reactor-pool", 1, False, waits=True)
add_case("a_thread_that_hangs_beyond_a_second_signal", a_handler_that_does_not_return, "reactor-pool", 1, True, waits=True)
add_case("a_process_that_hangs_is_killed", a_handler_that_does_not_return, "prefork", 0, False, waits=True)


if __name__ == "__main__":
    main()
