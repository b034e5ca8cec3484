#!/usr/bin/env python3
"""What a forked process holds of its parent's: the sockets that it serves and the ways to others, nothing else.

The server is amid all that its first process does besides: it asks for a name, talks to a name server and to a bus, none of
whom answers, and two processes are there for when it dies.
"""

import contextlib
import os
import signal
import socket
import tempfile

from lib import HOST, SMALL, Server, case_for_each, check, children, descendants, descriptors, main, wait_until
from client import round_trip
from models import MODELS, Model, presets_axes

POOLED = [Model("prefork-reactor,workers=2,compute=processes,compute-workers=2", presets_axes())]
FORKING = [model for model in MODELS if model.processes or model.axes["compute"] == "processes"]
if SMALL:
    FORKING = FORKING[:2]  # a sanitizer has nothing to say of descriptors
ROUNDS = 3


def _table(kind, inode, column):
    """{socket: what the kernel's table of that kind says of it}"""
    with open(f"/proc/net/{kind}", encoding="ascii") as file:
        next(file)
        rows = [line.split() for line in file]
    return {f"socket:[{row[inode]}]": row[column] for row in rows if len(row) > inode}


def _kinds():
    """{socket: its kind} of all here: "listening", "packets", or what it is of somebody's dialogue."""
    kinds = {name: "udp" for name in _table("udp", 9, 3)}
    kinds.update((name, "listening" if state == "0A" else "tcp") for name, state in _table("tcp", 9, 3).items())
    kinds.update((name, "packets" if kind == "0005" else "unix") for name, kind in _table("unix", 6, 4).items())
    return kinds


def _events(pid, held):
    """What tells its eventfds from all others."""
    found = set()
    for number, target in held.items():
        if target == "anon_inode:[eventfd]":
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
                found.update(line for line in file if line.startswith("eventfd-id:"))
    return found


def _foreign(held, of_parent):
    """Sockets that both have, and pipes, of which nobody has one of his own, but for the standard streams."""
    standard = {of_parent.get(number) for number in (0, 1, 2)}
    return {target for target in held.values() if target.startswith("pipe:")
            or target.startswith("socket:") and target in of_parent.values()} - standard


def _excess(pid, parent, serves, packets, rings):
    """What the process holds and should not, as texts. `rings`: it tells loops of its parent of replies."""
    held, of_parent, kinds = descriptors(pid), descriptors(parent), _kinds()
    shared = sorted(_foreign(held, of_parent))
    names = [kinds.get(target, target.partition(":")[0]) for target in shared]
    found = [f"{target} ({kind})" for target, kind in zip(shared, names)
             if kind != "packets" and not (kind == "listening" and serves)]
    if names.count("packets") > packets:
        found.append(f"{names.count('packets')} ways to others")
    if not rings and len(_events(pid, held) & _events(parent, of_parent)) > 1:
        found.append("an eventfd besides the one that wakes the server")
    others = [target for target in held.values() if target.startswith("anon_inode:") and "eventfd" not in target]
    found += [target for target in set(others) if others.count(target) > 1 or "eventpoll" not in target and "io_uring" not in target]
    return found


def _await_own(server, model):
    """Each of its processes comes to hold what is its own: it begins with a copy of all."""
    found = {}

    def clean():
        found.clear()
        workers = children(server.pid) if model.processes else []
        serves = model.axes["accept"] != "acceptor"
        try:
            for pid in descendants(server.pid):
                # The bus, and the channel of a worker that is given its connections.
                packets = 2 if pid in workers and not serves else 1
                if excess := _excess(pid, server.pid, serves and pid in workers, packets, not model.processes):
                    found[pid] = excess
        except (FileNotFoundError, ProcessLookupError):
            return False  # one has ended meanwhile
        return not found
    try:
        wait_until(clean, "its processes hold what is their own")
    finally:
        check(not found, f"held besides: {found}")


def _asked(server):
    """The socket by which the server's first process asks for a name, which stays; by then it mostly has those to the other two,
    whom it leaves alone for a while now and then."""
    def found():
        kinds = _kinds()
        return {target for target in descriptors(server.pid).values() if kinds.get(target) == "udp"}
    return wait_until(found, "it asks a name server for a name")


def _fork_again(server, model, stack):
    if model.per_connection:
        round_trip(stack.enter_context(server.connect()))
        return
    before = children(server.pid)
    for pid in before:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(children(server.pid)) - set(before)) == len(before), "all are there again")


@contextlib.contextmanager
def _asking(model):
    """A server that asks three who never answer."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names, \
            socket.create_server((HOST, 0)) as zones, socket.socket(socket.AF_UNIX) as bus:
        names.bind((HOST, 0))
        bus.bind(f"{folder}/bus")
        bus.listen()
        with Server("--resolver", "%s:%d" % names.getsockname(), "--resolve-timeout", "1h", "--announce",
                    "_one._tcp.one.test,_two._tcp.two.test", "--announce-server",
                    "ns.one.test,%s:%d" % zones.getsockname(), "--announce-local", "_local._tcp", *model.arguments,
                    variables={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/bus"},
                    expected_log="ended unexpectedly|cannot announce|could not be taken back|not announced on the local") as server:
            yield server


@case_for_each(POOLED + [model for model in FORKING if model not in POOLED], waits=True)
def a_forked_process_holds_nothing_of_its_parents(model):
    with _asking(model) as server, contextlib.ExitStack() as stack:
        _await_own(server, model)
        if not model.processes:
            return
        for _ in range(ROUNDS):
            asked = _asked(server)
            _fork_again(server, model, stack)
            _await_own(server, model)
            if asked <= set(descriptors(server.pid).values()):
                return  # there they were while it forked
        check(False, f"each time it forked it was about to ask anew, {ROUNDS} times")


if __name__ == "__main__":
    main()
