#!/usr/bin/env python3
"""The report of a comparison: what `gearbox report` writes, and the page in a real browser."""

import contextlib
import json
import os
import re
import tempfile

import browser
from comparisons import comparison
from lib import SMALL, Failure, add_case, case, check, check_equal, check_refusal, main, run

NAMES = ["thread", "prefork", "reactor", "proactor"]
CONNECTIONS = ("connections", "", [1, 64, 4096])
RATE = ("rate", "/s", [20000, 60000, 100000, 140000])
SIZE_MAX = 1500000
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>\"'&<!--<svg onload=window.hacked=3>"


@contextlib.contextmanager
def written(made):
    """The path of the page of a comparison."""
    with tempfile.TemporaryDirectory() as folder:
        source, page = os.path.join(folder, "saved.json"), os.path.join(folder, "out.html")
        with open(source, "w", encoding="utf-8") as file:
            json.dump(made, file)
        done = run("report", source, page)
        check_equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "what report says")
        check_equal(sorted(os.listdir(folder)), ["out.html", "saved.json"], "the files")
        yield page


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def embedded(page):
    """The comparison in a page's text."""
    return re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1]


def hostile(names=(HOSTILE, *NAMES[1:])):
    made = comparison(NAMES, [CONNECTIONS], service=HOSTILE, findings=[HOSTILE], command=["gearbox", HOSTILE])
    for place in (made["models"][0], made["machine"]):
        for key in place:
            place[key] = HOSTILE if key not in ("axes", "cpus", "cpus_allotted", "memory_bytes") else place[key]
    made["models"][0]["axes"] = dict.fromkeys(made["models"][0]["axes"], HOSTILE)
    for point in made["points"]:
        point["model"] = dict(zip(NAMES, names))[point["model"]]
    made["points"][0].update(ok=False, error=HOSTILE)
    made["points"][4]["warnings"] = [HOSTILE]
    made["axes"][0]["unit"] = HOSTILE
    made["baseline"] = {"when": HOSTILE, "changes": [{"model": HOSTILE, "at": {"connections": 64}, "metric": HOSTILE,
                                                      "before": 1, "now": 2, "ratio": 2, "beyond_noise": True}]}
    return made


@case
def a_page_holds_the_comparison_and_nothing_from_elsewhere():
    made = comparison(NAMES, [CONNECTIONS, RATE])
    with written(made) as path:
        page = read(path)
    shown = json.loads(embedded(page))
    check_equal([point["at"] for point in shown["points"]], [point["at"] for point in made["points"]], "the points")
    check_equal(shown["models"], made["models"], "the models")
    check(re.search(r"Content-Security-Policy\" content=\"default-src 'none'", page), "no policy")
    check_equal(set(re.findall(r"""<[a-z][^<>]*\s(?:src|href|action)=["']?([^"'>]*)""", page)), {"data:,", "#table"},
                "what it refers to")
    check(len(page) < SIZE_MAX, f"the page has {len(page)} bytes")


@case
def texts_cannot_become_markup():
    made = hostile()
    with written(made) as path:
        page = read(path)
    check_equal(page.count("<script"), 2, "scripts")
    check_equal(page.count("</script"), 2, "ends of scripts")
    check(not re.search(r"[<>&]", embedded(page)), "a character of markup among the texts")
    check_equal(json.loads(embedded(page))["service"], HOSTILE, "the service")


@case
def long_curves_are_thinned_so_that_the_page_stays_small():
    made = comparison(NAMES, [CONNECTIONS, RATE])
    for point in made["points"]:
        point["latency"] = [[i / 1000, 1000 + i] for i in range(1000)]
    with written(made) as path:
        page = read(path)
    check(len(page) < SIZE_MAX, f"the page has {len(page)} bytes")
    for point in json.loads(embedded(page))["points"]:
        check_equal((point["latency"][0][0], point["latency"][-1][0]), (0, 999 / 1000), "the ends of a curve")


@case
def a_pipe_is_written_into():
    with written(comparison(NAMES)) as path:
        source = os.path.join(os.path.dirname(path), "saved.json")
        check_equal(run("report", source, "/dev/stdout").stdout, read(path), "what a pipe got")


def refuses(change, *words):
    made = comparison(NAMES, [CONNECTIONS])
    made = change(made) or made
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "saved.json")
        with open(source, "w", encoding="utf-8") as file:
            file.write(made if isinstance(made, str) else json.dumps(made))
        check_refusal(run("report", source, os.path.join(folder, "out.html")), 1, "saved.json", *words)
        check_equal(os.listdir(folder), ["saved.json"], "the files")


