#!/usr/bin/env python3
"""Services that post, pause, use timers and connect outwards are verified as any other: by a program of their own."""

import os
import re
import subprocess

from lib import SMALL, Server, add_case, case, check, check_equal, main

HANDLERS = os.path.abspath(os.environ.get(
    "HANDLERS", os.path.join(os.path.dirname(__file__), "..", "..", "build", "tests", "blackbox", "handlers")))
VERIFY_S = 600
MODELS = ("iterative", "thread", "prethread", "thread-pool", "reactor", "reactor,engine=poll", "multi-reactor",
          "multi-reactor-reuseport", "fork", "prefork", "process-pool", "prefork-reactor", "process-pool-reactor",
          "proactor", "multi-proactor", "multi-proactor-reuseport")
MODELS_SMALL = ("thread", "reactor", "multi-reactor", "prefork-reactor", "proactor")
# Where the handler runs on a thread of the pool.
POOLS = ("reactor-pool", "multi-reactor-pool", "proactor-pool", "multi-proactor-pool")


def handlers(*arguments):
    return subprocess.run([HANDLERS, *arguments], capture_output=True, check=False, text=True,
                          stdin=subprocess.DEVNULL, timeout=VERIFY_S)


def check_verified(service, models, *arguments):
    only = [word for spec in models for word in ("--only", spec)]
    done = handlers("verify", service, *only, "--patience", "60s", *arguments)
    check_equal(done.stderr, "", "standard error")
    lines = done.stdout.splitlines()
    check_equal(done.returncode, 0, f"exit code ({lines[:10]})")
    check(re.fullmatch(rf"{service}: \d+ combinations, 0 differences", lines[-1]), f"the last line is {lines[-1]!r}")


def does_not_differ(service, models):
    check_verified(service, models)


add_case("nothing_differs[timed]", does_not_differ, "timed", MODELS_SMALL if SMALL else MODELS)
add_case("nothing_differs[posted]", does_not_differ, "posted",
         MODELS_SMALL + POOLS[:1] if SMALL else MODELS + POOLS)


@case
def a_service_that_asks_another_does_not_differ():
    """Every model answers as the one that was asked first; who asks is a client of another server itself."""
    with Server(listen=("127.0.0.1:0",)) as upstream:
        upstream.expected_log = ": notice: |: warning: "
        check_verified("asking", MODELS_SMALL if SMALL else MODELS, "--set", f"upstream={upstream.address}")


@case
def a_program_of_several_services_takes_their_names():
    told = handlers("help", "serve").stdout
    check(all(f"  {name} " in told for name in ("timed", "posted", "asking")), f"help serve: {told}")
    for words, part in ((("serve",), "timed, posted or asking"), (("serve", "timd"), "did you mean \"timed\""),
                        (("verify",), "no service to verify"), ((), "no command"),
                        (("verify", "posted", "--message", "\\q"), "behind a backslash")):
        done = handlers(*words)
        check(done.returncode == 2 and done.stderr.startswith("handlers: ") and part in done.stderr,
              f"{words}: {done.returncode}, {done.stderr!r}")


if __name__ == "__main__":
    main()
