#!/usr/bin/env python3
"""The service `syslog`: every record is in the file once and in order, or counted as lost; what is none names its peer."""

import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

from certificates import TLS, made_once, make_tls
from client import cut, ending, reset, seeded
from lib import (HOST, PATIENCE_S, SMALL, Server, add_case, case, case_for_each, check, check_equal, check_refusal,
                 descriptors, holds, main, receive_all, run, wait_until)
from models import EACH_ENGINE, PRESETS

CLIENTS = 3
RECORDS = 60 if SMALL else 300


def counted_now(server):
    return server.counters()["services"]["syslog"]


def stop(server, clients):
    """A drain, in which clients end when the server does."""
    server.send_signal()
    for client in clients:
        ending(client)
        client.close()
    server.wait()


def stored(visit, *arguments):
    """The lines of the file, and what was counted, after `visit` was called with the server."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        path = os.path.join(folder, "log")
        with Server(*arguments, "--set", f"file={path}", "--summary", service="syslog",
                    before_exec=lambda: os.dup2(output.fileno(), 1)) as server:
            visit(server)
        output.seek(0)
        with open(path, "rb") as file:
            return file.read().split(b"\n"), json.loads(output.read())["services"]["syslog"]


def framed(record, counted):
    return b"%d %s" % (len(record), record) if counted else record + b"\n"


def records_of(client, randomness):
    """Records and the bytes that they are sent as, both framings mixed."""
    records = [b"<13>1 - host %d %d - - " % (client, number) + b"x" * randomness.choice((0, 9, 90, 900))
               for number in range(RECORDS)]
    return records, b"".join(framed(record, randomness.random() < 0.5) for record in records)


def every_record_is_stored_once_and_in_order(model, *sets):
    """Also when a stop comes while clients are there, who have sent all."""
    randomness, seed = seeded()
    talks = [records_of(client, randomness) for client in range(CLIENTS)]
    pieces = [cut(data, randomness, 5) for _, data in talks]

    def visit(server):
        clients = [server.connect() for _ in range(CLIENTS)]
        for client, bytes_of_it in zip(clients, pieces):
            for piece in bytes_of_it:
                client.sendall(piece)
        # Where one is served at a time, the others wait until it ends.
        if model.serving(CLIENTS) is None:
            for client in clients:
                client.shutdown(socket.SHUT_WR)
        wait_until(lambda: counted_now(server)["accepted"] == CLIENTS * RECORDS, "all is accepted")
        stop(server, clients)

    lines, counted = stored(visit, *(model.serving(CLIENTS) or model.arguments), *sets)
    check_equal(lines.pop(), b"", "what is behind the last line")
    check_equal((counted["accepted"], counted["stored"], counted["lost"], counted["waiting"]),
                (CLIENTS * RECORDS, CLIENTS * RECORDS, 0, 0), f"counted (seed {seed})")
    check_equal(len(lines), CLIENTS * RECORDS, f"lines (seed {seed})")
    for client, (records, _) in enumerate(talks):
        got = [line for line in lines if line.startswith(b"<13>1 - host %d " % client)]
        check(got == records, f"client {client}: its records, once and in order (seed {seed})")


for preset in PRESETS:
    add_case(f"every_record_is_stored_once_and_in_order[{preset}]", every_record_is_stored_once_and_in_order, preset)
for preset in EACH_ENGINE:
    for policy in ("interval", "batch"):
        add_case(f"every_record_is_stored_once_and_in_order[{preset},fsync={policy}]",
                 every_record_is_stored_once_and_in_order, preset, "--set", f"fsync={policy}")


SENT = int(os.environ.get("SYSLOG_RECORDS", "200" if SMALL else "1000"))
SENDING_S = PATIENCE_S + SENT // 2000
RSYSLOGD = shutil.which("rsyslogd", path=os.environ.get("PATH", "") + ":/usr/sbin")
RSYSLOG_CONFIG = """
main_queue(queue.workerThreads="1")  # several do not keep the order
global(workDirectory="{folder}")
module(load="imfile")
template(name="record" type="string" string="<13>1 - host {name} - - - %rawmsg%")
input(type="imfile" file="{source}" tag="t" ruleset="forward")
ruleset(name="forward") {{
    action(type="omfwd" target="{host}" port="{port}" protocol="tcp" TCP_Framing="{framing}" template="record"
           action.resumeRetryCount="-1")
}}
"""


def logger(server, name, source, folder, counted):
    """util-linux's, which sends the lines of a file and ends."""
    return subprocess.Popen(["logger", "--server", server.host, "--port", str(server.port), "--tcp", "--file", source,
                             "--rfc5424=notime,nohost", "--tag", name, *(["--octet-count"] if counted else [])],
                            cwd=folder)


