"""Clients that are written down as conversations, and held all at the same time by one thread."""

import random
import select
import socket
import struct
import time

from lib import PATIENCE_S, Failure, check, check_equal, receive_exactly

_RECEIVE = 1 << 18


class Talk:
    """What one connection sends, in which pieces, and what must come back before the peer's FIN.

    Each piece is a segment of its own as far as a client can tell. After the last one the client
    half-closes, or with `half_close=False` closes once it has got what it expects.
    """

    def __init__(self, pieces, expected, half_close=True):
        self.pieces = [memoryview(piece) for piece in reversed(pieces) if piece]
        self.expected = expected
        self.half_close = half_close
        self.got = bytearray()
        self.connected = False
        self.ended = False  # the peer's FIN has come
        self.socket = None

    def start(self, server):
        self.socket = server.connect_later()

    def fileno(self):
        return self.socket.fileno()

    def interest(self):
        waits_to_write = self.pieces or not self.connected
        return select.EPOLLIN | (select.EPOLLOUT if waits_to_write else 0)

    def write(self):
        """Send the next piece. Half-closes behind the last."""
        if not self.connected:
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            check_equal(error, 0, "error of connecting")
            self.connected = True
        if self.pieces:
            piece = self.pieces.pop()
            sent = self.socket.send(piece)
            if sent < len(piece):
                self.pieces.append(piece[sent:])
        if not self.pieces and self.half_close:
            self.socket.shutdown(socket.SHUT_WR)

    def read(self):
        part = self.socket.recv(_RECEIVE)
        self.got += part
        self.ended = not part

    def done(self):
        if self.half_close:
            return self.ended
        return self.ended or len(self.got) >= len(self.expected)

    def verify(self):
        if self.got == self.expected:
            check(self.half_close or not self.ended, "the server closed first")
            return
        same = next((i for i, (a, b) in enumerate(zip(self.got, self.expected)) if a != b),
                    min(len(self.got), len(self.expected)))
        raise Failure(f"got {len(self.got)} of {len(self.expected)} bytes, different from {same} on: "
                      f"{bytes(self.got[same:same + 20])!r}, not {bytes(self.expected[same:same + 20])!r}")


def _serve(talk, events):
    try:
        if events & select.EPOLLIN:
            talk.read()
        elif events & (select.EPOLLERR | select.EPOLLHUP) and talk.connected:
            talk.read()
        if not talk.done() and events & select.EPOLLOUT:
            talk.write()
    except BlockingIOError:
        pass
    except OSError as error:
        raise Failure(f"{error.strerror} after {len(talk.got)} of {len(talk.expected)} bytes, "
                      f"{sum(map(len, talk.pieces))} left to send") from None


def converse(server, talks, seconds=PATIENCE_S):
    """Hold all the talks at the same time. Fails at the first wrong byte, reset, or early or missing end."""
    deadline = time.monotonic() + seconds
    poller, running = select.epoll(), {}
    try:
        for talk in talks:
            talk.start(server)
            running[talk.fileno()] = talk
            talk.watched = talk.interest()
            poller.register(talk.fileno(), talk.watched)
        while running:
            events = poller.poll(max(0, deadline - time.monotonic()))
            if not events:
                talk = next(iter(running.values()))
                raise Failure(f"{len(running)} of {len(talks)} connections not done within {seconds} s; the first: "
                              f"{len(talk.got)} of {len(talk.expected)} bytes, {sum(map(len, talk.pieces))} to send")
            for number, bits in events:
                talk = running[number]
                _serve(talk, bits)
                if talk.done():
                    poller.unregister(number)
                    del running[number]
                    talk.verify()
                    talk.socket.close()
                elif talk.interest() != talk.watched:
                    talk.watched = talk.interest()
                    poller.modify(number, talk.watched)
    finally:
        poller.close()
        for talk in talks:
            if talk.socket:
                talk.socket.close()


def cut(data, randomness, pieces):
    """`data` cut at random places."""
    places = sorted(randomness.randrange(len(data) + 1) for _ in range(pieces - 1))
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)])]


def seeded():
    """(randomness, its seed): what fails should say the seed."""
    seed = random.SystemRandom().randrange(1 << 32)
    return random.Random(seed), seed


def round_trip(client, message=b"are you there?\n", expected=None):
    """One message and its answer on a connection that stays."""
    client.sendall(message)
    expected = message if expected is None else expected
    check_equal(receive_exactly(client, len(expected)), expected, "the answer")


def answered(server, message=b"are you there?\n", expected=None):
    """A new client is answered, and its FIN with one."""
    with server.connect() as client:
        round_trip(client, message, expected)
        client.shutdown(socket.SHUT_WR)
        check_equal(client.recv(1), b"", "what follows the FIN")


def reset(client):
    """Close with a RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def ending(client):
    """Read to the end: "FIN" or "reset"; what came before is dropped."""
    try:
        while client.recv(_RECEIVE):
            pass
    except (ConnectionResetError, BrokenPipeError):
        return "reset"
    return "FIN"
