#!/usr/bin/env python3
"""What packaging/debian says agrees with the tree: what is installed, and which version it is."""

import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from lib import case, check, check_equal, main

BUILD = os.environ["BUILD"]
ROOT = pathlib.Path(__file__).resolve().parents[1]
DEBIAN = ROOT / "packaging/debian"


def introspect(what):
    done = subprocess.run(["meson", "introspect", f"--{what}", BUILD], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def installed():
    """What is installed, by the paths of a Debian."""
    prefix = next(row["value"] for row in introspect("buildoptions") if row["name"] == "prefix")
    return [re.sub(r"^usr/lib/(?!systemd)", "usr/lib/any/", path.replace(prefix, "usr", 1))
            for path in introspect("installed").values()]


def lines(name):
    return (DEBIAN / name).read_text(encoding="utf-8").split("\n")


@case
def every_installed_file_has_one_package():
    patterns = {name: [line.split()[0] for line in lines(name) if line.strip()] for name in
                ("libgearbox0.install", "libgearbox-dev.install", "gearbox.install")}
    unused = [row for rows in patterns.values() for row in rows]
    for path in installed():
        takers = [(name, row) for name, rows in patterns.items() for row in rows
                  if fnmatch.fnmatch(path, row) or fnmatch.fnmatch(path, f"{row}/*")]
        check_equal(len(takers), 1, f"packages of {path} ({takers})")
        unused = [row for row in unused if row != takers[0][1]]
    check(not unused, f"nothing is installed for {unused}")


@case
def the_version_is_the_tree_s():
    version = introspect("projectinfo")["version"]
    check(lines("changelog")[0].startswith(f"gearbox ({version})"), f"changelog: {lines('changelog')[0]}, tree: {version}")
    check(f"(>= {version})" in "\n".join(lines("rules")), f"rules do not name {version}")
    check(f" (symver)GEARBOX_0 {version}" in lines("libgearbox0.symbols"), f"libgearbox0.symbols does not name {version}")


@case
def every_exported_symbol_is_told_to_dpkg():
    if not shutil.which("dpkg-gensymbols"):
        print("skipped: there is no dpkg-gensymbols here", flush=True)
        return
    library = f"{BUILD}/src/libgearbox.so.0"
    version = introspect("projectinfo")["version"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["dpkg-gensymbols", "-plibgearbox0", f"-v{version}", f"-e{library}", "-c4", f"-O{folder}/made",
                               f"-I{DEBIAN / 'libgearbox0.symbols'}"], capture_output=True, text=True, check=False)
        check_equal((done.returncode, done.stdout), (0, ""), f"what dpkg-gensymbols finds ({done.stderr})")
        made = pathlib.Path(folder, "made").read_text(encoding="utf-8").split("\n")
    exported = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], capture_output=True, text=True,
                              check=True).stdout.split("\n")
    for line in exported:
        if line.startswith("gb_"):
            name = line.split()[0].replace("@@", "@")
            check(f" {name} {version}" in made, f"{name} is missing in {made[:5]}")


if __name__ == "__main__":
    main()
