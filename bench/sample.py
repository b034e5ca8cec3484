#!/usr/bin/python3
"""Write docs/report-sample.html and its picture again, from a run of `gearbox compare` on this machine.

Options are compare's, in place of the sweep below. Nothing else should run meanwhile; about five minutes. The picture
needs a headless Chromium, and ImageMagick to make it small.
"""

import argparse
import base64
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "blackbox"))
import browser  # noqa: E402

BUILD = os.path.join(ROOT, "build-bench")
PAGE, PICTURE = (os.path.join(ROOT, "docs", f"report-sample.{end}") for end in ("html", "png"))
SWEEP = ["--models", "thread,prefork-reactor,reactor,reactor-pool,proactor,multi-proactor",
         "--against", "build-bench/bench/raw_epoll {port}", "--sweep", "rate=10000,30000,60000,90000,120000",
         "--sweep", "connections=8,64,512", "--duration", "500ms", "--rounds", "3"]
WIDTH, SCALE = 1180, 0.8
HEAD = "document.querySelector('.pair').getBoundingClientRect().bottom + scrollY + 24"


def picture():
    """The head of the page, down to the bars."""
    with browser.Browser() as here:
        here.media(prefers_color_scheme="light")
        here.size(WIDTH, 900)
        here.open(PAGE)
        data = here.call("Page.captureScreenshot", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": WIDTH, "height": here.evaluate(HEAD), "scale": SCALE})["data"]
    subprocess.run(["convert", "-", "+dither", "-colors", "128", "-strip", PICTURE], input=base64.b64decode(data), check=True)


def main():
    parser = argparse.ArgumentParser(prog="bench sample", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    options = parser.parse_known_args()[1]
    done = subprocess.run([os.path.join(BUILD, "gearbox"), "compare", "echo", *(options or SWEEP), "--report", PAGE],
                          cwd=ROOT, check=False)
    if done.returncode == 0:
        picture()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
