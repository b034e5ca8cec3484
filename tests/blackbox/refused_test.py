#!/usr/bin/env python3
"""Where io_uring is refused: a clear answer to whoever asks for it by name, a fallback for engine=auto."""

from client import answered
from lib import Server, case, case_for_each, check, check_equal, check_refusal, main, run
from models import PRESETS, presets_axes
from seccomp import refuse_io_uring


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
            check_equal(server.model.partition(",workers=")[0], fallback, f"the model that {spec} becomes")
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
