#!/usr/bin/env python3
"""Limits and deadlines: what a client may cost, and how long it may take."""

import errno
import os
import select
import signal
import socket
import time

from client import answered, ending, reset, round_trip
from lib import PATIENCE_S, Server, SMALL, case_for_each, check, check_equal, main, receive_all, receive_exactly, own_bytes, \
    timely, wait_until
from models import EACH_ENGINE, MODELS, PRESETS

CLOCK = ("--set", "clock=1492689600")
STAMP = b"[Thu Apr 20 12:00:00 2017] "
KIB, MIB = 1 << 10, 1 << 20
TICK_S = 0.05  # a deadline may be seen this much early by another clock
SLOW_READERS = 20
CROWD, CROWD_SERVED = 200, 20
REPLY = 150000
QUIET_MS = 100
OUTPUT_HIGH = 64 * KIB
FOR_EACH_READER = OUTPUT_HIGH + 128 * KIB  # one more answer, and the memory of a connection
NO_CONNECTION = 8 * MIB  # what else may grow, a sanitizer's shadow included
# A ring's buffers, and what one receive that goes on by itself may bring before it is cancelled.
FOR_EACH_RING = 16 * MIB
FOR_EACH_READER_OF_A_RING = 1 * MIB


def resident(server):
    return sum(own_bytes(pid) for pid in server.processes())


def error_of(client):
    """The error that the kernel keeps for a socket; asking takes it, as sending and receiving do. 0: none."""
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def send_until_cut(clients, quiet):
    """Send without reading until each client was cut off; call `quiet` when nobody takes any more.

    Returns the bytes sent and {client: errno it ended with}, 0 for a FIN. Whoever asks the socket first gets the
    error, so the sender keeps it: a reader that came later would see the end of input alone.
    """
    data, total, endings = b"unread line\n" * 5000, 0, {}
    poller = select.poll()
    for client in clients:
        client.setblocking(False)
        poller.register(client, select.POLLOUT | select.POLLRDHUP)
    by_number = {client.fileno(): client for client in clients}
    deadline = time.monotonic() + PATIENCE_S
    while len(endings) < len(clients):
        check(time.monotonic() < deadline, f"{len(clients) - len(endings)} clients that do not read stay connected")
        events = poller.poll(QUIET_MS)
        if not events:
            quiet()
        for number, bits in events:
            client = by_number[number]
            try:
                if bits & ~select.POLLOUT:
                    endings[client] = error_of(client)
                else:
                    total += client.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                endings[client] = error.errno
            if client in endings:
                poller.unregister(number)
    return total, endings


@case_for_each(MODELS, waits=True)
def slow_readers_are_bounded_then_closed(model):
    """Their output waits up to its watermark, their input stays with them; then the write timeout comes."""
    arguments = model.serving(SLOW_READERS)
    count = SLOW_READERS if arguments else 1
    with Server(*(arguments or model.arguments), "--output-high", f"{OUTPUT_HIGH}", "--output-low", "16KiB",
                "--sndbuf", "64KiB", "--rcvbuf", "64KiB", "--write-timeout", "1s") as server:
        clients = []
        for _ in range(count):
            client = server.connect_small(32 * KIB)
            round_trip(client)
            clients.append(client)
        before, most = resident(server), 0

        def look():
            nonlocal most
            most = max(most, resident(server))

        sent, endings = send_until_cut(clients, look)
        grown = most - before
        allowed = count * FOR_EACH_READER + NO_CONNECTION
        if model.uses_io_uring:
            allowed += len(os.sched_getaffinity(0)) * FOR_EACH_RING + count * FOR_EACH_READER_OF_A_RING
        # A sanitizer keeps what was freed.
        check(SMALL or grown < allowed, f"{grown >> 10} KiB more memory for {count} clients, {allowed >> 10} KiB expected")
        check(sent < count * 16 * MIB, f"{sent >> 10} KiB were taken from {count} clients that do not read")
        for client in clients:
            check_equal(endings[client], errno.ECONNRESET, "the errno with which a client that does not read ends")
            client.close()
        answered(server)


