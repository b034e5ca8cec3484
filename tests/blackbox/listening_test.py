#!/usr/bin/env python3
"""Where a server listens, and who is told: names, sockets that were passed in, the service manager."""

import contextlib
import os
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile

from client import answered, round_trip
from lib import (GEARBOX, HOST, PATIENCE_S, Server, add_case, case, case_for_each, check, check_equal, check_refusal, main,
                 receive_exactly, run, timely)
from manager import manager, told_until
from models import EACH_ENGINE, PRESETS
from passing import passed
from seccomp import refuse_ipv6

ROOT = os.getuid() == 0


# Names


def with_hosts(lines):
    """A command prefix with these lines as /etc/hosts, or None where there are no mount namespaces."""
    hosts = tempfile.NamedTemporaryFile("w", prefix="hosts")  # the caller's to keep
    hosts.write(lines)
    hosts.flush()
    prefix = ("unshare", "--mount", "sh", "-c", f"mount --bind {hosts.name} /etc/hosts && exec \"$@\"", "sh")
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        print("skipped: no mount namespaces here", flush=True)
        return None, hosts
    return prefix, hosts


@case_for_each(EACH_ENGINE)
def every_address_of_a_name_is_listened_on(model):
    prefix, hosts = with_hosts("127.81.0.1 gearbox-many\n127.81.0.2 gearbox-many\n::1 gearbox-many\n")
    with hosts:
        if not prefix:
            return
        with Server(*model.arguments, listen=("gearbox-many:0",), prefix=prefix) as server:
            hosts_found = sorted(address.rpartition(":")[0] for address in server.addresses)
            check(hosts_found in (["127.81.0.1", "127.81.0.2"], ["127.81.0.1", "127.81.0.2", "[::1]"]), f"{hosts_found}")
            check_equal(len({address.rpartition(":")[2] for address in server.addresses}), 1, "ports")
            for address in server.addresses:
                with socket.create_connection((address.rpartition(":")[0].strip("[]"), server.port), PATIENCE_S) as client:
                    round_trip(client)


@case
def one_of_them_in_use_is_all_of_them():
    prefix, hosts = with_hosts("127.81.0.1 gearbox-many\n127.81.0.2 gearbox-many\n")
    with hosts, socket.create_server(("127.81.0.2", 0)) as taken:
        if not prefix:
            return
        port = taken.getsockname()[1]
        done = subprocess.run([*prefix, GEARBOX, "serve", "echo", "--listen", f"gearbox-many:{port}"], capture_output=True,
                              timeout=PATIENCE_S, check=False)
        check_equal(done.returncode, 1, "exit code")
        check(f"127.81.0.2:{port} is in use" in done.stderr.decode(), f"said {done.stderr!r}")


@case
def a_name_does_without_a_family_that_is_off():
    prefix, hosts = with_hosts("127.81.0.1 gearbox-many\n::1 gearbox-many\n")
    with hosts:
        if not prefix:
            return
        with Server(listen=("gearbox-many:0",), prefix=prefix, before_exec=refuse_ipv6) as server:
            check_equal([address.rpartition(":")[0] for address in server.addresses], ["127.81.0.1"], "the addresses")


@case
def a_file_may_belong_to_others():
    if not ROOT:
        return
    with tempfile.TemporaryDirectory() as folder, \
            Server("--unix-mode", "660", listen=(f"unix:{folder}/a,unix-owner=nobody,unix-group=4", f"unix:{folder}/b")):
        found = os.stat(f"{folder}/a")
        check_equal((found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)), (65534, 4, 0o660), "owner, group, mode")
        check_equal(os.stat(f"{folder}/b").st_uid, 0, "owner")


@case
def a_file_that_another_has_made_meanwhile_stays():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        with Server(listen=(f"unix:{path}",)):
            os.unlink(path)
            other = socket.socket(socket.AF_UNIX)
            other.bind(path)
        check(os.path.exists(path), "the server has removed what is not its own")
        other.close()


@case_for_each(EACH_ENGINE)
def sockets_have_the_options_of_their_address(model):
    """What the kernel shows of them (ss would tell more): that they are served all the same."""
    options = "keepalive=60s,10s,3,defer-accept=5s,freebind=yes,user-timeout=9s,device=lo,sndbuf=64KiB"
    with Server(*model.arguments, listen=(f"{HOST}:0,{options}",)) as server:
        answered(server)


