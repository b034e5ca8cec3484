"""A name server of our own, Knot DNS, on a free port of this program's address; and questions to it.

Its zone `test.example` may be updated by the key of its file, `third.example` by another of hmac-sha384, `other.example` by nobody.
"""

import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading

from lib import HOST, PATIENCE_S, Failure, keep, wait_until

KNOT = shutil.which("knotd", path=os.environ.get("PATH", "") + ":/usr/sbin")
ZONE = "test.example"
SECRET = "Wg2SpCWhQ4TDQiMpo/XeCl5RyWAJpSq0/1kp7VZWKmM="
OTHER_SECRET = "AAAApCWhQ4TDQiMpo/XeCl5RyWAJpSq0/1kp7VZWKmM="

_TYPES = {"A": 1, "SOA": 6, "TXT": 16, "AAAA": 28, "SRV": 33}
_CONFIGURATION = """\
server:
    rundir: "{folder}"
    {user}
    listen: {host}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{folder}/db"
key:
  - id: updater
    algorithm: hmac-sha256
    secret: {secret}
  - id: third
    algorithm: hmac-sha384
    secret: {secret}
acl:
  - id: updates
    key: updater
    action: update
  - id: thirds
    key: third
    action: update
template:
  - id: default
    storage: "{folder}"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: test.example
    acl: updates
  - domain: other.example
  - domain: third.example
    acl: thirds
"""
_RECORDS = """\
$ORIGIN {zone}.
$TTL 60
@ SOA ns hostmaster 1 60 60 600 1
@ NS ns
ns A {host}
fixed A {host}
"""


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _skip_name(data, at):
    while data[at]:
        if data[at] >= 0xc0:
            return at + 2
        at += 1 + data[at]
    return at + 1


def _name(data, at):
    labels = []
    while data[at]:
        if data[at] >= 0xc0:
            at = (data[at] & 0x3f) << 8 | data[at + 1]
            continue
        labels.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels)


def _value(data, at, kind, size):
    """(priority, weight, port, target), an address, or a list of texts."""
    rest = data[at:at + size]
    if kind == _TYPES["SRV"]:
        return (*struct.unpack_from("!HHH", rest), _name(data, at + 6))
    if kind == _TYPES["A"]:
        return socket.inet_ntop(socket.AF_INET, rest)
    if kind == _TYPES["AAAA"]:
        return socket.inet_ntop(socket.AF_INET6, rest)
    texts = []
    while kind == _TYPES["TXT"] and rest:
        texts.append(rest[1:1 + rest[0]].decode())
        rest = rest[1 + rest[0]:]
    return texts


def _answers(data, wanted):
    questions, answers = struct.unpack_from("!HH", data, 4)
    at, found = 12, []
    for _ in range(questions):
        at = _skip_name(data, at) + 4
    for _ in range(answers):
        at = _skip_name(data, at)
        kind, _, _, size = struct.unpack_from("!HHIH", data, at)
        at += 10
        if kind == wanted:
            found.append(_value(data, at, kind, size))
        at += size
    return found


class NameServer:
    """It runs from `start` to `stop`; what was updated is forgotten by then."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="gearbox-dns-")
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        self.address = f"{HOST}:{self.port}"
        self.process = None
        self._write("knot.conf", _CONFIGURATION.format(
            folder=self.folder, host=HOST, port=self.port, secret=SECRET,
            user="user: root:root" if os.geteuid() == 0 else ""))
        for zone in (ZONE, "other.example", "third.example"):
            self._write(f"{zone}.zone", _RECORDS.format(zone=zone, host=HOST))
        self.key = self.key_file("updater", SECRET)
        self.third_key = self.key_file("third", SECRET, "hmac-sha384")

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def key_file(self, name, secret, algorithm="hmac-sha256"):
        """The path of a file as tsig-keygen makes it."""
        return self._write(f"{name}-{secret[:4]}.key",
                           f'key "{name}" {{\n\talgorithm {algorithm};\n\tsecret "{secret}";\n}};\n')

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        with log:
            self.process = subprocess.Popen([KNOT, "-c", os.path.join(self.folder, "knot.conf")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=_die_with_parent)
        keep(self.process.pid)
        wait_until(self._answers, "the name server answers")

    def _answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
                raise Failure(f"the name server has ended: {file.read()[-600:]}")
        try:
            return self.ask("ns." + ZONE, "A")
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(PATIENCE_S)
            keep(self.process.pid, False)
            self.process = None

    def send_signal(self, number):
        self.process.send_signal(number)

    def close(self):
        self.stop()
        shutil.rmtree(self.folder)

    def ask(self, name, kind):
        """The values of a name's records of a type; none where there is no such name."""
        question = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        message = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + question + struct.pack("!BHH", 0, _TYPES[kind], 1)
        with socket.create_connection((HOST, self.port), timeout=PATIENCE_S) as client:
            client.sendall(struct.pack("!H", len(message)) + message)
            with client.makefile("rb") as answers:
                size, = struct.unpack("!H", answers.read(2))
                return _answers(answers.read(size), _TYPES[kind])

    def arguments(self, name, *more, key=None):
        """What a server is given to announce itself by that name."""
        return ("--announce", f"{name}.{ZONE}", "--announce-server", self.address, "--announce-key", key or self.key,
                *more)

    def found(self, name):
        """[(address, port)] of who serves under that name now, as a client finds them that knows only that."""
        return sorted((address, port) for _, _, port, target in self.ask(f"{name}.{ZONE}", "SRV")
                      for address in self.ask(target, "A"))

    def await_found(self, name, where):
        wait_until(lambda: self.found(name) == sorted(where), f"{name} is found at {where}")

    def left(self, name, host):
        """All records of a service and its host."""
        return [record for owner, kinds in ((name, ("SRV", "TXT")), (host, ("A", "AAAA", "TXT"))) for kind in kinds
                for record in self.ask(f"{owner}.{ZONE}", kind)]


class Impostor:
    """A name server that answers each message by what `answer(message)` makes, and closes where that is None."""

    def __init__(self, answer):
        self.listener = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self.listener.getsockname()[1]}"
        self.answer = answer
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed
            try:
                with client, client.makefile("rb") as messages:
                    while size := messages.read(2):
                        answer = self.answer(messages.read(struct.unpack("!H", size)[0]))
                        if answer is None:
                            break
                        client.sendall(answer)
            except OSError:
                pass  # who asked has gone

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE_S)


def framed(message):
    """As TCP carries it."""
    return struct.pack("!H", len(message)) + message


def granting(seconds):
    """Takes everything, knows nothing, and grants a lease (RFC 9664) of so long."""
    lease = struct.pack("!HHI", 2, 4, seconds)
    option = struct.pack("!BHHIH", 0, 41, 1232, 0, len(lease)) + lease
    return lambda message: framed(message[:2] + bytes([message[2] & 0x78 | 0x80, 0]) + struct.pack("!HHHH", 0, 0, 0, 1)
                                  + option)
