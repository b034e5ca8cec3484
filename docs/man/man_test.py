#!/usr/bin/env python3
"""The manual pages have every command, every flag, every service and all that the library exports."""

import os
import pathlib
import re
import subprocess

from lib import case, check, check_equal, main, run

PAGES = pathlib.Path(os.environ["PAGES"])
HEADERS = pathlib.Path(__file__).resolve().parents[2] / "include/gearbox"


def page(name):
    path = PAGES / name
    check(path.exists(), f"no page {name}")
    return path.read_text(encoding="utf-8")


def listed(text, title):
    """The words that begin the rows of a table in a help text."""
    block = text.split(f"{title}:\n")[1].split("\n\n")[0]
    return re.findall(r"^  (\S+)", block, re.M)


def verbs():
    found = listed(run("help").stdout, "Commands")
    check(len(found) > 8, f"commands {found}")
    return [verb for verb in found if verb not in ("help", "version")]


@case
def every_command_has_its_page():
    for verb in verbs():
        check(f".Nm gearbox-{verb}\n" in page(f"gearbox-{verb}.1"), f"the page of {verb} is another's")
        check(f".Xr gearbox-{verb} 1" in page("gearbox.1"), f"gearbox.1 does not name that of {verb}")


@case
def every_flag_has_its_entry():
    for verb in verbs():
        text = page(f"gearbox-{verb}.1")
        said = run("help", verb).stdout + (run("help", "serve", "echo").stdout if verb == "serve" else "")
        flags = re.findall(r"^  --([a-z0-9-]+)", said, re.M)
        check(verb == "report" or len(flags) > 1, f"flags of {verb}: {flags}")
        for flag in flags:
            check(re.search(rf"^\.It Fl -{flag}( |$)", text, re.M), f"{verb}: no --{flag}")


@case
def every_service_has_its_entry_and_settings():
    text = page("gearbox-serve.1").split(".Sh SERVICES\n")[1]
    services = listed(run("help", "serve").stdout, "Services")
    begins = [text.find(f"\n.It Cm {service}\n") for service in services]
    check(-1 not in begins, f"services {services} at {begins}")
    for service, begin, end in zip(services, begins, [*begins[1:], len(text)]):
        for key in re.findall(r"^  (?:--set )?([a-z-]+)=", run("help", "serve", service).stdout, re.M):
            check(f".It Cm {key} Ns = Ns" in text[begin:end], f"no {key} of {service}")


@case
def everything_that_is_exported_has_its_place():
    exported = subprocess.run(["nm", "-D", "--defined-only", os.environ["LIBRARY"]], capture_output=True, text=True, check=True)
    names = re.findall(r" [A-Z] (gb_\w+)", exported.stdout)
    check(len(names) > 100, f"exported: {len(names)}")
    text = "".join(page(path.name) for path in PAGES.glob("*.3"))
    missing = [name for name in names if not re.search(rf"\b{name}\b", text)]
    check_equal(missing, [], "what no page has")


@case
def every_header_has_its_page():
    headers = {path.stem for path in HEADERS.glob("*.h")} - {"gearbox"}
    check_equal({path.stem for path in PAGES.glob("gb_*.3")}, {f"gb_{header}" for header in headers}, "pages of headers")


if __name__ == "__main__":
    main()
