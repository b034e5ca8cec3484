#!/usr/bin/env python3
"""Being found: a server's records come to a real name server when it is ready, and go when it drains or dies."""

import atexit
import os
import signal
import socket
import subprocess
import tempfile

from client import answered, reset, round_trip
from lib import GEARBOX, HOST, PATIENCE_S, Server, case, case_for_each, check, check_equal, main, run, wait_until
from models import EACH_ENGINE, MODELS
from nameserver import KNOT, OTHER_SECRET, ZONE, Impostor, NameServer, framed, granting

names = NameServer() if KNOT else None


def _announcing(service, host, *more, key=None):
    return names.arguments(service, "--announce-host", host, *more, key=key)


def _reach(service):
    """Connect to whoever is found under a name, and be answered."""
    address, port = names.found(service)[0]
    with socket.create_connection((address, port), timeout=PATIENCE_S) as client:
        round_trip(client)


def _await_state(server, state):
    """What it says of its names, once they are so."""
    return wait_until(lambda: (told := server.counters()["announce"])["state"] == state and told,
                      f"its names are {state}")


def is_found_while_it_serves(model):
    service, host = f"_m{MODELS.index(model)}._tcp", f"m{MODELS.index(model)}"
    with Server(*model.arguments, *_announcing(service, host)) as server:
        names.await_found(service, [(HOST, server.port)])
        _reach(service)
        check_equal(server.stop(), 0, "exit code")
        check_equal(names.left(service, host), [], "what is left when it has ended")


def names_go_before_the_drain():
    with Server(*_announcing("_drain._tcp", "drain"), service="chargen") as server:
        names.await_found("_drain._tcp", [(HOST, server.port)])
        with server.connect() as client:
            wait_until(lambda: server.counters()["connections"] == 1, "it has the client, who does not read")
            server.send_signal()
            names.await_found("_drain._tcp", [])
            check(server.process.poll() is None, "it has ended before its client")
            reset(client)
        server.wait()


def _kill(server):
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.expected_code = -signal.SIGKILL


def a_server_that_was_killed_disappears():
    with Server(*_announcing("_kill._tcp", "kill")) as server:
        names.await_found("_kill._tcp", [(HOST, server.port)])
        _kill(server)
        wait_until(lambda: not names.left("_kill._tcp", "kill"), "nothing is left of it")


def _await_said(daemon, what):
    while what not in daemon.recv(4096):
        pass


def what_the_guard_does_is_told_where_the_server_told_it():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(f"{folder}/socket")
        daemon.settimeout(PATIENCE_S)
        process = subprocess.Popen([GEARBOX, "serve", "echo", "--listen", f"{HOST}:0", "--log-format=syslog", "--log-level=info",
                                    f"--log-socket={folder}/socket", *_announcing("_told._tcp", "told")], stderr=subprocess.DEVNULL)
        try:
            _await_said(daemon, b": announced _told._tcp")
        finally:
            process.kill()
            process.wait()
        _await_said(daemon, b": _told._tcp." + ZONE.encode() + b" is not announced any more")


def who_shares_a_name_removes_what_nobody_renews():
    with Server(*_announcing("_two._tcp", "two", "--announce-ttl", "1s")) as one:
        names.await_found("_two._tcp", [(HOST, one.port)])
        with Server(*_announcing("_two._tcp", "two", "--announce-ttl", "1s", "--announce-guard", "no")) as other:
            names.await_found("_two._tcp", [(HOST, one.port), (HOST, other.port)])
            _kill(other)
        names.await_found("_two._tcp", [(HOST, one.port)])
        check(one.counters()["announce"]["expired"] > 0, "it says nothing of another's lease")
        check_equal(len(names.ask("two." + ZONE, "TXT")), 1, "leases of the host")


def one_of_two_leaves_and_the_other_stays():
    with Server(*_announcing("_pair._tcp", "pair")) as one:
        with Server(*_announcing("_pair._tcp", "pair")) as other:
            names.await_found("_pair._tcp", [(HOST, one.port), (HOST, other.port)])
            check_equal(other.stop(), 0, "exit code")
        check_equal(names.found("_pair._tcp"), [(HOST, one.port)], "who is found")
    check_equal(names.left("_pair._tcp", "pair"), [], "what is left of both")