@case_for_each(EACH_ENGINE, waits=True)
def a_slow_reader_is_no_stuck_one(model):
    """In a write timeout it takes less than makes its socket writable again; it takes something all the same."""
    timeout_s = 1
    with Server(*model.arguments, "--write-timeout", f"{timeout_s}s", "--sndbuf", "1MiB", service="chargen") as server:
        def talk(in_time):
            with server.connect_small(8 * KIB) as client:
                for _ in range(35):
                    in_time()
                    check_equal(len(receive_exactly(client, 4 * KIB)), 4 * KIB, "bytes")
                    time.sleep(0.1)  # not waiting for anything: this client reads slowly
                reset(client)
        timely(timeout_s / 4, talk)


@case_for_each(PRESETS, waits=True)
def a_byte_at_a_time_does_not_move_the_read_deadline(model):
    """Slowloris: the deadline is that of the whole message. Others are answered meanwhile."""
    arguments = model.serving(2)
    with Server(*(arguments or model.arguments), *CLOCK, "--read-timeout", "600ms", service="time-echo") as server:
        with server.connect() as slow:
            round_trip(slow, b"hello\n", STAMP + b"hello\n")
            began = time.monotonic()
            slow.settimeout(0.05)
            got = None
            while got is None and time.monotonic() - began < 20:
                try:
                    slow.send(b"x")
                    if arguments:
                        answered(server, b"hello\n", STAMP + b"hello\n")
                    got = slow.recv(100)
                except TimeoutError:
                    pass
                except ConnectionError:
                    got = b""
            check_equal(got, b"", "what the slow client gets at its deadline")
            check(time.monotonic() - began >= 0.6 - TICK_S, "it was closed before its deadline")


@case_for_each(EACH_ENGINE, waits=True)
def messages_in_time_move_the_read_deadline(model):
    with Server(*model.arguments, *CLOCK, "--read-timeout", "2s", service="time-echo") as server:
        def talk(in_time):
            client = server.connect()
            for _ in range(3):
                in_time()
                client.sendall(b"begun, ")
                time.sleep(0.7)  # not waiting for anything: this client is slow, but not too slow
                round_trip(client, b"done\n", STAMP + b"begun, done\n")
            return client

        with timely(2, talk) as client:
            time.sleep(2.1)  # no message is begun, so none is late
            round_trip(client, b"again\n", STAMP + b"again\n")


@case_for_each(PRESETS, waits=True)
def idle_connections_are_closed(model):
    with Server(*model.arguments, "--idle-timeout", "400ms") as server:
        with server.connect() as client:
            began = time.monotonic()  # before what it says last: this client may be late to see the answer
            round_trip(client)
            check_equal(client.recv(1), b"", "what an idle client gets")
            check(time.monotonic() - began >= 0.4 - TICK_S, "it was closed before its deadline")


@case_for_each(EACH_ENGINE, waits=True)
def slow_clients_are_not_idle(model):
    with Server(*model.arguments, "--idle-timeout", "2s") as server:
        def talk(in_time):
            with server.connect() as client:
                for _ in range(3):
                    in_time()
                    time.sleep(0.7)  # not waiting for anything: this client is slow, but not idle
                    round_trip(client)
        timely(2, talk)


@case_for_each(EACH_ENGINE, waits=True)
def a_reply_is_whole_although_its_client_sends_on_before_it_reads(model):
    """What still comes extends the lingering: the reply lies in the kernel, and a reset would take it away."""
    linger_ms = 400
    with Server(*model.arguments, "--linger-timeout", f"{linger_ms}ms", "--sndbuf", "1MiB", "--set", f"bytes={REPLY}",
                service="chargen") as server:
        def talk(in_time):
            with server.connect_small(16 * KIB) as client:
                for _ in range(10):
                    in_time()
                    client.sendall(b"u" * 2000)
                    time.sleep(0.12)  # not waiting for anything: this client uploads slowly
                in_time()
                client.shutdown(socket.SHUT_WR)
                check_equal(len(receive_all(client)), REPLY, "bytes of the reply")
        timely(linger_ms / 1000, talk)


