"""Run the benchmarks named (or all), and print one line of JSON for each figure."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys

import tests.benchmarks

names = sys.argv[1:] or sorted(m.name for m in pkgutil.iter_modules(tests.benchmarks.__path__) if m.name != "__main__")
for name in names:
    for figure in importlib.import_module(f"tests.benchmarks.{name}").figures():
        print(json.dumps({"benchmark": name, **figure}), flush=True)
