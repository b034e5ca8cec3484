"""Lines with error bars as SVG, drawn by gnuplot."""

import subprocess
from typing import NamedTuple

from server import Failure

# Each yardstick and the model that is compared with it have one colour; the yardstick is dashed.
STYLES = {
    "raw_epoll": "lc rgb '#1f5fa8' dt 2 pt 6",
    "reactor": "lc rgb '#1f5fa8' dt 1 pt 7",
    "prefork-reuseport": "lc rgb '#1f5fa8' dt 1 pt 7",
    "multi-reactor": "lc rgb '#1f5fa8' dt 1 pt 7",
    "raw_uring": "lc rgb '#c8551b' dt 2 pt 4",
    "proactor": "lc rgb '#c8551b' dt 1 pt 5",
    "multi-proactor": "lc rgb '#c8551b' dt 1 pt 5",
}


class Plot(NamedTuple):
    axis: str
    cost: str
    lines: dict  # name: [(value, median, lower quartile, upper quartile)]
    ticks: dict  # value: its label
    logarithmic: bool  # the cost; the axis always is


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def script(plot, path):
    # Names are programs' names: an underscore in them is no index.
    lines = [
        "set terminal svg noenhanced size 760,420 font 'sans-serif,13' background '#ffffff'",
        f"set output {quoted(path)}",
        f"set xlabel {quoted(plot.axis)}",
        f"set ylabel {quoted(plot.cost)}",
        "set logscale x",
        "set logscale y" if plot.logarithmic else "set yrange [0:*]",
        "set key outside right top Left reverse",
        "set grid lc rgb '#dddddd'",
        "set border 3",
        "set xtics nomirror (" + ", ".join(f"{quoted(label)} {value}" for value, label in plot.ticks.items()) + ")",
        "set ytics nomirror",
        "set offsets graph 0.03, graph 0.03, 0, 0",
    ]
    drawn = []
    for number, (name, points) in enumerate(plot.lines.items()):
        lines += [f"$line{number} << END", *(" ".join(f"{number:.6g}" for number in point) for point in points), "END"]
        drawn.append(f"$line{number} using 1:2:3:4 with yerrorlines lw 1.6 ps 0.7 {STYLES.get(name, '')} "
                     f"title {quoted(name)}")
    return "\n".join([*lines, "plot " + ", ".join(drawn), ""])


def draw(plot, path):
    try:
        done = subprocess.run(["gnuplot"], input=script(plot, path), stderr=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError as error:
        raise Failure("gnuplot is needed to draw: install gnuplot-nox") from error
    if done.returncode != 0:
        raise Failure(f"gnuplot: {done.stderr.strip()}")
