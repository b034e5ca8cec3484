#!/usr/bin/env python3
"""A server that comes late, after a stop of its processes: whose bytes are there is served, whatever the clock says."""

import os
import signal
import time

from client import round_trip
from lib import Server, case_for_each, check_equal, main, receive_exactly
from models import EACH_ENGINE

CROWD = 300  # more than one wait for events tells of
READ_TIMEOUT_S = 6  # nobody is idle for so long while the crowd gathers, on a busy machine either
STOPPED_S = 7
BEGUN = b"hel"
REST = b"lo\n"
STAMP = b"[Thu Apr 20 12:00:00 2017] "


@case_for_each(EACH_ENGINE, waits=True)
def input_that_is_there_beats_the_deadlines(model):
    crowd = 1 if model.one_at_a_time else 20 if model.per_connection else CROWD
    with Server(*model.arguments, "--set", "clock=1492689600", "--read-timeout", f"{READ_TIMEOUT_S}s",
                "--idle-timeout", f"{READ_TIMEOUT_S}s", service="time-echo") as server:
        clients = [server.connect() for _ in range(crowd)]
        for client in clients:
            round_trip(client, BEGUN + REST, STAMP + BEGUN + REST)
        for client in clients:
            client.sendall(BEGUN)
        halted = server.processes()
        for pid in halted:
            os.kill(pid, signal.SIGSTOP)
        for client in clients:
            client.sendall(REST)
        time.sleep(STOPPED_S)  # what is tested is that this long is too long for nobody
        for pid in halted:
            os.kill(pid, signal.SIGCONT)
        for number, client in enumerate(clients):
            check_equal(receive_exactly(client, len(STAMP + BEGUN + REST)), STAMP + BEGUN + REST,
                        f"what client {number} of {crowd} got")
        for client in clients:
            client.close()


if __name__ == "__main__":
    main()