@case_for_each(EACH_ENGINE)
def outgoing_connections_have_a_source(model):
    if not model.serving(2):
        return
    with socket.create_server(("127.0.0.1", 0)) as upstream, \
            Server(*model.serving(2), "--connect-source", "127.81.0.3", "--connect-device", "lo", "--set",
                   f"upstream=127.0.0.1:{upstream.getsockname()[1]}", service="proxy") as server, server.connect() as client:
        upstream.settimeout(PATIENCE_S)
        client.sendall(b"x")
        connection, peer = upstream.accept()
        check_equal(peer[0], "127.81.0.3", "where it comes from")
        connection.close()


for number, row in enumerate((
        (("--connect-source", "192.0.2.1"), 1, "connect-source", "192.0.2.1"),
        (("--connect-source", "one"), 2, "connect-source", "one"),
        (("--connect-source", "127.0.0.1,127.0.0.2"), 2, "connect-source", "one of each"),
        (("--connect-device", "nowhere9"), 1, "connect-device", "nowhere9"),
        (("--keepalive", "0"), 2, "keepalive", "60s,10s,3"),
        (("--keepalive", "60s,10s,3,4"), 2, "keepalive", "60s,10s,3"),
        (("--unix-owner", "nobody-of-that-name"), 2, "unix-owner", "getent passwd"),
        (("--device", "nowhere9"), 1, "device", "nowhere9"))):
    add_case(f"wrong_options_are_told_{number}",
             lambda flags, code, *words: check_refusal(run("serve", "echo", "--listen", f"{HOST}:0", *flags), code, *words), *row)


for number, row in enumerate((
        (("unix:@gearbox-n,announce=_echo._tcp.test.example",), (), "unix:@gearbox-n: a Unix socket is not announced", "leave out announce"),
        (("unix-seqpacket:@gearbox-n,announce-local=_echo._tcp",), (), "is not announced", "leave out announce-local"),
        ((f"{HOST}:0", "unix:@gearbox-n,announce-server=127.0.0.1"), (), "is not announced", "leave out announce-server"),
        (("unix:@gearbox-n",), ("--announce", "_echo._tcp.test.example"), "_echo._tcp.test.example would name nothing", "none is listened on"),
        ((f"{HOST}:0,announce=none", "unix:@gearbox-n"), ("--announce", "_echo._tcp.test.example"), "each address of TCP has announce=none"))):
    add_case(f"what_has_no_name_is_told_{number}",
             lambda listen, flags, *words: check_refusal(run(
                 "serve", "echo", *(word for address in listen for word in ("--listen", address)), *flags), 2, *words), *row)


# Sockets that are passed in


def unix_listener(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


@case_for_each(PRESETS)
def sockets_that_were_passed_are_served(model):
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as tcp, \
            unix_listener(f"{folder}/s") as local, passed((tcp, local), "web:local") as how:
        port = tcp.getsockname()[1]
        with Server(*model.arguments, listen=("fd:local", "systemd,nodelay=no"), **how) as server:
            check_equal(server.addresses, [f"unix:{folder}/s", f"127.0.0.1:{port}"], "the addresses")
            answered(server)
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
                round_trip(client)
        check(os.path.exists(f"{folder}/s"), "the file of a socket that was passed is gone")
        with socket.socket(socket.AF_UNIX) as later:
            later.connect(f"{folder}/s")  # it listens on


@case
def a_descriptor_is_passed_by_its_number():
    with socket.create_server(("127.0.0.1", 0)) as tcp, passed((tcp,)) as how:
        how["prefix"] = (*how["prefix"][:2], how["prefix"][2].replace("export ", "true "), *how["prefix"][3:])
        with Server(listen=("fd:3",), **how) as server:
            answered(server)


def passing_is_refused(make, listen, code, *words):
    with make() as given, passed((given,), "web") as how:
        done = subprocess.run([*how["prefix"], GEARBOX, "serve", "echo", *listen], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False, pass_fds=how["pass_fds"])
        check_refusal(done, code, *words)


def datagrams():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def listens():
    return socket.create_server(("127.0.0.1", 0))


for number, row in enumerate((
        (socket.socket, ("--listen", "systemd"), 1, "descriptor 3 does not listen"),
        (datagrams, ("--listen", "fd:3"), 1, "descriptor 3 is a datagram socket"),
        (listens, ("--listen", "fd:other"), 1, "fd:other", "fd:web"),
        (listens, ("--listen", "fd:web", "--listen", "systemd"), 1, "served already"),
        (listens, ("--listen", "fd:web,freebind=yes"), 2, "freebind"),
        (listens, ("--listen", "fd:199"), 1, "descriptor 199 is not open"))):
    add_case(f"what_cannot_be_served_is_told_{number}", passing_is_refused, *row)


def inetd(model, given, all_three=True):
    """The server that inetd would start with this socket as its standard descriptors; in the end it has let go of it."""
    streams = {name: given for name in (("stdin", "stdout", "stderr") if all_three else ("stdin",))}
    return subprocess.Popen([GEARBOX, "serve", "echo", "--listen", "fd:0", *model.arguments],
                            **{"stderr": subprocess.PIPE, **streams})


SERVES_ONE = [model for model in PRESETS if model.axes["workers"] in ("1", "per-connection") or model.axes["accept"] == "acceptor"]


@case_for_each(SERVES_ONE)
def a_connection_that_was_passed_is_served_and_ends_the_server(model):
    for all_three in (True, False):
        with socket.create_server(("127.0.0.1", 0)) as listener, \
                socket.create_connection(listener.getsockname(), PATIENCE_S) as client:
            given = listener.accept()[0]
            with inetd(model, given, all_three) as process:
                given.close()
                round_trip(client)
                client.shutdown(socket.SHUT_WR)
                check_equal(client.recv(100), b"", "what follows the FIN")
                check_equal(process.wait(PATIENCE_S), 0, "exit code")


@case_for_each([model for model in PRESETS if model not in SERVES_ONE])
def nobody_has_a_connection_to_serve_where_each_accepts_its_own(model):
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname(), PATIENCE_S), listener.accept()[0] as given, \
            inetd(model, given, all_three=False) as process:
        check("take model reactor" in process.stderr.read().decode(), "no other model is named")
        check_equal(process.wait(PATIENCE_S), 2, "exit code")


