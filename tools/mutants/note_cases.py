#!/usr/bin/env python3
"""note_cases.py TASK RESULT: run a program once for each of its cases and write which reached which address.

Started by reach.py, in namespaces of its own. The result is {address: the cases as bits of a number, in hex}.
"""

import array
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile

TOGETHER = 4  # cases: mostly they wait


def places_of(path):
    """What reached.c noted."""
    if not os.path.exists(path):
        return ()
    with open(path, "rb") as file:
        count, = array.array("I", file.read(4))
        places = array.array("I", file.read(4 * count))
    os.unlink(path)
    return places


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        task = json.load(file)
    masks = {}

    def run_case(number, folder):
        path = os.path.join(folder, str(number))
        environment = {**os.environ, **task["environment"], "REACHED": path, "REACHED_IN": task["program"]}
        words = task["words"] + [case for case in task["cases"][number:number + 1] if case]
        try:
            subprocess.run(words, env=environment, cwd=task["cwd"], stdin=subprocess.DEVNULL, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=task["seconds"])
        except subprocess.TimeoutExpired:
            pass  # it has reached what it has reached
        return number, places_of(path)

    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, \
            concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        for number, places in pool.map(lambda number: run_case(number, folder), range(len(task["cases"]))):
            for place in places:
                masks[place] = masks.get(place, 0) | 1 << number
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({place: f"{mask:x}" for place, mask in masks.items()}, file)


if __name__ == "__main__":
    main()