for name, broken, expected in (
        ("json", lambda made: "{\"format\": ", ("saved.json:1",)),
        ("another_format", lambda made: made.update(format="gearbox-compare-2"), ("gearbox-compare-1",)),
        ("a_list", lambda made: "[]", ("no comparison",)),
        ("no_models", lambda made: made.pop("models") and made, ("models is missing",)),
        ("three_axes", lambda made: made.update(axes=made["axes"] * 3), ("axes are 3",)),
        ("axis_value", lambda made: made["axes"][0]["values"].append(None), ("axes[0].values[3]",)),
        ("model_without_name", lambda made: made["models"][2].pop("name") and made, ("models[2].name",)),
        ("unknown_model", lambda made: made["points"][3].update(model="x"), ("points[3].model", "\"x\"")),
        ("unknown_axis", lambda made: made["points"][1]["at"].update(rate=1), ("points[1].at.rate",)),
        ("metric", lambda made: made["points"][5]["median"].update(p50_ns="1"), ("points[5].median.p50_ns",)),
        ("round", lambda made: made["points"][5]["rounds"][0].update(p50_ns=[]), ("points[5].rounds.p50_ns",)),
        ("latency", lambda made: made["points"][2]["latency"].append([2, 1]), ("points[2].latency[12]",)),
        ("warning", lambda made: made["points"][2]["warnings"].append(1), ("points[2].warnings[0]",)),
        ("finding", lambda made: made["findings"].append(1), ("findings[0]",)),
        ("noise", lambda made: made["noise"].update(p50_ns="1"), ("noise.p50_ns",)),
        ("baseline", lambda made: made.update(baseline={"when": "", "changes": [{"model": "x"}]}), ("baseline.changes[0].metric",)),
):
    add_case(f"what_is_no_comparison_is_refused_with_its_place[{name}]", refuses, broken, *expected)


@case
def files_that_cannot_be_had_are_named():
    check_refusal(run("report", "/nonexistent/saved.json", "out.html"), 1, "/nonexistent/saved.json")
    check_refusal(run("report"), 2, "report SAVED.json OUT.html")
    check_refusal(run("report", "saved.json"), 2, "the file to write is missing")
    with written(comparison(NAMES)) as path:
        source = os.path.join(os.path.dirname(path), "saved.json")
        check_refusal(run("report", source, "/nonexistent/out.html"), 1, "/nonexistent/out.html")
        check_refusal(run("report", source, "/dev/full"), 1, "/dev/full")


# In a browser: one is started for all that is looked at there, since starting it is most of the work.

LOOKS = []


def in_browser(function):
    """Register what is looked at in a browser, which it gets."""
    LOOKS.append(function)
    return function


def look(here, function):
    """What is wrong, if anything is."""
    here.fresh()
    try:
        function(here)
        check_equal(here.complaints, [], "what the browser complains of")
        check_equal([address for address in here.requests if not address.startswith(("file:", "data:"))], [],
                    "what was asked of the network")
    except Failure as failure:
        return f"{function.__name__}: {failure}"
    return None


def the_page_in_a_browser():
    with browser.Browser() as here:
        failures = [failure for failure in (look(here, function) for function in LOOKS) if failure]
    check(not failures, "\n".join(failures))


WIDER = """[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 &&
    !e.closest('.scroll, .legend, .patterns') && !e.closest('.skip')).map(e => e.outerHTML.slice(0, 90))"""


@in_browser
def nothing_is_wider_than_the_window(here):
    made = comparison(NAMES, [CONNECTIONS, RATE])
    made["models"].append({"name": "against-" + "x" * 150, "kind": "against", "command": "y" * 200})
    for point in made["points"][:2]:
        made["points"].append({**point, "model": made["models"][-1]["name"]})
    made["command"].append("z" * 300)
    with written(made) as path:
        here.open(path)
        for width in (360, 768, 1280):
            here.size(width)
            check_equal(here.evaluate("document.documentElement.scrollWidth"), width, "the page's width")
            check_equal(here.evaluate(WIDER), [], f"what is wider than {width}")
            check_equal(here.evaluate("[...document.querySelectorAll('.plot > svg')].map(e => Number(e.viewBox.baseVal.width)"
                                      " - Math.floor(e.parentNode.clientWidth)).filter(x => x)"), [], "drawings of another width")