@case_for_each(EACH_ENGINE)
def inetd_may_pass_a_listening_socket(model):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with inetd(model, listener) as process:
            with socket.create_connection(listener.getsockname(), PATIENCE_S) as client:
                round_trip(client)
            process.terminate()
            check_equal(process.wait(PATIENCE_S), 0, "exit code")


@case
def a_connection_is_served_alone():
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname(), PATIENCE_S), listener.accept()[0] as given:
        done = subprocess.run([GEARBOX, "serve", "echo", "--listen", "fd:0", "--listen", "127.0.0.1:0"], stdin=given,
                              capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        check_refusal(done, 2, "serve it alone")


# The service manager


@case_for_each(PRESETS)
def the_manager_is_told_when_it_is_ready_and_when_it_drains(model):
    with manager() as (told, variables):
        with Server(*model.arguments, "--drain-timeout", "100s", variables=variables) as server:
            lines = told_until(told, "READY=1")
            check(f"MAINPID={server.pid}" in lines, f"{lines}")
            check(any(line.startswith("STATUS=0 connections, ") for line in lines), f"{lines}")
            answered(server)
            os.kill(server.pid, signal.SIGTERM)
            lines = told_until(told, "STOPPING=1")
            check("EXTEND_TIMEOUT_USEC=110000000" in lines, f"{lines}")
            check(any(line.startswith("STATUS=draining: ") for line in lines), f"{lines}")


@case_for_each(PRESETS)
def loops_that_live_are_told_of(model):
    with manager(WATCHDOG_USEC="100000") as (told, variables), Server(*model.arguments, variables=variables):
        for _ in range(3):
            told_until(told, "WATCHDOG=1")


def pings_until_readable(told, client):
    """Signs of life until the client has something to read; taken at once, as the socket holds a few of them only."""
    count = 0
    while client not in (ready := select.select([told, client], [], [], PATIENCE_S)[0]):
        check(ready, "neither a sign of life nor a reply")
        count += told.recv(4096) == b"WATCHDOG=1"
    return count


HOLD_US = 2000000
PING_US = 100000  # two pings in that time


@case_for_each([model for model in PRESETS if model.axes["workers"] == "N" and model.axes["compute"] == "inline"
                and model.axes["engine"] in ("epoll", "io_uring")], waits=True)
def a_loop_that_is_held_is_not(model):
    """The chief's goes on meanwhile: it knows of the others."""
    arguments = ("--stall-limit", "50ms", "--set", "max-block=60s")
    with manager(WATCHDOG_USEC=str(PING_US)) as (told, variables), \
            Server(*model.arguments, *arguments, service="work", variables=variables, expected_log="warning: ") as server:
        told_until(told, "WATCHDOG=1")

        def attempt(in_time):
            with server.connect() as client:
                client.sendall(struct.pack(">IIII", 12, 1, 0, HOLD_US))
                while "has held its loop" not in (server.read_line() or "has held its loop"):
                    pass
                in_time()
                count = pings_until_readable(told, client)
                in_time()
                receive_exactly(client, 8)
                check(count < HOLD_US / PING_US, f"{count} signs of life of a loop that was held")

        timely(HOLD_US / 1e6 / 4, attempt)
        told_until(told, "WATCHDOG=1")


if __name__ == "__main__":
    main()