def many_that_begin_at_once_are_all_found():
    servers = [Server(*_announcing("_many._tcp", f"many{i % 2}")) for i in range(6)]
    try:
        names.await_found("_many._tcp", [(HOST, server.port) for server in servers])
        for server in servers:
            server.send_signal()
        for server in servers:
            check_equal(server.wait(), 0, "exit code")
            server.process.stderr.close()
        check_equal(names.left("_many._tcp", "many0") + names.left("_many._tcp", "many1"), [], "what is left")
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.kill()


def a_client_follows_a_name_from_port_to_port():
    ports = set()
    for _ in range(3):
        with Server(*_announcing("_move._tcp", "move")) as server:
            names.await_found("_move._tcp", [(HOST, server.port)])
            _reach("_move._tcp")
            done = run("load", f"_move._tcp.{ZONE}", "--resolver", names.address, "--messages", "10", "--connections",
                       "1")
            check(done.returncode == 0 and server.counters()["accepted"] > 1, f"our own client says {done.stderr}")
            ports.add(server.port)
    check(len(ports) > 1, "the kernel gave the same port each time")


def who_has_only_the_name_goes_on_being_served_from_port_to_port():
    with Server("--resolver", names.address, "--set", f"upstream=_moved._tcp.{ZONE}", service="proxy") as proxy:
        def served():
            try:
                with proxy.connect() as client:
                    client.sendall(b"are you there?\n")
                    return client.recv(100) == b"are you there?\n"
            except OSError:
                return False  # nobody is there as far as it knows
        for _ in range(2):
            with Server(*_announcing("_moved._tcp", "moved", "--announce-ttl", "1s")) as server:
                wait_until(lambda: served() and server.counters()["accepted"], "the proxy has found it", pause=0.05)


def each_address_may_have_a_name_of_its_own():
    listen = (f"{HOST}:0", f"{HOST}:0,announce=_second._tcp.{ZONE},announce-priority=7", f"{HOST}:0,announce=none")
    with Server(*_announcing("_first._tcp", "both"), listen=listen) as server:
        ports = [int(address.rsplit(":", 1)[1]) for address in server.addresses]
        names.await_found("_first._tcp", [(HOST, ports[0])])
        names.await_found("_second._tcp", [(HOST, ports[1])])
        check_equal(names.ask(f"_second._tcp.{ZONE}", "SRV"), [(7, 0, ports[1], f"both.{ZONE}")], "the second's record")
    check_equal(names.left("_first._tcp", "both") + names.left("_second._tcp", "both"), [], "what is left")


def _third(server):
    """All that stands in the other zone."""
    return [record for owner, kinds in (("_zones._tcp", ("SRV", "TXT")), ("zones", ("A", "TXT"))) for kind in kinds
            for record in server.ask(f"{owner}.third.example", kind)]


def one_address_may_have_names_in_several_zones_each_with_its_key():
    both = f"_zones._tcp.{ZONE},_zones._tcp.third.example"
    with Server("--announce", both, "--announce-server", names.address, "--announce-key", f"{names.key},{names.third_key}",
                "--announce-host", "zones") as server:
        names.await_found("_zones._tcp", [(HOST, server.port)])
        wait_until(lambda: names.ask("_zones._tcp.third.example", "SRV") == [(0, 0, server.port, "zones.third.example")],
                   "it is found in the other zone")
        told = _await_state(server, "registered")
        check_equal((sorted(told["names"]), told["updates"] >= 2), (sorted(both.split(",")), True), "what is told of all")
        check_equal([(zone["zone"], zone["state"]) for zone in told["zones"]],
                    [(ZONE, "registered"), ("third.example", "registered")], "what is told of each")
        check_equal(server.stop(), 0, "exit code")
        check_equal(names.left("_zones._tcp", "zones") + _third(names), [], "what is left when it has ended")


