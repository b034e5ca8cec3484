#!/usr/bin/env python3
"""Clients that reset, in each state of a connection: the server goes on and holds nothing of theirs."""

import socket

from client import answered, reset
from lib import Server, SMALL, case_for_each, main
from models import MODELS

ROUNDS = 5 if SMALL else 20
CLOCK = 1492689600
STAMP = b"[Thu Apr 20 12:00:00 2017] "


def before_sending(client):
    pass


def mid_message(client):
    client.sendall(b"no end of line")


def with_the_answer_unread(client):
    client.sendall(b"a line\n" * 100)


def with_answers_pending(client):
    """More than the sockets' buffers take: the server holds the rest, and writes into the reset."""
    client.setblocking(False)
    try:
        for _ in range(2000):
            client.send(b"a line to be answered\n" * 1000)
    except BlockingIOError:
        pass


def after_a_half_close(client):
    client.sendall(b"a line\n" * 1000)
    client.shutdown(socket.SHUT_WR)


def after_an_answer(client):
    client.sendall(b"a line\n")
    client.recv(1)


STATES = (before_sending, mid_message, with_the_answer_unread, with_answers_pending, after_a_half_close,
          after_an_answer)


def resets(model, service, *settings, expected):
    # Small buffers, so that answers soon have to wait in the server.
    with Server(*model.settled, *settings, "--sndbuf", "16KiB", "--rcvbuf", "16KiB", service=service) as server:
        before = server.rest()
        for state in STATES:
            for _ in range(ROUNDS):
                client = server.connect()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                state(client)
                reset(client)
            answered(server, b"alive?\n", expected)
        server.check_rest(before)


@case_for_each(MODELS)
def resets_of_echo(model):
    resets(model, "echo", expected=b"alive?\n")


@case_for_each(MODELS)
def resets_of_time_echo(model):
    resets(model, "time-echo", "--set", f"clock={CLOCK}", expected=STAMP + b"alive?\n")


@case_for_each(MODELS)
def resets_all_at_once(model):
    """They reach the server in one turn of its loop, in all states together."""
    with Server(*model.settled) as server:
        before = server.rest()
        clients = [server.connect() for _ in range(ROUNDS * len(STATES))]
        for number, client in enumerate(clients):
            if not model.one_at_a_time or STATES[number % len(STATES)] is not after_an_answer:
                STATES[number % len(STATES)](client)
        for client in clients:
            reset(client)
        answered(server)
        server.check_rest(before)


if __name__ == "__main__":
    main()