@in_browser
def hostile_texts_are_texts(here):
    with written(hostile()) as path:
        here.open(path)
        check_equal(here.evaluate("window.hacked || 0"), 0, "what ran")
        check_equal(here.evaluate("document.querySelectorAll('script').length"), 2, "scripts")
        check_equal(here.evaluate("document.querySelectorAll('img, [onload], [onerror]').length"), 0, "elements")
        check(HOSTILE in here.evaluate("document.querySelector('h1').textContent"), "the service's name is not there")


def column(here, number):
    """The texts of a column of the table, from the top."""
    return here.evaluate(f"[...document.querySelectorAll('#table tbody tr')].map(row => row.children[{number}].textContent)")


def sorted_by(here):
    """[the column's key, which way] of the table."""
    return here.evaluate("[...document.querySelectorAll('#table th[aria-sort]')].filter(e => e.ariaSort !== 'none')"
                         ".map(e => [e.firstChild.dataset.key, e.ariaSort])")


@in_browser
def the_table_sorts_by_mouse_and_by_keyboard(here):
    with written(comparison(NAMES)) as path:
        here.open(path)
        check_equal(column(here, 0), NAMES, "models by throughput, most first")
        here.click("#table th:nth-child(2) button")
        check_equal(sorted_by(here), [["messages_per_second", "ascending"]], "after a click")
        check_equal(column(here, 0), NAMES[::-1], "models by throughput, fewest first")
        here.evaluate("document.querySelector('#table th:nth-child(1) button').focus()")
        here.key("Enter", 13, "\r")
        check_equal(column(here, 0), sorted(NAMES), "models by name")
        here.key("Tab", 9)
        here.key("Tab", 9)
        here.key(" ", 32, " ")
        check_equal(sorted_by(here), [["cpu_ns_per_message", "ascending"]], "what the second one from there sorts by")
        check_equal(here.evaluate("document.activeElement.dataset.key"), "cpu_ns_per_message", "what has the focus")
        here.key(" ", 32, " ")
        check_equal(sorted_by(here), [["cpu_ns_per_message", "descending"]], "the same again")
        check("descending" in here.evaluate("document.querySelector('#table [role=status]').textContent"), "it is not told")


@in_browser
def charts_follow_what_is_chosen_and_are_read_by_keys(here):
    with written(comparison(NAMES, [CONNECTIONS, RATE])) as path:
        here.open(path)
        # A metric of the bars: title, labels and table.
        here.evaluate("(() => { const s = document.querySelector('#bars select'); s.value = 'p99_ns';"
                      " s.dispatchEvent(new Event('change')); })()")
        here.settle()
        check_equal(here.evaluate("document.querySelector('#bars h3').textContent"), "P99 latency", "the title")
        bars = here.evaluate("[...document.querySelectorAll('#bars .value')].map(e => e.firstChild.data)")
        rows = here.evaluate("[...document.querySelectorAll('#bars .numbers td:nth-child(2)')].map(e => e.textContent)")
        check(len(bars) == len(NAMES) and bars == rows, f"bars {bars}, table {rows}")
        # A point of the sweep: all that shows one point follows.
        before = here.evaluate("document.querySelector('.prose').textContent")
        here.evaluate("document.querySelector('.place input').focus()")
        here.key("ArrowRight", 39)
        check_equal(here.evaluate("document.activeElement.value"), "1", "the radio button")
        here.key("ArrowRight", 39)
        check("4,096 connections" in here.evaluate("document.querySelector('.prose').textContent") != before, "the summary")
        # A model that is to stand out.
        marks = "document.querySelectorAll('#percentiles .end-label').length"
        chosen = here.evaluate(marks)
        here.click(".legend .chip[aria-pressed=true]")
        check_equal((here.evaluate(marks), here.evaluate("document.activeElement.getAttribute('aria-pressed')")),
                    (chosen - 1, "false"), "curves with a name, and the button")
        # The cursor of a curve.
        here.evaluate("document.querySelector('#percentiles [role=slider]').focus()")
        here.key("End", 35)
        text = here.evaluate("document.activeElement.getAttribute('aria-valuetext')")
        check("99.99" in text and any(name in text for name in NAMES), f"at the end: {text!r}")
        here.key("ArrowLeft", 37)
        check(here.evaluate("document.activeElement.getAttribute('aria-valuetext')") != text, "the arrow key does nothing")
        check(here.evaluate("!document.querySelector('#percentiles .tip').hidden"), "nothing is shown")
        here.key("Escape", 27)
        check(here.evaluate("document.querySelector('#percentiles .tip').hidden"), "it is still shown")
        # The heat map of one model instead of the best.
        here.evaluate("(() => { const s = document.querySelectorAll('#heat select')[1]; s.value = 'reactor';"
                      " s.dispatchEvent(new Event('change')); })()")
        check_equal(here.evaluate("document.querySelectorAll('#heat td').length"), 12, "fields of the map")
        check_equal(here.evaluate("document.querySelectorAll('#heat .winner').length"), 0, "names in the map")


