"""What a run found, in words: on the terminal while it runs, and as parts of a page."""

import page
import subjects
from results import medians

COLUMNS = [  # heading, key, format
    ("CPU µs/message", "cpu_us_per_message", "{:.3f}"),
    ("messages/s", "messages_per_second", "{:,.0f}"),
    ("server busy", "server_busy", "{:.0%}"),
    ("load busy", "load_busy", "{:.0%}"),
    ("p50 µs", "p50_us", "{:,.0f}"),
    ("p99 µs", "p99_us", "{:,.0f}"),
    ("p99.9 µs", "p999_us", "{:,.0f}"),
]
LATE = ("sent late, p99 µs", "late_p99_us", "{:,.1f}")  # of paced loads

KINDS = [  # of loads, each a table of its own: what it says, and whether a load belongs to it
    ("CPU time per message, server and load on a CPU each", lambda load: load["family"] == subjects.ONE
     and not load["paced"]),
    ("CPU time per message of all workers together, servers and load on both CPUs",
     lambda load: load["family"] == subjects.TWO),
    ("CPU time per message, the line codec", lambda load: load["family"] == subjects.LINES),
    (f"99th percentile of latency at {subjects.PACE:.0%} of what the yardstick can do, counted from when each message "
     "was due", lambda load: load["paced"]),
]


def headline(machine):
    return (f"{machine['kernel']}, {machine['cpu']}, {machine['cpus']} CPUs, {machine['date']}, "
            f"{machine['rounds']} rounds of {machine['seconds']} s; server on CPU {machine['server_cpu']}, "
            f"load on CPU {machine['load_cpu']}; load average {machine['load_average']:.1f} when it began")


def origin(machine):
    """The first paragraph of a part of a page."""
    return f"{headline(machine)}. Repeat it by `{machine['command']}`."


def columns(load):
    return [*COLUMNS, LATE] if load["paced"] else COLUMNS


def median_row(load, rounds):
    middle = medians(rounds)
    return [text.format(middle[key]) for _, key, text in columns(load)]


def load_text(name, load):
    width = max(map(len, load["subjects"]))
    headings = [heading for heading, _, _ in columns(load)]
    lines = [f"\n{name}: {load['text']}", f"  {'subject':<{width}} " + " ".join(f"{h:>{len(h) + 2}}" for h in headings)]
    for subject, rounds in load["subjects"].items():
        cells = zip(headings, median_row(load, rounds))
        lines.append(f"  {subject:<{width}} " + " ".join(f"{cell:>{len(h) + 2}}" for h, cell in cells))
    return "\n".join(lines)


def ratios_text(loads):
    lines = ["\nCPU time per message (paced loads: p99), ratio within a round: median (quartiles); \"again\": the noise"]
    pairs = [f"{one['subject']} / {one['base']}" for load in loads.values() for one in load["ratios"]]
    width = max(map(len, pairs), default=0)
    for name, load in loads.items():
        for one in load["ratios"]:
            pair = f"{one['subject']} / {one['base']}"
            lines.append(f"  {name:<14} {pair:<{width}} {one['median']:>7.3f}   "
                         f"{one['lower_quartile']:.3f} … {one['upper_quartile']:.3f}")
            name = ""
    return "\n".join(lines)


def cell(ratio):
    if ratio is None:
        return "–"
    if ratio["overloaded"]:
        return "overloaded"
    return f"{ratio['median']:.3f} ({ratio['lower_quartile']:.3f} – {ratio['upper_quartile']:.3f})"


def find_ratio(load, subject, base):
    for one in load["ratios"]:
        if (one["subject"], one["base"]) == (subject, base):
            return one
    return None


def group_of(name):
    return next((one.group for one in subjects.SUBJECTS if one.name == name), None)


def own(name):
    return group_of(name) in (subjects.RAW, subjects.MODEL)


def noise(subject):
    return subject.endswith(" again")


def pair_heading(subject, base):
    return f"noise: {base} twice" if noise(subject) else f"{subject} / {base}"


def raw_table(loads):
    """Loads down, ratios across."""
    pairs = dict.fromkeys((one["subject"], one["base"]) for load in loads.values() for one in load["ratios"]
                          if own(one["subject"]))
    if not pairs:
        return None
    ordered = sorted(pairs, key=lambda pair: (noise(pair[0]), group_of(pair[0]) != subjects.MODEL))
    rows = [[load["text"], *(cell(find_ratio(load, *pair)) for pair in ordered)] for load in loads.values()]
    return page.table(["load", *(pair_heading(*pair) for pair in ordered)], rows)


def peers_table(loads, pairs):
    """Subjects down, loads across; a pair is a subject and what it is compared with."""
    rows = [[f"{subject} / {base}" if not noise(subject) else f"noise: {base} twice",
             *(cell(find_ratio(load, subject, base)) for load in loads.values())] for subject, base in pairs]
    return page.table(["", *(load["text"] for load in loads.values())], rows)


def medians_tables(loads, wanted):
    parts = []
    for load in loads.values():
        rows = [[subject, *median_row(load, rounds)] for subject, rounds in load["subjects"].items() if wanted(subject)]
        if rows:
            parts += [f"{load['text']}:", page.table(["subject", *(heading for heading, _, _ in columns(load))], rows)]
    return parts


HOW = ("Each cell is the median over all rounds of the ratio within a round, and its quartiles. \"Noise\" is the ratio of "
       "the same program run twice as two servers: differences smaller than that say nothing.")


def raw_part(whole):
    parts = [origin(whole["machine"]), HOW]
    for text, belongs in KINDS:
        table = raw_table({name: load for name, load in whole["loads"].items() if belongs(load)})
        if table:
            parts += [f"**{text}:**", table]
    parts += ["**Medians over all rounds**, the load generator's own use among them:",
              *medians_tables(whole["loads"], own)]
    return "\n\n".join(parts)


def peers_part(whole):
    loads = {name: load for name, load in whole["loads"].items() if load["family"] == subjects.ONE}
    pairs = list(dict.fromkeys((one["subject"], one["base"]) for load in loads.values() for one in load["ratios"]))
    against_raw = [pair for pair in pairs if group_of(pair[1]) == subjects.RAW and group_of(pair[0]) != subjects.RAW]
    against_raw += [pair for pair in pairs if noise(pair[0])]
    against_models = [pair for pair in pairs if group_of(pair[1]) == subjects.MODEL and not own(pair[0])]
    parts = [origin(whole["machine"]), HOW + " The paced load compares the 99th percentile of latency, in rounds "
             f"{subjects.PACED_ROUND} times as long, all "
             "others CPU time per message. *Overloaded*: a subject that cannot keep up with that rate.",
             "**Against the yardsticks:**", peers_table(loads, against_raw)]
    if against_models:
        parts += ["**Against gearbox** (above 1: gearbox uses less):", peers_table(loads, against_models)]
    if whole["versions"]:
        parts += ["**Versions:** " + "; ".join(f"{name}: {version}" for name, version in whole["versions"].items()) + "."]
    parts += ["**Medians over all rounds:**", *medians_tables(loads, lambda name: not own(name))]
    return "\n\n".join(parts)


def write(path, whole):
    """Fill the parts of a page that this run has something to say about."""
    names = {subject for load in whole["loads"].values() for subject in load["subjects"]}
    parts = {}
    if any(own(name) for name in names):
        parts["raw"] = raw_part(whole)
    if not all(own(name) for name in names):
        parts["peers"] = peers_part(whole)
    page.fill(path, parts)
