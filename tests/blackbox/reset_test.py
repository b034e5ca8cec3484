#!/usr/bin/env python3
"""Clients that reset, in each state of a connection: the server goes on and holds nothing of theirs."""

import socket

from client import answered, reset
from lib import Server, SMALL, case_for_each, check_equal, descriptors, main, wait_until
from models import MODELS

ROUNDS = 5 if SMALL else 20
PENDING = 1 << 20  # more than an answer that is not read can hide in the sockets' buffers


def before_sending(client):
    reset(client)


def mid_message(client):
    client.sendall(b"no end of line")
    reset(client)


def with_the_answer_unread(client):
    client.sendall(b"a line\n" * 100)
    reset(client)


def with_answers_pending(client):
    client.setblocking(False)
    lines = b"a line to be answered\n" * 1000
    sent = 0
    try:
        while sent < 4 * PENDING:
            sent += client.send(lines)
    except BlockingIOError:
        pass
    reset(client)


def after_a_half_close(client):
    client.sendall(b"a line\n" * 1000)
    client.shutdown(socket.SHUT_WR)
    reset(client)


def after_the_answer(client):
    client.sendall(b"a line\n")
    client.recv(1)
    reset(client)


STATES = (before_sending, mid_message, with_the_answer_unread, with_answers_pending, after_a_half_close,
          after_the_answer)


def held(server):
    """What all processes of a server hold: {(order, descriptor): target}."""
    return {(place, number): target for place, pid in enumerate(server.processes())
            for number, target in descriptors(pid).items()}


def rounds(server, state):
    for _ in range(ROUNDS):
        client = server.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        state(client)


def resets_in(model, service, *settings):
    with Server(*model.arguments, *settings, service=service) as server:
        def check_alive():
            for _ in range(4):
                with server.connect() as client:
                    client.sendall(b"alive\n")
                    client.shutdown(socket.SHUT_WR)
                    check_equal(len(client.recv(100)) > 0, True, "whether the server answers")
        check_alive()
        wait_until(lambda: all("socket:" not in t or True for t in held(server).values()), "rest")
        before = None

        def at_rest():
            nonlocal before
            now = held(server)
            same, before = now == before, now
            return same
        wait_until(at_rest, "the descriptors rest")
        for state in STATES:
            rounds(server, state)
            check_alive()
        wait_until(lambda: held(server) == before,
                   f"descriptors are back to {before}")


@case_for_each(MODELS)
def resets_of_echo(model):
    resets_in(model, "echo")


if __name__ == "__main__":
    main()
