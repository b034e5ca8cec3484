#!/usr/bin/python3
"""Twisted, on its epoll reactor. The transport is its own producer: it stops reading while output waits."""

import resource
import sys

from twisted.internet import epollreactor

epollreactor.install()
from twisted.internet import protocol, reactor


class Echo(protocol.Protocol):
    def connectionMade(self):
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self.transport, streaming=True)

    def dataReceived(self, data):
        self.transport.write(data)

    def connectionLost(self, reason):
        self.transport.unregisterProducer()


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
listener = reactor.listenTCP(port, protocol.Factory.forProtocol(Echo), backlog=4096, interface="127.0.0.1")
reactor.callWhenRunning(lambda: print(listener.getHost().port, flush=True))
reactor.run()
