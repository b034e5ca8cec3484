#!/usr/bin/env python3
"""Addresses as users write them: both families, scopes, Unix sockets with and without a file; wrong ones are told."""

import os
import re
import socket
import stat
import subprocess
import sys
import tempfile

from client import answered, round_trip
from lib import GEARBOX, PATIENCE_S, Server, add_case, case, case_for_each, check, check_equal, check_refusal, main, run
from models import EACH_ENGINE, PRESETS
from seccomp import refuse_ipv6


def free_port():
    with socket.create_server(("0.0.0.0", 0)) as free:
        return free.getsockname()[1]


def reached(host, port):
    with socket.create_connection((host, port), PATIENCE_S) as client:
        round_trip(client)


def has_v6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@case_for_each(PRESETS)
def the_families_share_a_port(model):
    if not has_v6():
        return
    port = free_port()
    for listen in ((f"0.0.0.0:{port}", f"[::]:{port}"), (f"[::]:{port}", f"0.0.0.0:{port}")):
        with Server(*model.arguments, listen=listen) as server:
            check_equal(tuple(server.addresses), listen, "the addresses of the ready line")
            for host in ("127.0.0.1", "::1"):
                reached(host, port)


@case_for_each(PRESETS)
def a_star_is_every_address(model):
    with Server(*model.arguments, listen=("*:0",)) as server:
        check(server.address.startswith("*:"), f"the ready line says {server.address}")
        reached("127.0.0.1", server.port)
        if has_v6():
            reached("::1", server.port)


@case_for_each(EACH_ENGINE)
def a_star_is_ipv4_where_ipv6_is_off(model):
    with Server(*model.arguments, listen=("*:0",), before_exec=refuse_ipv6) as server:
        check(server.address.startswith("*:"), f"the ready line says {server.address}")
        reached("127.0.0.1", server.port)


def refused_address(address, *words, code=2):
    check_refusal(run("serve", "echo", "--listen", address), code, *words)


for number, row in enumerate((
        ("300.1.1.1:80", "300.1.1.1", "four numbers from 0 to 255"),
        (" 127.0.0.1:0", "leave out the blank"),
        ("::1:7000", "in brackets", "[::1]:7000"),
        ("[fe80::1%nowhere9]:0", 'no interface "nowhere9"'),
        ("unix:" + "a" * 200, "1 to 107 bytes, not 200"),
        ("unix-dgram:/tmp/a", "with connections are served"),
        ("unix-seqpacket:" + "a" * 200, "unix-seqpacket: takes a path of 1 to 107 bytes"),
        ("unix:@", "behind @"))):
    add_case(f"wrong_usage_is_told_{number}", refused_address, *row)


@case
def a_folder_that_is_missing_is_named():
    refused_address("unix:/nonexistent/a", "/nonexistent does not exist", code=1)


@case_for_each(PRESETS)
def abstract_names_make_no_file(model):
    name = f"gearbox-address-test-{os.getpid()}"
    if model.axes["accept"] == "reuseport":
        return
    with tempfile.TemporaryDirectory() as folder, \
            Server(*model.arguments, listen=(f"unix:@{name}",), before_exec=lambda: os.chdir(folder)) as server:
        check_equal(server.address, f"unix:@{name}", "the address of the ready line")
        check_equal(os.listdir(folder), [], "files")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(f"\0{name}")
            round_trip(client)


@case_for_each(EACH_ENGINE)
def a_file_has_the_permissions_that_were_asked_for(model):
    if model.axes["accept"] == "reuseport":
        return
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("600", "0666", "777"):
            with Server("--unix-mode", mode, *model.arguments, listen=(f"unix:{folder}/s",)) as server:
                check_equal(stat.S_IMODE(os.stat(f"{folder}/s").st_mode), int(mode, 8), "mode")
                answered(server)


@case
def an_address_has_options_of_its_own():
    with tempfile.TemporaryDirectory() as folder:
        with Server("--unix-mode", "600", listen=(f"unix:{folder}/a", f"unix:{folder}/b,,c=d,,sndbuf=1,unix-mode=666",
                                                  f"unix:{folder}/e,f")):
            modes = {name: oct(os.stat(f"{folder}/{name}").st_mode & 0o777) for name in os.listdir(folder)}
            check_equal(modes, {"a": "0o600", "b,c=d,sndbuf=1": "0o666", "e,f": "0o600"}, "the files")


@case_for_each([model for model in PRESETS if not model.one_at_a_time])
def each_address_may_have_a_service(model):
    with tempfile.NamedTemporaryFile("w") as config:
        config.write("listen 127.0.0.1:0\nlisten chargen=127.0.0.1:0,backlog=5\nlisten echo=127.0.0.1:0\n")
        config.flush()
        process = subprocess.Popen([GEARBOX, "serve", "echo", "--config", config.name, "--set", "chargen.bytes=2",
                                    *model.arguments], stderr=subprocess.PIPE)
        try:
            line = process.stderr.readline().decode()
            ready = re.search(r"serving echo on 127\.0\.0\.1:(\d+); chargen on 127\.0\.0\.1:(\d+); "
                              r"echo on 127\.0\.0\.1:(\d+) \(model", line)
            check(ready, f"the ready line: {line!r}")
            reached("127.0.0.1", int(ready[1]))
            reached("127.0.0.1", int(ready[3]))
            with socket.create_connection(("127.0.0.1", int(ready[2])), PATIENCE_S) as client:
                check_equal(client.makefile("rb").read(), b" !", "what chargen says")
        finally:
            process.terminate()
            check_equal(process.wait(PATIENCE_S), 0, "exit code")
            process.stderr.close()


@case
def a_mode_that_is_none_is_refused():
    for mode in ("rw", "8", "0", "1777"):
        check_refusal(run("serve", "echo", "--listen", "127.0.0.1:0", "--unix-mode", mode), 2, "unix-mode", mode)


@case
def a_client_of_a_star_reaches_it():
    with Server(listen=("*:0",)) as server:
        done = run("load", server.address, "--messages", "10")
        check_equal(done.returncode, 0, f"exit code of load ({done.stderr})")


@case
def a_scope_stays():
    """In a network namespace of its own, where the link-local address is."""
    script = ("ip link set lo up && ip link add gb0 type veth peer name gb1 && "
              "for d in gb0 gb1; do echo 0 > /proc/sys/net/ipv6/conf/$d/accept_dad; ip link set $d up; "
              "ip -6 addr add fe80::5/64 dev $d nodad; done && exec \"$@\"")
    words = ["unshare", "--net", "sh", "-c", script, "sh"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        print("skipped: no network namespaces here", flush=True)
        return
    for model in EACH_ENGINE:
        process = subprocess.Popen([*words, GEARBOX, "serve", "echo", "--listen", "[fe80::5%gb0]:7000",
                                    "--log-level", "info", *model.arguments], stderr=subprocess.PIPE)
        try:
            line = process.stderr.readline().decode()
            check("serving echo on [fe80::5%gb0]:7000 (" in line, f"the ready line: {line!r}")
            subprocess.run(["nsenter", "--net", "--target", str(process.pid), sys.executable, "-c",
                            "import socket; c = socket.create_connection(('fe80::5%gb0', 7000)); c.send(b'x'); c.recv(1)"],
                           check=True)
            line = process.stderr.readline().decode()
            check(re.search(r"connection from \[fe80::5%gb0\]:\d+, echo: closed: ", line), f"the peer: {line!r}")
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
            process.stderr.close()


if __name__ == "__main__":
    main()
