"""What containers forbid: to be called between fork and exec."""

import ctypes
import errno
import platform
import socket
import struct

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7fff0000
SECCOMP_RET_ERRNO = 0x00050000
SOCKET = 41 if platform.machine() == "x86_64" else 198
IO_URING_SETUP = 425  # the same number on every architecture
BPF_LOAD_WORD, BPF_JUMP_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06


def refuse_io_uring():
    """As containers do: a seccomp filter that answers EPERM."""
    _install((
        (BPF_LOAD_WORD, 0, 0, 0),  # the system call's number
        (BPF_JUMP_EQUAL, 0, 1, IO_URING_SETUP),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW)))


def refuse_ipv6():
    """As a kernel that was built, or started, without it."""
    _install((
        (BPF_LOAD_WORD, 0, 0, 0),
        (BPF_JUMP_EQUAL, 0, 3, SOCKET),
        (BPF_LOAD_WORD, 0, 0, 16),  # the lower half of its first argument, on little-endian machines
        (BPF_JUMP_EQUAL, 0, 1, socket.AF_INET6),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EAFNOSUPPORT),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW)))


def _install(instructions):
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    text = ctypes.create_string_buffer(program, len(program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters)):
        if libc.prctl(*arguments, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