def a_zone_that_refuses_keeps_nobody_from_the_other():
    with Server("--announce", f"_zones._tcp.third.example,_half._tcp.{ZONE}", "--announce-server", names.address,
                "--announce-key", names.key, "--announce-host", "half", expected_log="cannot announce _zones.*third.example") as server:
        names.await_found("_half._tcp", [(HOST, server.port)])
        told = _await_state(server, "retrying")
        check_equal([zone["state"] for zone in told["zones"]], ["retrying", "registered"], "the states")
        check(told["error"] and told["error"] == told["zones"][0]["error"], f"the error: {told}")


def the_name_server_may_have_a_name():
    """Whoever removes what a dead server leaves resolves it as well."""
    name = f"ns.{ZONE}:{names.address.rsplit(':', 1)[1]}"
    arguments = ("--announce", f"_named._tcp.{ZONE}", "--announce-server", name, "--announce-key", names.key,
                 "--announce-host", "named", "--resolver", names.address)
    with Server(*arguments) as server:
        names.await_found("_named._tcp", [(HOST, server.port)])
        check_equal(_await_state(server, "registered")["zones"][0]["server"], name, "what is told of it")
        _kill(server)
        wait_until(lambda: not names.left("_named._tcp", "named"), "nothing is left of it")
    with Server("--announce", f"_named._tcp.{ZONE}", "--announce-server", f"none.{ZONE}", "--resolver", names.address,
                expected_log=f"cannot announce _named.*none.{ZONE}:53: it does not resolve: .*NXDOMAIN") as server:
        _await_state(server, "retrying")
        answered(server)


def addresses_of_somebody_else_stay():
    with Server(*_announcing("_fixed._tcp", "fixed")) as server:
        names.await_found("_fixed._tcp", [(HOST, server.port)])
    check_equal(names.left("_fixed._tcp", "fixed"), [HOST], "what is left: the record of the zone's file")


def a_key_that_is_refused_is_told_and_it_serves():
    for key, said in ((names.key_file("updater", OTHER_SECRET), "BADSIG"),
                      (names.key_file("stranger", OTHER_SECRET), "BADKEY")):
        with Server(*_announcing("_key._tcp", "key", key=key), expected_log=f"cannot announce _key.*{said}") as server:
            announced = _await_state(server, "retrying")
            check(said in announced["error"], f"its state says {announced}")
            answered(server)


def an_update_that_is_refused_is_told_and_it_serves():
    for arguments, said in ((("--announce", "_echo._tcp.other.example", "--announce-key", names.key), "BADKEY|NOTAUTH"),
                            (("--announce", "_echo._tcp.test.example"), "NOTAUTH|REFUSED")):
        with Server(*arguments, "--announce-server", names.address,
                    expected_log=f"cannot announce _echo.*({said})") as server:
            _await_state(server, "retrying")
            answered(server)


def who_is_told_to_stop_at_once_is_cleared_away():
    with Server(*_announcing("_hasty._tcp", "hasty"), expected_log="could not be taken back in time") as server:
        names.await_found("_hasty._tcp", [(HOST, server.port)])
        names.send_signal(signal.SIGSTOP)
        server.send_signal()
        _await_state(server, "removing")
        check_equal(server.stop(), 0, "exit code")
        names.send_signal(signal.SIGCONT)
        wait_until(lambda: not names.left("_hasty._tcp", "hasty"), "nothing is left of it")


def a_name_server_that_is_gone_for_a_while_is_tried_again():
    other = NameServer()
    try:
        with Server(*other.arguments("_later._tcp", "--announce-host", "later", "--announce-ttl", "1s",
                                     "--announce-guard", "no"),
                    expected_log="cannot announce _later.*") as server:
            _await_state(server, "retrying")
            answered(server)
            other.start()
            other.await_found("_later._tcp", [(HOST, server.port)])
            other.stop()  # which forgets
            _await_state(server, "retrying")
            other.start()
            other.await_found("_later._tcp", [(HOST, server.port)])
            # One that does not answer holds nobody up.
            other.send_signal(signal.SIGSTOP)
            check_equal(server.stop(), 0, "exit code")
            check(any("could not be taken back in time" in line for line in server.log), f"it says {server.log}")
            server.expected_log += "|could not be taken back in time"
    finally:
        other.close()


