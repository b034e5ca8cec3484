"""Comparisons as `gearbox compare --json` writes them, with made-up figures, for the tests of the report."""

import json
import math

import lib

QUANTILES = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999]


def presets():
    """The models of the command, by name, as a comparison names them."""
    models = json.loads(lib.run("models", "--json").stdout)["models"]
    return {m["name"]: {"name": m["name"], "spec": m["spec"], "kind": "model", "axes": m["axes"], "sentence": m["summary"],
                        "when": m["use"], "when_not": m["avoid"],
                        "command": f"gearbox serve echo --listen 127.0.0.1:7000 --model {m['name']}"} for m in models}


def _figures(number, at, rate):
    """What a model does, for better or worse by its number."""
    connections = at.get("connections", 64)
    peak = 180e3 / (1 + 0.13 * number) * min(1, connections / 20)
    load = min(0.98, rate / peak) if rate else 0.9
    served = min(rate, peak) if rate else peak
    middle = 60e3 * (1 + 0.1 * number) * connections ** 0.3 / (1.02 - load) ** (0.5 + 0.05 * number)
    return {"messages_per_second": served, "p50_ns": middle, "p90_ns": middle * 1.7, "p99_ns": middle * (2.4 + number % 4),
            "p99_9_ns": middle * (4 + number % 5), "p99_99_ns": middle * (9 + number % 7), "max_ns": middle * 30,
            "cpu_ns_per_message": 5200 * (1 + 0.11 * number), "instructions_per_message": 9100 * (1 + 0.1 * number),
            "context_switches_per_message": 0.02 * number, "memory_per_connection_bytes":
            (120 if number % 3 else 46000) * (1 + 2 / connections), "idle_cpu_share": 0.0004 * number,
            "loop_delay_p99_ns": 40000 * (1 + number % 3), "imbalance": 1 + 0.04 * number, "imbalance_deviation": 0.02 * number}


def _latency(figures):
    middle, tail = figures["p50_ns"], figures["p99_ns"] / figures["p50_ns"]
    return [[q, middle * (0.4 + 0.6 * q / 0.5 if q < 0.5 else tail ** (math.log2(0.5 / (1 - q)) / math.log2(50)))]
            for q in QUANTILES]


def point(model, number, at, rate=None):
    figures = _figures(number, at, at.get("rate", rate))
    return {"model": model, "at": at, "ok": True, "error": "", "warnings": [], "median": figures,
            "low": {key: value * 0.97 for key, value in figures.items()},
            "high": {key: value * 1.02 for key, value in figures.items()},
            "rounds": [{key: value * factor for key, value in figures.items()} for factor in (0.97, 1, 1.02)],
            "latency": _latency(figures)}


def comparison(names, axes=(), **changes):
    """A comparison of the models over the axes, given as (name, unit, values)."""
    known = presets()
    places = [{}]
    for name, _, values in axes:
        places = [{**at, name: value} for at in places for value in values]
    made = {
        "format": "gearbox-compare-1", "service": "echo", "when": "2026-11-28T12:00:00Z", "interrupted": False,
        "command": ["gearbox", "compare", "echo", "--rounds", "3"],
        "machine": {"host": "here", "cpu": "A CPU", "cpus": 2, "cpus_allotted": 2, "quota": None,
                    "memory_bytes": 25 << 30, "kernel": "6.18.0", "gearbox": "0.1.0", "commit": "0123abc", "compiler": "gcc 12"},
        "load": {"protocol": "echo", "connections": 64, "depth": 1, "size": 64, "rate": None, "arrivals": "constant",
                 "duration_ms": 2000, "rounds": 3},
        "axes": [{"name": name, "unit": unit, "values": list(values)} for name, unit, values in axes],
        "models": [known[name] for name in names],
        "points": [point(name, number, dict(at)) for at in places for number, name in enumerate(names)],
        "noise": {"messages_per_second": 1.04, "p99_ns": 1.12, "cpu_ns_per_message": 1.03},
        "findings": [], "baseline": None,
    }
    made.update(changes)
    return made
