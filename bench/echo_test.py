#!/usr/bin/python3
"""Who is measured must be right before it may be fast: the raw loops, and with `peers` the peers as well, echo
every byte. Arguments: the folder that the build made of this one, then `peers` or nothing."""

import contextlib
import os
import resource
import shutil
import socket
import struct
import sys
import threading
import time

import rig
from rig import DEADLINE, connect, fds, load_is_right, receive
from server import Server, process_tree, until
from subjects import PEER, SCRIPT, SUBJECTS, TRIED, command_of

LOOPS = ("raw_epoll", "raw_poll", "raw_uring")
COMMANDS = {name: rig.command(name) for name in [*LOOPS, *(one.name for one in SUBJECTS if one.group == TRIED)]}
if sys.argv[2:] == ["peers"]:
    COMMANDS = {one.name: command_of(one, rig.options()) for one in SUBJECTS if one.group in (PEER, SCRIPT)}
    COMMANDS = {name: command for name, command in COMMANDS.items() if shutil.which(command[0])}


def some(number):
    """So many messages or connections; a tenth under sanitizers, which are many times slower."""
    return number // 10 if os.environ.get("BENCH_SMALL") == "1" else number


def each_server(function):
    """Run with each server; afterwards it must be alive and hold no connection."""

    def run(name):
        with Server(name, COMMANDS[name]) as server:
            before = fds(server.pid)
            function(server.port)
            until(lambda: fds(server.pid) <= before, "all connections are closed")
            server.check_alive()

    for name in COMMANDS:
        rig.tests.append((f"{function.__name__} ({name})", lambda name=name: run(name)))
    return function


def each_loop(function):
    """Run with each raw loop: its name and command."""
    for name in LOOPS:
        if name in COMMANDS:
            rig.tests.append((f"{function.__name__} ({name})", lambda name=name: function(name, COMMANDS[name])))
    return function


@rig.test
def each_blocking_yardstick_echoes():
    for model in ("iterative", "thread", "fork", "prethread 64", "thread-pool 64", "prefork 64", "process-pool 64"):
        if sys.argv[2:] == ["peers"]:
            return
        connections = "1" if model == "iterative" else "50"
        with Server(model, [os.path.join(rig.FOLDER, "raw_blocking"), *model.split()]) as server:
            load_is_right(server.port, some(2000), "--connections", connections, "--size", "20000")
            load_is_right(server.port, some(500), "--connections", connections, "--once")
            # Standard streams, the listening socket, a pair; it is ready before it has the pair.
            until(lambda: fds(server.pid) <= 6, "all connections are closed")
            server.check_alive()


def fill(client):
    """Send without reading until nothing goes any more; return what went."""
    sent = bytearray()
    client.setblocking(False)
    stuck = 0
    while stuck < 20:  # the server may still be about to take some
        piece = os.urandom(65536)
        try:
            sent += piece[: client.send(piece)]
            stuck = 0
        except BlockingIOError:
            stuck += 1
            time.sleep(0.005)
    client.settimeout(DEADLINE)
    return bytes(sent)


@each_server
def echoes_small_messages(port):
    load_is_right(port, some(20000))


@each_server
def echoes_pipelined_messages(port):
    load_is_right(port, some(100000), "--depth", "16", "--size", "61")


@each_server
def echoes_messages_of_one_byte(port):
    load_is_right(port, some(5000), "--size", "1", "--depth", "3")


@each_server
def echoes_messages_of_16_kib(port):
    load_is_right(port, some(5000), "--size", "16384")


@each_server
def echoes_messages_of_1_mib(port):
    load_is_right(port, some(300), "--size", "1048576", "--connections", "20")


@each_server
def echoes_once_a_connection(port):
    load_is_right(port, some(3000), "--once")


@each_server
def holds_thousands_of_connections(port):
    connections = min(some(10000), resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
    load_is_right(port, some(30000), "--connections", str(connections // 2), "--idle", str(connections // 2))


@each_server
def finishes_the_reply_after_a_half_close(port):
    with connect(port) as client:
        data = os.urandom(300_000)
        writer = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        writer.start()
        assert receive(client, len(data)) == data
        assert client.recv(1) == b""
        writer.join()


@each_server
def serves_others_beside_peers_that_do_not_read(port):
    # As many as leave buffers to the others, with what one receive of a ring brings before it can be cancelled.
    greedy = [connect(port) for _ in range(3)]
    sent = [fill(client) for client in greedy]
    load_is_right(port, some(2000))
    for client, data in zip(greedy, sent):
        assert receive(client, len(data)) == data
        client.sendall(b"still here")
        assert receive(client, 10) == b"still here"
        client.close()


@each_server
def survives_resets(port):
    for fed in (False, True) * 20:
        client = connect(port)
        if fed:
            fill_a_bit = os.urandom(200_000)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(fill_a_bit)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    load_is_right(port, some(1000))


@each_loop
def accepts_again_after_descriptors_ran_out(name, command):
    with Server(name, command, prefix=["prlimit", "--nofile=40"]) as server:
        clients = [connect(server.port) for _ in range(60)]
        for client in clients:
            client.sendall(b"hello")
        until(lambda: fds(server.pid) == 40, "all descriptors are taken")
        while clients:  # each that leaves makes room for one that waits
            client = clients.pop(0)
            assert receive(client, 5) == b"hello"
            client.close()
        load_is_right(server.port, some(1000), "--connections", "10")


@each_loop
def several_loops_share_one_port(name, command):
    def held():
        return [fds(member) for member in members]

    with Server(name, [*command, "--loops", "3"]) as server:
        members = list(process_tree(server.pid))
        assert len(members) == 3, members
        clients = [connect(server.port) for _ in range(60)]
        for client in clients:
            client.sendall(b"hello")
            assert receive(client, 5) == b"hello"
        shares = held()
        assert sum(shares) > 60 > max(shares), shares
        for client in clients:
            client.close()
        until(lambda: sum(held()) == sum(shares) - 60, "all connections are closed")
        load_is_right(server.port, some(5000))
    until(lambda: not any(os.path.exists(f"/proc/{member}") for member in members), "they end with the first")


@each_loop
def several_loops_may_share_their_descriptors(name, command):
    with Server(name, [*command, "--loops", "3", "--one-table"]) as server:
        members = list(process_tree(server.pid))
        clients = [connect(server.port) for _ in range(60)]
        for client in clients:
            client.sendall(b"hello")
            assert receive(client, 5) == b"hello"
        held = fds(server.pid)  # of loops that have all begun: each of them has answered somebody
        assert held > 60 and [fds(member) for member in members] == [held] * 3
        for client in clients:
            client.close()
        until(lambda: [fds(member) for member in members] == [held - 60] * 3, "all connections are closed")
        load_is_right(server.port, some(5000))
    until(lambda: not any(os.path.exists(f"/proc/{member}") for member in members), "they end with the first")


if __name__ == "__main__":
    sys.exit(rig.main())
