#!/usr/bin/python3
"""What counts must count right: the reader of callgrind's output, the malloc that counts, and the clients that
hold connections, which must notice one that is lost or lies."""

import contextlib
import os
import subprocess
import sys
import tempfile

import rig
import callgrind
import holder
import memory
import subject
from rig import BUILD, lying_server, test

# Two functions in two files, one of them with an inlined line, a call, and relative positions.
PROFILE = """\
version: 1
events: Ir
fl=(1) /src/a.c
fn=(1) outer
10 3
+2 4
cfi=(2) /src/b.c
cfn=(2) malloc
calls=5 20
* 100
fi=(2)
-7 2
fe=(1)
11 1
fl=(2)
fn=(2)
20 100
totals: 110
"""
LOG = """\
SYSCALL[7,1](232) sys_epoll_wait ( 6, 0x4036444, 256, 261038 ) --> [async] ...
SYSCALL[7,1](232) ... [async] --> Success(0x1)
SYSCALL[7,1](228) sys_clock_gettime( 6, 0x1ffeffa4e0 )[sync] --> Success(0x0)
SYSCALL[7,1]( 45) sys_recvfrom ( 8, 0x4048aa8, 65536, 64, 0x0, 0x0 ) --> [async] ...
"""


@contextlib.contextmanager
def written(text):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        yield file.name


@test
def reads_callgrinds_output():
    with written(PROFILE) as profile, written(LOG) as log:
        counts = callgrind.parse(profile, log)
    assert counts.instructions == 110, counts.own
    assert counts.own == {"outer": 10, "malloc": 100} and counts.inclusive["outer"] == 110, counts.inclusive
    assert counts.lines["outer", "/src/a.c", 12] == 4 and counts.lines["outer", "/src/b.c", 5] == 2, counts.lines
    assert counts.allocations == 5
    assert counts.system_calls == {"epoll_wait": 1, "recvfrom": 1}, counts.system_calls


@test
def what_cancels_out_is_no_cost():
    with written(PROFILE) as profile, written(LOG) as log:
        counts = callgrind.parse(profile, log)
    assert counts.per(counts, 10).instructions == 0
    assert counts.per(callgrind.Counts(), 10).instructions == 11


@test
def the_counting_malloc_counts_exactly():
    program = """
import ctypes, mmap, sys
libc = ctypes.CDLL(None)
for name in ("malloc", "calloc", "realloc"): getattr(libc, name).restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.malloc_usable_size.argtypes = [ctypes.c_void_p]
shared = mmap.mmap(int(sys.argv[1]), 16)
def held(): return (ctypes.c_uint64 * 2).from_buffer(shared)[:]
array = [0] * 100
held()
before = held()
for index in range(100): array[index] = libc.malloc(100000)
after = held()
assert after[0] - before[0] >= 100, (before, after)
taken = after[1] - before[1]
assert 100 * 100000 <= taken < 100 * 100100 + 100000, taken
for index in range(100): array[index] = libc.realloc(array[index], 200000)
grown = held()[1] - before[1]
assert 100 * 200000 <= grown < 100 * 200100 + 100000, grown
for address in array: libc.free(address)
left = held()[1] - before[1]
assert left < 100000, left
"""
    with memory.Heap(BUILD) as heap:
        number = heap.file.fileno()
        subprocess.run(["/usr/bin/python3", "-c", program, str(number)], check=True, pass_fds=[number],
                       env={**os.environ, **heap.environment})
        assert heap.read()[0] > 200


def fails(port, *requests):
    """Whether the clients refuse to go on in the last of the requests."""
    with holder.Holder(BUILD, port) as clients:
        for request in requests[:-1]:
            clients.do(*request)
        try:
            clients.do(*requests[-1])
        except subject.Failure:
            return True
    return False


@test
def clients_hold_and_check():
    with lying_server(lambda total, piece: piece) as port, holder.Holder(BUILD, port, 300) as clients:
        for count in (0, 10, 70):
            clients.do("hold", count)
            assert clients.held == count
        clients.do("check", 7)
        assert clients.held == 70


@test
def clients_notice_a_wrong_byte():
    with lying_server(lambda total, piece: piece[:-2] + b"!\n") as port:
        assert fails(port, ("hold", 1))


@test
def clients_notice_a_close_instead_of_an_answer():
    with lying_server(lambda total, piece: None) as port:
        assert fails(port, ("hold", 1))


@test
def clients_notice_a_lost_connection():
    with lying_server(lambda total, piece: None if total else piece) as port:
        assert fails(port, ("hold", 3), ("check", 1))


@test
def clients_notice_a_close_at_rest():
    with subject.start("raw_epoll", subject.raw("raw_epoll"), BUILD) as server, \
            holder.Holder(BUILD, server.port) as clients:
        clients.do("hold", 3)
        server.kill()
        try:
            clients.do("check", 100)
        except subject.Failure as failure:
            assert "lost" in str(failure), failure
        else:
            raise AssertionError("not noticed")


if __name__ == "__main__":
    sys.exit(rig.main(with_ring=False))
