#!/usr/bin/env python3
"""Uploads and downloads larger than any buffer: the server's memory stays as it was, under every engine and in both styles."""

import socket
import struct

from lib import PATIENCE_S, SMALL, Server, add_case, case, check, check_equal, main, receive_all, receive_exactly

UPLOAD = (2 if SMALL else 128) << 20
SHORTER = UPLOAD // 4  # where the engine is not the question
REPLY = UPLOAD // 4
BLOCK = bytes(1 << 18)
GROWTH_MAX = 12 << 20  # of what its processes had at their most, over what they had before
PRIME, BASIS = 1099511628211, 14695981039346656037  # FNV-1a

ENGINES = ("reactor", "reactor,engine=poll", "reactor,engine=select", "reactor,engine=busy", "proactor", "thread")


def peak_bytes(server, field="VmHWM"):
    total = 0
    for pid in server.processes():
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended: a process per connection
    return total


def digest_of_zeros(size):
    return BASIS * pow(PRIME, size, 1 << 64) % (1 << 64)


def send_zeros(client, size):
    while size > 0:
        sent = client.send(BLOCK[:min(size, len(BLOCK))])
        size -= sent


def check_reply(client, size, digest):
    check_equal(struct.unpack("!QQ", receive_exactly(client, 16)), (8 + size, digest), "length and digest")
    pattern = bytes((digest + i) % 256 for i in range(256)) * 1024
    while size > 0:
        count = min(size, len(pattern))
        check(receive_exactly(client, count) == pattern[:count], "the reply is not as it should be")
        size -= count


def memory_stays(spec, service, size):
    with Server("--model", spec, service=service) as server:
        with server.connect() as client:
            client.sendall(struct.pack("!QQ", 8 + 1000, 1000) + bytes(1000))
            check_reply(client, 1000, digest_of_zeros(1000))
            before = peak_bytes(server)
            client.sendall(struct.pack("!QQ", 8 + size, REPLY))
            send_zeros(client, size)
            check_reply(client, REPLY, digest_of_zeros(size))
            client.sendall(struct.pack("!QQ", 8, 0))  # it still understands
            check_reply(client, 0, BASIS)
            if not SMALL:
                grown = peak_bytes(server) - before
                check(grown < GROWTH_MAX, f"{grown / 2**20:.1f} MiB more at the most")


for engine in ENGINES:
    add_case(f"memory_stays[{engine}]", memory_stays, engine, "bulk", UPLOAD)
for other in ("reactor", "proactor", "thread"):
    add_case(f"memory_stays_in_straight_line_style[{other}]", memory_stays, other, "bulk-sequential", SHORTER)
add_case("memory_stays_with_a_pool", memory_stays, "reactor-pool", "bulk", SHORTER)
add_case("memory_stays_of_a_process", memory_stays, "prefork-reactor,workers=2", "bulk", SHORTER)


@case
def an_upload_above_max_body_is_refused_before_it_comes():
    for service in ("bulk", "bulk-sequential"):
        with Server("--max-body", "1MiB", service=service) as server:
            with server.connect() as client:
                client.sendall(struct.pack("!QQ", 1 << 20, 0) + bytes((1 << 20) - 8))
                check_reply(client, 0, digest_of_zeros((1 << 20) - 8))
                client.sendall(struct.pack("!Q", (1 << 20) + 1))
                check_equal(receive_all(client), b"", "an answer")


@case
def an_upload_that_is_cut_off_is_never_answered():
    for service in ("bulk", "bulk-sequential"):
        with Server(service=service) as server:
            with server.connect() as client:
                client.sendall(struct.pack("!QQ", 8 + (4 << 20), 0))
                send_zeros(client, (4 << 20) - 1)
                client.shutdown(socket.SHUT_WR)
                client.settimeout(PATIENCE_S)
                check_equal(receive_all(client), b"", "an answer")


if __name__ == "__main__":
    main()
