#!/usr/bin/env python3
"""Ten thousand connections at the same time, each echoing several times, none lost."""

import resource
import select
import time

from lib import PATIENCE_S, Server, SMALL, add_case, check, check_equal, descriptors, main
from models import MODELS

CONNECTIONS = 1000 if SMALL else 10000
ROUNDS = 3
AT_ONCE = 500  # connecting: more would only meet the backlog's end
SOURCES = 4  # addresses of the clients: each has ports for a part of them
DESCRIPTORS_OTHER = 200
SPECS = ("reactor", "proactor", "multi-reactor", "multi-proactor", "prefork-reactor", "reactor,engine=poll")


def possible(connections):
    """As many as this machine's descriptors allow a process; said when fewer."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    allowed = min(connections, hard - DESCRIPTORS_OTHER)
    if allowed < connections:
        print(f"{hard} descriptors a process: {allowed} connections instead of {connections}", flush=True)
    return allowed


def message(number, turn):
    return b"%d of connection %d\n" % (turn, number)


class Crowd:
    """Clients that stay connected while one thread talks to all of them."""

    def __init__(self, server):
        self.server = server
        self.clients = []
        self.poller = select.epoll()

    def wait(self, waiting, events, act):
        """Until `act` has said for each of the descriptors in `waiting` that it is done."""
        deadline = time.monotonic() + PATIENCE_S
        for number in waiting:
            self.poller.modify(number, events)
        while waiting:
            ready = self.poller.poll(max(0, deadline - time.monotonic()))
            check(ready, f"{len(waiting)} of {len(self.clients)} connections had no answer in time")
            for number, _ in ready:
                if number in waiting and act(waiting[number]):
                    del waiting[number]
                    self.poller.modify(number, 0)

    def connect(self, count):
        while len(self.clients) < count:
            batch = {}
            for _ in range(min(AT_ONCE, count - len(self.clients))):
                number = len(self.clients)
                client = self.server.connect_later(source=f"127.0.0.{2 + number % SOURCES}")
                self.clients.append(client)
                self.poller.register(client.fileno(), 0)
                batch[client.fileno()] = number
            self.wait(batch, select.EPOLLOUT, self.is_connected)

    def is_connected(self, number):
        self.clients[number].getpeername()
        return True

    def talk(self, turn):
        """Everybody sends, then everybody reads."""
        for number, client in enumerate(self.clients):
            client.sendall(message(number, turn))

        def read(number):
            expected = message(number, turn)
            check_equal(self.clients[number].recv(len(expected) + 1), expected, f"answer on connection {number}")
            return True
        self.wait({client.fileno(): number for number, client in enumerate(self.clients)}, select.EPOLLIN, read)

    def close(self):
        self.poller.close()
        for client in self.clients:
            client.close()


def sockets(server):
    return sum(target.startswith("socket:") for pid in server.processes() for target in descriptors(pid).values())


def many_at_the_same_time(model):
    count = possible(CONNECTIONS)
    with Server(*model.settled) as server:
        before = server.rest()
        idle = sockets(server)
        crowd = Crowd(server)
        try:
            crowd.connect(count)
            for turn in range(ROUNDS):
                crowd.talk(turn)
            check_equal(sockets(server) - idle, count, "number of connections that the server has open")
        finally:
            crowd.close()
        server.check_rest(before)


for served in MODELS:
    if served.spec in SPECS:
        add_case(f"many_at_the_same_time[{served}]", many_at_the_same_time, served)


if __name__ == "__main__":
    main()