def rsyslogd(server, name, source, folder, counted):
    """It forwards the lines of a file, and stays."""
    own = os.path.join(folder, name)
    os.mkdir(own)
    config = os.path.join(own, "config")
    with open(config, "w", encoding="ascii") as file:
        file.write(RSYSLOG_CONFIG.format(folder=own, name=name, source=source, host=server.host, port=server.port,
                                         framing="octet-counted" if counted else "traditional"))
    return subprocess.Popen([RSYSLOGD, "-n", "-f", config, "-i", os.path.join(own, "pid")])


def senders_of(index):
    """(what is started, its name, whether lengths come first): both of each, but rsyslog's by turns."""
    both = [(logger, "lines", False), (logger, "counted", True)]
    return both + ([(rsyslogd, "rsyslog", index % 2 == 0)] if RSYSLOGD else [])


def send_all(server, senders, source, folder, together):
    """Each sends all of the source, at the same time or one behind the other; returns when all is accepted."""
    running = []
    try:
        for number, (start, name, counted) in enumerate(senders, 1):
            running.append(start(server, name, source, folder, counted))
            if number == len(senders) or not together:
                wait_until(lambda: counted_now(server)["accepted"] >= SENT * number, f"{name} has sent all", SENDING_S,
                           pause=0.05)
                for sender in running:
                    if sender.args[0] != "logger":
                        sender.terminate()
                    sender.wait(PATIENCE_S)
                running.clear()
    finally:
        for sender in running:
            sender.kill()
            sender.wait()


def records_of_other_senders_arrive_once_and_in_order(model, index):
    senders = senders_of(index)
    with tempfile.TemporaryDirectory() as folder:
        path, source = os.path.join(folder, "log"), os.path.join(folder, "source")
        with open(source, "w", encoding="ascii") as file:
            file.writelines(f"record {number} of them\n" for number in range(SENT))
        with Server(*(model.serving(len(senders)) or model.arguments), "--set", f"file={path}", service="syslog") as server:
            send_all(server, senders, source, folder, model.serving(len(senders)) is not None)
        found = {name: 0 for _, name, _ in senders}
        with open(path, encoding="ascii") as file:
            for line in file:
                name = line.split(" ", 4)[3]
                check(line.endswith(f" record {found[name]} of them\n"), f"{name} behind {found[name]}: {line!r}")
                found[name] += 1
        check_equal(found, {name: SENT for name in found}, "records of each")


