#!/usr/bin/env python3
"""Where io_uring is refused: a clear answer to whoever asks for it by name, a fallback for engine=auto."""

import ctypes
import errno
import struct

from client import answered
from lib import Server, case, case_for_each, check, check_equal, check_refusal, main, run
from models import PRESETS, presets_axes

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7fff0000
SECCOMP_RET_ERRNO = 0x00050000
IO_URING_SETUP = 425  # the same number on every architecture
BPF_LOAD_WORD, BPF_JUMP_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06


def refuse_io_uring():
    """As containers do: a seccomp filter that answers EPERM."""
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in (
        (BPF_LOAD_WORD, 0, 0, 0),  # the system call's number
        (BPF_JUMP_EQUAL, 0, 1, IO_URING_SETUP),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW)))
    text = ctypes.create_string_buffer(program, len(program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters)):
        if libc.prctl(*arguments, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


@case_for_each([model for model in PRESETS if model.uses_io_uring])
def io_uring_by_name_is_refused(model):
    done = run("serve", "echo", "--listen", "127.0.0.1:0", *model.arguments, before_exec=refuse_io_uring)
    check_refusal(done, 1, "io_uring")


@case_for_each([model for model in PRESETS if not model.uses_io_uring])
def the_others_do_without(model):
    with Server(*model.arguments, before_exec=refuse_io_uring) as server:
        answered(server)


@case
def auto_falls_back_to_epoll_and_says_so():
    for spec, fallback in (("reactor,engine=auto", "reactor"), ("multi-reactor,engine=auto", "multi-reactor"),
                           ("prefork-reactor,engine=auto", "prefork-reactor")):
        with Server("--model", spec, before_exec=refuse_io_uring) as server:
            check_equal(server.model, fallback, f"the model that {spec} becomes")
            answered(server)


@case
def auto_takes_what_it_says():
    with Server("--model", "reactor,engine=auto") as server:
        answered(server)
        axes = presets_axes().get(server.model)
        check(axes, f"the ready line names no preset, but {server.model}")
        check(axes["engine"] != "auto", "the ready line does not say which engine was taken")


if __name__ == "__main__":
    main()
