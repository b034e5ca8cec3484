#!/usr/bin/env python3
"""test_results.py FOLDER [NAME…]: "PASSED FAILED", added up over the tests that meson ran last there.

Each test program ends its output with "N passed, N failed". One that does not, or that fails beyond
what it counted (a crash, a leak, out of time), counts as one more failure, and so does a NAME that did
not run.
"""

import json
import os
import re
import sys

COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


def main(folder, names):
    passed = failed = 0
    ran = set()
    log = os.path.join(folder, "meson-logs", "testlog.json")
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            for line in file:
                test = json.loads(line)
                ran.add(test["name"].split(" / ")[-1].split(":")[-1])
                counts = COUNTS.findall(test.get("stdout") or "")
                here = [int(n) for n in counts[-1]] if counts else [0, 0]
                if test["result"] != "OK" and here[1] == 0 or not counts:
                    here[1] += 1
                passed += here[0]
                failed += here[1]
    for name in names:
        if name not in ran:
            print(f"no test {name}", file=sys.stderr)
            failed += 1
    if not ran and not names:
        failed += 1
    print(passed, failed)


main(sys.argv[1], sys.argv[2:])