@in_browser
def every_chart_has_a_name_and_its_numbers(here):
    with written(comparison(NAMES, [CONNECTIONS, RATE])) as path:
        here.open(path)
        check_equal(here.evaluate("[...document.querySelectorAll('svg[role=img], [role=slider], [role=region], nav')]"
                                  ".filter(e => !e.ariaLabel).length"), 0, "what has no name")
        check_equal(here.evaluate("[...document.querySelectorAll('svg')].filter(e => !e.closest('[aria-hidden]') &&"
                                  " e.getAttribute('role') !== 'img').length"), 0, "drawings without a role")
        check_equal(here.evaluate("[...document.querySelectorAll('figure')].filter(e => !e.querySelector('table')).length"), 0,
                    "charts without a table")
        check_equal(here.evaluate("[...document.querySelectorAll('select, input')].filter(e => !e.labels.length).length"), 0,
                    "controls without a label")
        check_equal(here.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"),
                    [], "what is named twice")


@in_browser
def each_model_has_a_sheet_with_a_drawing_and_its_command(here):
    names = [*NAMES, "reactor-pool", "multi-reactor-reuseport"]
    with written(comparison(names, command=["gearbox", "compare", "echo", "--against", "a 'b' {port}"])) as path:
        here.open(path)
        sheets = here.evaluate("[...document.querySelectorAll('.sheet')].map(e => [e.querySelector('h3').textContent,"
                               " e.querySelector('svg.travel').ariaLabel, e.querySelector('svg.travel').innerHTML,"
                               " e.querySelector('.command').textContent])")
        repeated = here.evaluate("document.querySelector('#method .command').textContent")
    check_equal([name for name, *_ in sheets], names, "the sheets")
    for which, what in ((1, "what drawings are called"), (2, "drawings")):
        check_equal(len({sheet[which] for sheet in sheets}), len(names), f"different {what}")
    for name, label, _, command in sheets:
        check_equal(command, f"gearbox serve echo --listen 127.0.0.1:7000 --model {name}", "the command")
        check(("process" in label) == (name == "prefork"), f"the drawing of {name} is called {label!r}")
    check_equal(repeated, "gearbox compare echo --against 'a '\\''b'\\'' {port}'", "the command to repeat it, for a shell")


@in_browser
def memory_is_shown_against_connections(here):
    made = comparison(NAMES, [CONNECTIONS])
    with written(made) as path:
        here.open(path)
        titles = here.evaluate("[...document.querySelectorAll('#sweep figure h3')].map(e => e.textContent)")
        check("Memory against connections" in titles, f"the charts are {titles}")
        rows = here.evaluate("[...[...document.querySelectorAll('#sweep figure')].find(e => e.querySelector('h3').textContent"
                             " === 'Memory against connections').querySelectorAll('table tr')].map(row => row.textContent)")
    check_equal(len(rows), 1 + len(NAMES), f"rows {rows}")
    bytes_of_first = made["points"][0]["median"]["memory_per_connection_bytes"]
    check(rows[1].replace("\u00a0", " ").startswith(f"thread{bytes_of_first / 1024:.0f} KiB"), f"{rows[1]!r}, of {bytes_of_first} B")


@in_browser
def models_are_told_apart_without_colours(here):
    with written(comparison(NAMES, [CONNECTIONS])) as path:
        here.open(path)
        samples = here.evaluate("[...document.querySelectorAll('#sweep .chip[aria-pressed=true] svg')].map(e =>"
                                " e.querySelector('.series').style.strokeDasharray + e.querySelector('.mark').getAttribute('d'))")
        bars = here.evaluate("[...document.querySelectorAll('#bars .bar')].map(e => [e.querySelector('.name').textContent,"
                             " e.querySelector('rect').getAttribute('fill')])")
    check_equal((len(samples), len(set(samples))), (len(NAMES), len(NAMES)), "samples of curves, and different ones")
    patterns = {name: "blocking" if name in ("thread", "prefork") else "completion" if name == "proactor" else "readiness"
                for name in NAMES}
    check_equal(dict(bars), {name: f"url(#fill-{pattern})" for name, pattern in patterns.items()}, "patterns of bars")


