"""Run the benchmarks named (or all), and print one line of JSON for each figure."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys

import tests.benchmarks

names = sys.argv[1:] or sorted(m.name for m in pkgutil.iter_modules(tests.benchmarks.__path__) if m.name != "__main__")
for name in names:
    benchmark = importlib.import_module(f"tests.benchmarks.{name}")
    for figure in benchmark.figures() if hasattr(benchmark, "figures") else ():  # the others are what they share
        print(json.dumps({"benchmark": name, **figure}), flush=True)
