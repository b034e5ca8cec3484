#!/usr/bin/env python3
"""test_results.py FOLDER [NAME…]: of the tests that meson ran last there, line by line

    sum PASSED FAILED
    failed FOLDER TEST: CASE
    took SECONDS FOLDER TEST

Each test program ends its output with "N passed, N failed". One that does not, or that fails beyond
what it counted (a crash, a leak, out of time), counts as one more failure, and so does a NAME that did
not run.
"""

import json
import os
import re
import sys

COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)
FAILED = re.compile(r"^FAIL(?:ED)? ([^:\n]+)", re.M)  # as the harness and the programs in Python say it


def main(folder, names):
    passed = failed = 0
    ran, lines = set(), []
    log = os.path.join(folder, "meson-logs", "testlog.json")
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            for line in file:
                test = json.loads(line)
                name = test["name"].split(" / ")[-1].split(":")[-1]
                ran.add(name)
                printed = test.get("stdout") or ""
                counts = COUNTS.findall(printed)
                here = [int(n) for n in counts[-1]] if counts else [0, 0]
                cases = list(dict.fromkeys(FAILED.findall(printed + "\n" + (test.get("stderr") or ""))))
                if test["result"] != "OK" and here[1] == 0 or not counts:
                    here[1] += 1
                    cases.append(f"as a whole ({test['result'].lower()})")
                passed += here[0]
                failed += here[1]
                if here[1]:
                    lines += [f"failed {folder} {name}: {case.strip()}" for case in cases or ["a case without a name"]]
                lines.append(f"took {test['duration']:.1f} {folder} {name}")
    for name in names:
        if name not in ran:
            lines.append(f"failed {folder} {name}: there is no such test")
            failed += 1
    if not ran and not names:
        lines.append(f"failed {folder}: no test ran")
        failed += 1
    print(f"sum {passed} {failed}", *lines, sep="\n")


main(sys.argv[1], sys.argv[2:])