def what_is_no_name_server_is_told_and_it_serves():
    for answer, said in ((lambda _: None, "closed the connection"),
                         (lambda _: b"\0\0", "no DNS message"),
                         (lambda _: framed(b"\xff" * 65535), "no DNS message"),
                         (framed, "an answer to something else"),
                         (lambda message: granting(9)(bytes(2) + message[2:]), "an answer to something else"),
                         (lambda message: framed(message[:2] + b"\x80\2" + message[4:]), "SERVFAIL"),
                         (lambda message: framed(message[:2] + b"\x80\0" + message[4:]), "which zone it is in")):
        impostor = Impostor(answer)
        with Server("--announce", "_odd._tcp.test.example", "--announce-server", impostor.address,
                    expected_log=f"cannot announce _odd.*{said}") as server:
            check(said in _await_state(server, "retrying")["error"], f"it does not say {said}")
            answered(server)
        impostor.close()


def a_name_server_that_keeps_leases_is_believed():
    impostor = Impostor(granting(30))
    with Server("--announce", "_lease._tcp.test.example", "--announce-server", impostor.address, "--announce-zone",
                ZONE, "--announce-ttl", "1h") as server:
        told = _await_state(server, "registered")
        check_equal((told["leased"], told["life_s"]), (True, 30), "what was granted")
        check_equal(server.stop(), 0, "exit code")
    impostor.close()


def _refusal(*arguments):
    done = subprocess.run([GEARBOX, "serve", "echo", "--listen", HOST + ":0", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stderr.decode()


def what_cannot_be_announced_is_refused():
    named = ("--announce", "_echo._tcp.test.example")
    at = (*named, "--announce-server", "127.0.0.1:9")
    with open(os.path.join(names.folder, "no.key"), "w", encoding="ascii") as file:
        file.write('key "a" { algorithm hmac-md5; secret "AAAA"; };')
    for arguments, said in (
            (named, "announce-server"),
            ((*named, "--announce-server", "no body"), "is no name server"),
            ((*named, "--announce-server", "127.0.0.1,127.0.0.2"), "announce-server: 2 for 1 name to announce"),
            (("--announce", "echo.test.example", "--announce-server", "127.0.0.1"), "no name of a service"),
            ((*at, "--announce-zone", "other.example"), "not in the zone"),
            ((*at, "--announce-key", file.name), "hmac-sha512"),
            ((*at, "--announce-address", "localhost"), "no IP address"),
            ((*at, "--announce-host", "a b"), "no domain name")):
        code, text = _refusal(*arguments)
        check_equal(code, 2, f"exit code of {arguments}")
        check(said in text, f"{arguments} gets {text!r}")
    code, text = _refusal(*at, "--announce-key", "/nowhere.key")
    check(code == 1 and "cannot read the key /nowhere.key" in text, f"a missing key gets {code} {text!r}")


if KNOT:
    names.start()
    atexit.register(names.close)
    models = MODELS if os.environ.get("BLACKBOX_CLIENTS") == "all" else EACH_ENGINE
    case_for_each(models, waits=True)(is_found_while_it_serves)
    for function in (names_go_before_the_drain, a_server_that_was_killed_disappears,
                     what_the_guard_does_is_told_where_the_server_told_it,
                     who_shares_a_name_removes_what_nobody_renews, one_of_two_leaves_and_the_other_stays,
                     many_that_begin_at_once_are_all_found, a_client_follows_a_name_from_port_to_port,
                     who_has_only_the_name_goes_on_being_served_from_port_to_port,
                     each_address_may_have_a_name_of_its_own,
                     one_address_may_have_names_in_several_zones_each_with_its_key,
                     a_zone_that_refuses_keeps_nobody_from_the_other, the_name_server_may_have_a_name,
                     addresses_of_somebody_else_stay,
                     a_key_that_is_refused_is_told_and_it_serves,
                     an_update_that_is_refused_is_told_and_it_serves, who_is_told_to_stop_at_once_is_cleared_away,
                     a_name_server_that_is_gone_for_a_while_is_tried_again,
                     what_is_no_name_server_is_told_and_it_serves,
                     a_name_server_that_keeps_leases_is_believed, what_cannot_be_announced_is_refused):
        case(function)


if __name__ == "__main__":
    if KNOT:
        main()
    else:
        print("skipped: there is no knotd here\n0 passed, 0 failed", flush=True)
