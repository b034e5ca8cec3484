#!/usr/bin/python3
"""The load generator notices when a server does not echo right, and paces as it says."""

import socket
import sys

import rig
from rig import load_is_right, loadgen, lying_server, test
from server import Server


def load_is_wrong(lie, *arguments):
    with lying_server(lie) as port:
        done, summary = loadgen(port, "--connections", "3", "--messages", "300", *arguments)
        assert done.returncode == 1 and done.stderr, done
        assert summary.get("errors", 1) >= 1, summary


def flip(piece):
    return piece[:-1] + bytes([piece[-1] ^ 1])


@test
def loadgen_sees_one_wrong_bit():
    load_is_wrong(lambda total, piece: flip(piece) if total > 2000 else piece)


@test
def loadgen_sees_a_wrong_first_echo():
    load_is_wrong(lambda total, piece: flip(piece))


@test
def loadgen_sees_a_doubled_piece():
    load_is_wrong(lambda total, piece: piece * 2 if total > 2000 else piece)


@test
def loadgen_sees_swapped_messages():
    load_is_wrong(lambda total, piece: piece[len(piece) // 2:] + piece[: len(piece) // 2] if total else piece,
                  "--depth", "2")


@test
def loadgen_sees_a_wrong_bit_at_a_rate():
    load_is_wrong(lambda total, piece: flip(piece) if total > 2000 else piece, "--rate", "5000")


@test
def loadgen_sees_an_end_at_a_rate():
    load_is_wrong(lambda total, piece: piece if total < 2000 else None, "--rate", "5000")


@test
def loadgen_sees_an_early_end():
    load_is_wrong(lambda total, piece: piece if total < 2000 else None)


@test
def loadgen_sees_a_wrong_bit_of_a_short_connection():
    load_is_wrong(lambda total, piece: flip(piece), "--once")


@test
def loadgen_sees_an_end_of_a_short_connection():
    load_is_wrong(lambda total, piece: None, "--once")


@test
def loadgen_sees_that_nobody_listens():
    with socket.socket() as bound:  # bound, so that nobody else takes the port, but not listening
        bound.bind(("127.0.0.1", 0))
        for arguments in ([], ["--once", "--messages", "10"]):
            done, _ = loadgen(bound.getsockname()[1], *arguments)
            assert done.returncode == 1 and done.stderr, done


@test
def loadgen_refuses_wrong_usage():
    for arguments in (["--size", "0"], ["--depth", "many"], ["--nonsense"], ["--once", "--idle", "5"],
                      ["--rate", "0"], ["--rate", "10", "--once"], ["--rate", "10", "--depth", "2"],
                      ["--lines", "--size", "1"], ["--rate", "1e7", "--seconds", "3600"]):
        done, _ = loadgen(1, *arguments)
        assert done.returncode == 2 and done.stderr, arguments


@test
def every_message_of_a_pattern_of_lines_is_one():
    for size in (2, 61, 64, 4096):
        def check(total, piece):
            seen.extend(piece)
            return piece

        seen = bytearray()
        with lying_server(check) as port:
            load_is_right(port, 500, "--lines", "--size", str(size), "--depth", "3", "--connections", "1")
        # One more is the greeting.
        lines = bytes(seen).split(b"\n")
        assert len(lines) == 502 and lines[-1] == b"" and b"\r" not in seen, len(lines)
        assert all(len(line) == size - 1 for line in lines[:-1])


@test
def a_rate_is_not_exceeded():
    """The other way round would be a matter of the machine."""
    for more in ([], ["--spin"]):
        with Server("raw_epoll", rig.command("raw_epoll")) as server:
            summary = load_is_right(server.port, 300, "--rate", "1000", "--connections", "7", *more)
        assert summary["rate"] == 1000 and summary["seconds"] > 0.2, summary


@test
def at_a_rate_there_are_as_many_messages_as_fit():
    with Server("raw_epoll", rig.command("raw_epoll")) as server:
        done, summary = loadgen(server.port, "--rate", "2000", "--seconds", "0.25")
    assert done.returncode == 0 and summary["messages"] == 500, (done, summary)


@test
def at_a_rate_nobody_waits_for_replies():
    """A server that is silent until it has 100 messages gets them, and pays for each from when it was due."""
    held = []

    def hold(total, piece):
        held.append(piece)
        if total < 64:  # the greeting
            held.clear()
            return piece
        if total + len(piece) < 64 + 100 * 64:
            return b""
        answer = b"".join(held)
        held.clear()
        return answer

    with lying_server(hold) as port:
        summary = load_is_right(port, 100, "--rate", "1000", "--connections", "1")
    # The first was due about 0.1 s before the last, the middle one half of that.
    assert summary["p99_us"] > 50_000 and summary["p50_us"] > 20_000, summary


@test
def sizes_and_idle_connections_go_with_a_rate():
    with Server("raw_epoll", rig.command("raw_epoll")) as server:
        load_is_right(server.port, 300, "--rate", "3000", "--size", "300000", "--connections", "3", "--idle", "20")


if __name__ == "__main__":
    sys.exit(rig.main())