@case_for_each(MODELS)
def a_message_beyond_the_maximum_closes(model):
    """What came before is answered, then comes a FIN; what grows without an end is not kept."""
    largest = b"x" * 100
    with Server(*model.arguments, *CLOCK, "--max-message", "100", service="time-echo") as server:
        with server.connect() as client:
            round_trip(client, largest + b"\r\n", STAMP + largest + b"\n")
        for end in (b"\n", b"\r\n", b""):
            with server.connect() as client:
                client.sendall(b"before\n" + largest + b"x" + end)
                check_equal(receive_all(client), STAMP + b"before\n", "what the client got")
        before = resident(server)
        with server.connect() as client:
            try:
                for _ in range(100):
                    client.sendall(b"y" * MIB)
            except OSError:
                pass  # the server does not listen to this for ever
            check(SMALL or resident(server) - before < NO_CONNECTION, "the server keeps what is too large")
            reset(client)
        answered(server, b"alive\n", STAMP + b"alive\n")


@case_for_each(MODELS)
def connections_beyond_the_maximum_are_closed(model):
    arguments = model.serving(4)
    if not arguments:
        return  # the second one waits in the backlog
    with Server(*arguments, "--max-connections", "2") as server:
        first, second = server.connect(), server.connect()
        round_trip(first)
        round_trip(second)
        for _ in range(3):
            with server.connect() as surplus:
                check_equal(surplus.recv(1) if ending_is_fin(surplus) else b"", b"", "what a surplus client gets")
        round_trip(first)
        round_trip(second)
        first.close()

        def room():
            with server.connect() as client:
                try:
                    client.sendall(b"room?")
                    return receive_exactly(client, 5) == b"room?"
                except ConnectionError:
                    return False
        wait_until(room, "a client is served in the place of one that went")
        round_trip(second)
        second.close()


def ending_is_fin(client):
    return ending(client) == "FIN"


@case_for_each([model for model in PRESETS if not model.one_at_a_time])
def a_crowd_does_not_pass_the_maximum(model):
    """All of it is in the backlog when the workers come to look."""
    with Server(*model.with_workers(8), "--max-connections", f"{CROWD_SERVED}") as server:
        halted = server.processes()
        for pid in halted:
            os.kill(pid, signal.SIGSTOP)
        clients = [server.connect() for _ in range(CROWD)]
        for client in clients:
            client.sendall(b"x")
        for pid in halted:
            os.kill(pid, signal.SIGCONT)
        served = 0
        for client in clients:
            try:
                served += client.recv(1) == b"x"
            except ConnectionResetError:
                pass
        check_equal(served, CROWD_SERVED, f"how many of {CROWD} were served")
        for client in clients:
            client.close()


@case_for_each(PRESETS)
def a_busy_client_does_not_starve_the_others(model):
    """One pipelines without end; others are answered all the same."""
    arguments = model.serving(3)
    if not arguments:
        return
    with Server(*arguments, *CLOCK, service="time-echo") as server, server.connect() as hog:
        polite = server.connect()
        hog.setblocking(False)
        lines = b"hog\n" * 10000
        for _ in range(5 if SMALL else 30):
            for _ in range(20):
                try:
                    hog.send(lines)
                    while hog.recv(1 << 20):
                        pass
                except BlockingIOError:
                    pass
            round_trip(polite, b"please\n", STAMP + b"please\n")
        polite.close()
        reset(hog)


if __name__ == "__main__":
    main()
