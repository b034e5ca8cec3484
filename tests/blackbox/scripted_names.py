"""A name server for tests: answers are scripted, by name and type, over UDP and TCP."""

import contextlib
import socket
import socketserver
import struct
import threading

A, SOA, AAAA, SRV = 1, 6, 28, 33
NXDOMAIN, SERVFAIL = 3, 2


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def address(host, ttl=1):
    return A, ttl, socket.inet_aton(host)


def service(priority, weight, port, target, ttl=1):
    return SRV, ttl, struct.pack("!HHH", priority, weight, port) + encoded(target)


def _read_question(message):
    labels, at = [], 12
    while length := message[at]:
        labels.append(message[at + 1:at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), struct.unpack_from("!H", message, at + 1)[0], message[12:at + 5]


class NameServer(contextlib.AbstractContextManager):
    """`records[name]` is a list of address() and service(), an rcode, or a function that gets the question and returns the
    whole message, or None for silence. What is not there is NXDOMAIN for `negative_ttl` seconds."""

    def __init__(self, records, negative_ttl=60):
        self.records = records
        self.negative_ttl = negative_ttl
        self.asked = []  # (name, type, over TCP)
        self.truncates = set()  # names whose answer over UDP is cut
        server = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self):
                message, listener = self.request
                if answer := server.answer(message, False):
                    listener.sendto(answer, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self):
                while head := self.rfile.read(2):
                    answer = server.answer(self.rfile.read(struct.unpack("!H", head)[0]), True)
                    if answer:
                        self.wfile.write(struct.pack("!H", len(answer)) + answer)

        socketserver.ThreadingTCPServer.daemon_threads = True
        self._servers = []
        while not self._servers:  # the same port of both
            udp = socketserver.UDPServer(("127.0.0.1", 0), Datagram)
            try:
                self._servers = [udp, socketserver.ThreadingTCPServer(udp.server_address, Stream)]
            except OSError:
                udp.server_close()
        self.address = "%s:%d" % self._servers[0].server_address
        self._threads = [threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
                         for one in self._servers]
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_):
        for one in self._servers:
            one.shutdown()
            one.server_close()

    def count(self, name):
        return sum(asked[0] == name for asked in self.asked)

    def answer(self, message, stream):
        name, kind, question = _read_question(message)
        self.asked.append((name, kind, stream))
        found = self.records.get(name, NXDOMAIN)
        if callable(found):
            return found(message)
        rcode, records = (found, []) if isinstance(found, int) else (0, [row for row in found if row[0] == kind])
        flags = 0x8180 | rcode
        if name in self.truncates and not stream:
            flags |= 0x0200
            records = []
        head = message[:2] + struct.pack("!HHHHH", flags, 1, len(records), not records, 0) + question
        rows = records or [(SOA, self.negative_ttl, b"\0\0" + struct.pack("!5I", 1, 1, 1, 1, self.negative_ttl))]
        return head + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data
                               for kind, ttl, data in rows)