def a_rotation_loses_and_doubles_nothing(model):
    """The file is moved away again and again under senders, as logrotate does: all is in one of the files, in order."""
    rotations, total = 4, 4 if SMALL else 12
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        with Server(*(model.serving(CLIENTS) or model.arguments), "--set", f"file={path}", service="syslog") as server:
            served = CLIENTS if model.serving(CLIENTS) else 1
            clients = [server.connect() for _ in range(served)]
            sent = 0
            for part in range(total):
                for number in range(part * 50, part * 50 + 50):
                    for client, connection in enumerate(clients):
                        connection.sendall(framed(b"<13>1 - host %d %d - - x" % (client, number), number % 2))
                        sent += 1
                if part % (total // rotations) == 0:
                    os.rename(path, f"{path}.{part:02}")
                    server.send_signal(signal.SIGHUP)
                    wait_until(lambda: os.path.exists(path), "there is a new file")
            wait_until(lambda: counted_now(server)["accepted"] == sent, "all is accepted")
            held = [target for pid in server.processes() for target in descriptors(pid).values()
                    if target.startswith(path)]
            wait_until(lambda: all(not holds(pid, f"{path}.{total - total // rotations:02}")
                                   for pid in server.processes()), "nobody has a file that was moved away open")
            check(held, "the file is open")
            stop(server, clients)
        found = [[] for _ in clients]
        for name in sorted(os.listdir(folder), key=lambda name: (name == "log", name)):
            with open(os.path.join(folder, name), "rb") as file:
                for line in file:
                    words = line.split()
                    found[int(words[3])].append(int(words[4]))
        check_equal(found, [list(range(total * 50))] * len(clients), "records of each, in the order of the files")


for preset in EACH_ENGINE if SMALL else PRESETS:
    add_case(f"a_rotation_loses_and_doubles_nothing[{preset}]", a_rotation_loses_and_doubles_nothing, preset, waits=True)


if not RSYSLOGD:
    print("rsyslogd: not installed, its records are not tried")
for number, preset in enumerate(EACH_ENGINE if SMALL else PRESETS):
    add_case(f"records_of_other_senders_arrive_once_and_in_order[{preset}]",
             records_of_other_senders_arrive_once_and_in_order, preset, number, waits=SENT < 10000)


@case_for_each(EACH_ENGINE)
def senders_wait_for_a_disk_that_is_slower_than_they(model):
    """One byte may wait: so each batch pauses all, and all go on."""
    every_record_is_stored_once_and_in_order(model, "--set", "memory=1")


def is_lost_and_counted(model):
    """The disk is full: what was taken waits for room, reading stops, and a stop gives it up."""
    with tempfile.TemporaryFile() as output:
        with Server(*model.arguments, "--set", "file=/dev/full", "--set", "memory=20", "--summary", service="syslog",
                    before_exec=lambda: os.dup2(output.fileno(), 1)) as server:
            server.expected_log = "No space left on device"
            with server.connect() as client:
                client.sendall(b"<1>one\n<2>a record that is more\n")
                wait_until(lambda: counted_now(server)["accepted"] == 2, "it is accepted")
                client.sendall(b"<3>the last, which nobody has read perhaps\n")
                now = counted_now(server)
                check_equal((now["stored"], now["lost"]), (0, 0), "none is given up")
                stop(server, [client])
        output.seek(0)
        counted = json.loads(output.read())["services"]["syslog"]
    check(counted["accepted"] in (2, 3), f"{counted}")
    check_equal((counted["stored"], counted["lost"], counted["waiting"]), (0, counted["accepted"], 0), "counted")


for preset in PRESETS:
    add_case(f"what_a_full_disk_does_not_take_is_lost_and_counted[{preset}]", is_lost_and_counted, preset)


@case
def a_record_is_one_line_whatever_is_in_it():
    def visit(server):
        with server.connect() as client:
            client.sendall(b"15 <1>a\nb\r\n\0\x7f\t\x1b\xc3\xbc\n<2>c\r\n6 <3>d\n\n")
            client.shutdown(socket.SHUT_WR)
            receive_all(client)

    lines, _ = stored(visit)
    check_equal(lines, [b"<1>a#012b#015#012#000#177#011#033\xc3\xbc", b"<2>c", b"<3>d#012", b""], "lines")


@case_for_each(EACH_ENGINE)
def what_is_no_record_names_its_peer_and_ends_its_connection(model):
    peers = []

    def visit(server):
        server.expected_log = "syslog: "
        for text in (b"<1>good\nhello\n", b"<2>good\n99999999999 <", b"12<"):
            with server.connect() as client:
                peers.append("%s:%d" % client.getsockname()[:2])
                client.sendall(text)
                check_equal(ending(client), "FIN", "the end")
        server.stop()
        for peer, word in zip(peers, ("neither a length nor <", "larger than max-message", "no space")):
            check(any(f"syslog: {peer}: " in line and word in line for line in server.log), f"{peer}: {server.log}")

    lines, counted = stored(visit, *model.arguments)
    # Of two connections on two workers either may be stored first.
    check_equal(sorted(lines), [b"", b"<1>good", b"<2>good"], "lines")
    check_equal((counted["accepted"], counted["ill_framed"], counted["oversized"]), (2, 2, 1), "counted")


CERTIFICATES = made_once(make_tls).name
TLS_HERE = [word.replace("FOLDER", CERTIFICATES) for word in (*TLS, "--tls-client-ca", "FOLDER/ca.pem")]


def tls_sender(server):
    context = ssl.create_default_context(cafile=f"{CERTIFICATES}/ca.pem")
    context.load_cert_chain(f"{CERTIFICATES}/client.pem", f"{CERTIFICATES}/client.key")
    return context.wrap_socket(server.connect(), server_hostname="localhost")


@case_for_each(EACH_ENGINE)
def records_over_tls_have_their_length_in_front(model):
    """RFC 5425: whoever leaves it out is ill-framed, and the others are stored. It is for senders with certificates."""
    records = [b"<13>1 - host app %d - - " % number + b"x" * size for number, size in enumerate((0, 9, 3000, 20000))]

    def visit(server):
        server.expected_log = ": notice: "
        with tls_sender(server) as client:
            for record in records:
                client.sendall(framed(record, True))
            client.unwrap()
        with tls_sender(server) as client:
            client.sendall(framed(b"<13>1 - the first", True) + framed(b"<13>1 - has none", False)
                           + framed(b"<13>1 - the third", True))
            with contextlib.suppress(OSError):
                ending(client)

    lines, counted = stored(visit, *model.arguments, *TLS_HERE)
    # Of two connections, which two workers may have.
    check_equal(sorted(lines), sorted([*records, b"<13>1 - the first", b""]), "the lines")
    check_equal([line for line in lines if line in records], records, "the lines of one of them, in order")
    check_equal((counted["accepted"], counted["lost"], counted["ill_framed"]), (len(records) + 1, 0, 1), f"counted: {counted}")


RSYSLOG_TLS = """
global(workDirectory="{folder}" defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{certificates}/ca.pem"
       defaultNetstreamDriverCertFile="{certificates}/client.pem" defaultNetstreamDriverKeyFile="{certificates}/client.key")
module(load="imfile")
template(name="record" type="string" string="<13>1 - host tls - - - %rawmsg%")
input(type="imfile" file="{source}" tag="t" ruleset="forward")
ruleset(name="forward") {{
    action(type="omfwd" target="{host}" port="{port}" protocol="tcp" TCP_Framing="octet-counted" template="record"
           action.resumeRetryCount="-1" StreamDriver="ossl" StreamDriverMode="1" StreamDriverAuthMode="x509/name"
           StreamDriverPermittedPeers="localhost")
}}
"""


def rsyslog_sends_over_tls(model):
    """It shows its certificate, and looks at the server's name."""
    lines_sent = [b"line %d of many" % number for number in range(RECORDS)]
    with tempfile.TemporaryDirectory() as folder:
        source, config = os.path.join(folder, "source"), os.path.join(folder, "config")
        with open(source, "wb") as file:
            file.writelines(line + b"\n" for line in lines_sent)

        def visit(server):
            with open(config, "w", encoding="ascii") as file:
                file.write(RSYSLOG_TLS.format(folder=folder, certificates=CERTIFICATES, source=source, host=server.host,
                                              port=server.port))
            sender = subprocess.Popen([RSYSLOGD, "-n", "-f", config, "-i", os.path.join(folder, "pid")])
            try:
                wait_until(lambda: counted_now(server)["accepted"] >= RECORDS, "it has sent all", SENDING_S, pause=0.05)
                sender.terminate()
                sender.wait(PATIENCE_S)
            finally:
                sender.kill()
                sender.wait()

        lines, counted = stored(visit, *model.arguments, *TLS_HERE)
    check_equal(lines, [b"<13>1 - host tls - - - " + line for line in lines_sent] + [b""], "the lines")
    check_equal(counted["lost"], 0, "how many were lost")


if RSYSLOGD and glob.glob("/usr/lib/*/rsyslog/lmnsd_ossl.so"):
    for preset in EACH_ENGINE:
        if preset in PRESETS:
            add_case(f"rsyslog_sends_over_tls[{preset}]", rsyslog_sends_over_tls, preset, waits=True)
else:
    print("rsyslogd with the ossl driver: not installed, its records over TLS are not tried")


@case_for_each(EACH_ENGINE)
def what_its_sender_cuts_is_stored_as_such_and_names_its_peer(model):
    """By a FIN, a reset, a timeout and a stop: with either framing."""
    peers = []

    def send(server, text):
        client = server.connect()
        peers.append("%s:%d" % client.getsockname()[:2])
        client.sendall(text)
        return client

    def visit(server):
        server.expected_log = "is cut behind|drain"
        for number, text in enumerate((b"<1>good\n<1>fin", b"9 <2>fin")):
            with send(server, text) as client:
                client.shutdown(socket.SHUT_WR)
                check_equal(ending(client), "FIN", "the end")
            wait_until(lambda: counted_now(server)["cut"] > number, "it is counted")
        client = send(server, b"<3>good\n<3>reset")
        wait_until(lambda: counted_now(server)["accepted"] >= 4, "what is before is accepted")
        reset(client)
        wait_until(lambda: counted_now(server)["cut"] == 3, "it is counted")
        with send(server, b"<4>timeout") as client:
            ending(client)
        check_equal(counted_now(server)["cut"], 4, "cut")
        server.stop()
        for number in (0, 1, 3):
            check(any(f"syslog: {peers[number]}: its last record is cut" in line for line in server.log),
                  f"{peers[number]}: {server.log}")

    lines, counted = stored(visit, *model.arguments, "--read-timeout", "300ms")
    check_equal(sorted(lines), [b"", b"<1>fin#cut", b"<1>good", b"<2>fin#cut", b"<3>good", b"<3>reset#cut",
                                b"<4>timeout#cut"], "lines")
    check_equal((counted["accepted"], counted["stored"], counted["cut"]), (6, 6, 4), "counted")


WRONG = [
    ("no_file", (), 2, ("no file", "--set file=PATH")),
    ("an_empty_file", ("file=",), 2, ("no file",)),
    ("an_unknown_fsync", ("file=/dev/null", "fsync=often"), 2, ("often", "interval")),
    ("no_memory_at_all", ("file=/dev/null", "memory=0"), 2, ("memory",)),
    ("a_file_that_cannot_be_synced", ("file=/dev/null", "fsync=batch"), 2, ("/dev/null", "fsync=never")),
    ("a_file_in_no_folder", ("file=/nowhere/at/all",), 1, ("/nowhere/at/all", "No such file")),
]


def is_refused(sets, code, words):
    check_refusal(run("serve", "syslog", "--listen", f"{HOST}:0", *[word for pair in sets for word in ("--set", pair)]),
                  code, *words)


for wrong, wrong_sets, wrong_code, wrong_words in WRONG:
    add_case(f"{wrong}_is_refused", is_refused, wrong_sets, wrong_code, wrong_words)


if __name__ == "__main__":
    main()