def summary(here):
    return here.evaluate("document.querySelector('.summary').textContent").replace("\u00a0", " ")


@in_browser
def the_summary_tells_what_differs_and_what_is_noise(here):
    made = comparison(NAMES)
    with written(made) as path:
        here.open(path)
        check("thread answered most: 180 k messages/s" in summary(here), summary(here))
        check("4 % in throughput" in summary(here), summary(here))
    # Once the noise reaches to the second, it is no longer called slower.
    made["noise"]["messages_per_second"] = 1.2
    for point in made["points"]:
        point["low"]["messages_per_second"] *= 0.9
    with written(made) as path:
        here.open(path)
        check("thread and prefork answered most" in summary(here) and "cannot tell" in summary(here), summary(here))
    made["noise"]["messages_per_second"] = 3
    made.update(interrupted=True)
    made["points"][1].update(ok=False, error="it broke", median={})
    with written(made) as path:
        here.open(path)
        for words in ("The machine was not quiet", "a factor of 3 in throughput", "All of them answered about as much",
                      "Interrupted", "One of 4 measurements failed"):
            check(words in summary(here), f"{words!r} is not in {summary(here)!r}")
        check("it broke" in here.evaluate("document.querySelector('#trouble').textContent"), "the error is not told")


@in_browser
def latency_against_load_shows_the_knee(here):
    made = comparison(NAMES, [RATE])
    disturbed, = (point for point in made["points"] if point["model"] == "thread" and point["at"]["rate"] == 60000)
    disturbed["median"]["p99_ns"] *= 100  # as compare has it too, that is no knee: higher rates did well
    with written(made) as path:
        here.open(path)
        check_equal(here.evaluate("document.querySelector('#sweep figure h3').textContent"), "Latency against offered load (p99)", "the title")
        knees = here.evaluate("[...document.querySelectorAll('#sweep figure:first-child table tr')].map(row => row.lastChild.textContent)")
        check_equal([text.replace("\u00a0", " ") for text in knees], ["Knee", "140 k/s", "140 k/s", "100 k/s", "100 k/s"], "knees")
        check_equal(here.evaluate("document.querySelectorAll('#sweep figure:first-child .knee').length"), 2, "rings")
        check("Latency stays low up to 140 k/s" in summary(here), summary(here))


# The contrast of WCAG 2: of a text's colour with that of the page or a card.
CONTRAST = """(() => {
    const light = text => { const c = document.createElement('canvas').getContext('2d'); c.fillStyle = text; c.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...c.getImageData(0, 0, 1, 1).data].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const style = getComputedStyle(document.documentElement), of = name => light(style.getPropertyValue(name).trim());
    const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const found = {};
    for (const name of ['--ink', '--soft-ink', '--accent', '--bad', '--warn', ...Array.from({ length: 8 }, (_, i) => `--s${i}`)])
        for (const ground of ['--paper', '--card'])
            if (ratio(of(name), of(ground)) < 4.5)
                found[`${name} on ${ground}`] = ratio(of(name), of(ground));
    return found; })()"""


@in_browser
def texts_can_be_read_in_light_and_dark_and_on_paper(here):
    with written(comparison(NAMES, [CONNECTIONS])) as path:
        grounds = []
        for kind, scheme in (("", "light"), ("", "dark"), ("print", "dark")):
            here.media(kind, prefers_color_scheme=scheme)
            here.open(path)
            check_equal(here.evaluate(CONTRAST), {}, f"what is faint in {scheme} {kind}")
            grounds.append(here.evaluate("getComputedStyle(document.body).backgroundColor"))
        check_equal(len(set(grounds)), 3, f"the grounds are {grounds}")
        here.media()
        pages = here.pdf()
        check(pages.startswith(b"%PDF") and pages.count(b"/Type /Page\n") + pages.count(b"/Type /Page ") > 2, "no pages")


if SMALL or not browser.PROGRAM:
    print(f"skipped: the page in a browser: {'a small run' if SMALL else 'there is no Chromium here'}", flush=True)
else:
    case(the_page_in_a_browser)

if __name__ == "__main__":
    main()
