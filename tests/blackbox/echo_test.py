#!/usr/bin/env python3
"""What clients get from echo and time-echo under every model: every byte, in order, then a FIN."""

import os
import socket
import tempfile

from client import Talk, answered, converse, cut, round_trip, seeded
from lib import Failure, Server, SMALL, case_for_each, check, check_equal, main, receive_all
from models import MODELS

MIB = 1 << 20
SIZES = (1, 2, 3, 1459, 1460, 1461, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537)
PARALLEL = 50
CLOCK = 1492689600
STAMP = b"[Thu Apr 20 12:00:00 2017] "


def echo_talk(pieces):
    return Talk(pieces, b"".join(pieces))


def converse_seeded(server, make):
    """Hold the talks that `make` writes with some randomness."""
    randomness, seed = seeded()
    try:
        converse(server, make(randomness))
    except Failure as failure:
        raise Failure(f"{failure} (seed {seed})") from None


@case_for_each(MODELS)
def sizes_from_one_byte_to_a_mebibyte(model):
    def talks(randomness):
        sizes = [*SIZES, MIB, *(int(2 ** randomness.uniform(0, 20)) for _ in range(5))]
        one_each = [echo_talk([randomness.randbytes(size)]) for size in sizes]
        return [*one_each, echo_talk([randomness.randbytes(size) for size in sizes])]

    with Server(*model.arguments) as server:
        converse_seeded(server, talks)


@case_for_each(MODELS)
def fragmented_writes(model):
    def talks(randomness):
        return [echo_talk([b"%c" % byte for byte in randomness.randbytes(200)]),
                *(echo_talk(cut(randomness.randbytes(size), randomness, 50)) for size in (100, 5000, 100000, MIB))]

    with Server(*model.arguments) as server:
        converse_seeded(server, talks)


@case_for_each(MODELS)
def a_half_close_before_the_first_answer_is_read(model):
    data = os.urandom(150000)
    with Server(*model.arguments) as server:
        for sent in (b"", b"x", data):
            with server.connect() as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                check(receive_all(client) == sent, f"the answer to {len(sent)} bytes differs")


@case_for_each(MODELS)
def connections_in_parallel(model):
    def talks(randomness):
        return [echo_talk([randomness.randbytes(randomness.randrange(1, 3000)) for _ in range(20)])
                for _ in range(PARALLEL)]

    with Server(*model.arguments) as server:
        converse_seeded(server, talks)


@case_for_each(MODELS)
def the_client_may_close_first(model):
    def talks(randomness):
        return [Talk([data := randomness.randbytes(100)], data, half_close=False) for _ in range(PARALLEL)]

    with Server(*model.arguments) as server:
        converse_seeded(server, talks)


def time_echo_answer(lines):
    """(what to send, what must come back)."""
    sent = b"".join(line + end for line, end in lines)
    return sent, b"".join(STAMP + line + b"\n" for line, _ in lines)


@case_for_each(MODELS)
def lines_cut_at_every_byte(model):
    sent, expected = time_echo_answer([(b"first", b"\n"), (b"", b"\n"), (b"\r", b"\r\n"), (b"fo\rth", b"\r\n"),
                                       (b"\0\xff", b"\n"), (b"last", b"\r\n")])
    with Server(*model.arguments, "--set", f"clock={CLOCK}", service="time-echo") as server:
        converse(server, [Talk([sent[:at], sent[at:]], expected) for at in range(len(sent) + 1)])
        converse(server, [Talk([b"%c" % byte for byte in sent], expected)])


@case_for_each(MODELS)
def pipelined_lines_cut_anywhere(model):
    def talks(randomness):
        found = []
        for _ in range(10):
            sent, expected = time_echo_answer(
                [(bytes(randomness.choices(b"abc \t\r", k=randomness.randrange(200))).rstrip(b"\r"),
                  randomness.choice((b"\n", b"\r\n"))) for _ in range(300)])
            found.append(Talk(cut(sent, randomness, randomness.choice((1, 2, 10, 100))), expected))
        line = bytes(randomness.choices(b"abc", k=MIB - 1))
        sent, expected = time_echo_answer([(line, b"\n"), (b"after a long one", b"\n")])
        return [*found, Talk(cut(sent, randomness, 30), expected)]

    with Server(*model.arguments, "--set", f"clock={CLOCK}", service="time-echo") as server:
        converse_seeded(server, talks)


@case_for_each(MODELS)
def a_line_without_an_end_is_dropped_at_the_fin(model):
    with Server(*model.arguments, "--set", f"clock={CLOCK}", service="time-echo") as server:
        converse(server, [Talk([b"whole\nno end"], STAMP + b"whole\n"), Talk([b"no end"], b"")])


@case_for_each(MODELS)
def once_answers_and_closes_in_order(model):
    """Although the client sends on: a RST would take the answer away from it."""
    with Server(*model.arguments, "--set", "once=yes") as server:
        for more in (0, 1, 100000):
            with server.connect() as client:
                client.sendall(b"question")
                client.sendall(b"x" * more)
                answer = receive_all(client)
                check(answer.startswith(b"question") and set(answer[8:]) <= set(b"x"), f"the answer is {answer[:20]!r}")
                client.sendall(b"more" * 10)
                check_equal(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "error after more was sent")


@case_for_each(MODELS)
def two_addresses_and_a_unix_socket(model):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "gearbox.sock")
        local = ["unix:" + path] if model.axes["accept"] != "reuseport" else []
        with Server(*model.arguments, listen=["127.0.0.1:0", "[::1]:0", *local]) as server:
            addresses = list(server.addresses)
            check_equal(len(addresses), 2 + len(local), "number of addresses in the ready line")
            for _ in range(3):
                for server.address in addresses:
                    answered(server)
        check(not os.path.exists(path), "the Unix socket is left over")


@case_for_each(MODELS)
def a_connection_that_stays_is_served_again_and_again(model):
    with Server(*model.arguments) as server, server.connect() as client:
        for i in range(20 if SMALL else 100):
            round_trip(client, b"message %d" % i)


if __name__ == "__main__":
    main()
