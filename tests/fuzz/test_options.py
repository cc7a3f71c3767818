"""Values that no option expects: each is refused in a sentence, or works."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from lensctl.cli.command import app
from lensctl.cli.main import COMMANDS

LINES = {
    "crossmatch": "lenses.csv sweep.fits out.parquet --workers 1 --name-contains L",
    "pool": "sweep.fits out.parquet --lenses lenses.csv --workers 1",
    "sample": "pool.parquet out.parquet --positives positives.parquet --lenses lenses.csv",
    "cutout": "object.parquet out.zarr --url http://127.0.0.1:PORT --size 11 --tries 1",
    "inject": "objects.parquet plain.zarr out.zarr --workers 1",
    "pack": "npz out.zarr --workers 1",
    "export": "plain.zarr out --workers 1",
    "sync": "source target",
    "manifest": "out.parquet --positives positives.parquet plain.zarr --negatives positives.parquet plain.zarr",
    "gate": "splits,weights rows.parquet",
    "train": "rows.parquet out --crop 16 --epochs 1 --batch-size 64 --device cpu --root .",
    "score": "run rows.parquet out.parquet --device cpu",
    "evaluate": "scores.parquet --against scores.parquet --rounds 100",
    "freeze": "run out --evaluation evaluation --gates gates.jsonl",
    "verify": "frozen",
    "search": "frozen objects.parquet out --root fz --max-empty 1 --workers 1 --device cpu",
    "hosts": "pool.parquet out.parquet --lenses lenses.csv --positives positives.parquet",
    "selection observe": "scores.parquet plain.zarr out.parquet --workers 1",
    "selection measure": "frozen objects.parquet plain.zarr out --workers 1",
    "selection fit": "scores.parquet out --hosts scores.parquet --frozen frozen",
    "selection attach": "frozen attached/out/selection out --gates attached/out/gates.jsonl",
    "selection population": "out.parquet --hosts objects.parquet --count 3 --workers 1",
    "selection apply": "run objects.parquet out.parquet",
    "emr submit": "--staging s3://b/emr --region us-east-2 --subnet subnet-1 --dry-run sample s3://b/p s3://b/n",
    "emr status": "j-1 --region nowhere",
    "emr logs": "j-1 --region nowhere",
    "emr step": "j-1 --staging s3://b/emr --region us-east-2 --dry-run sample s3://b/p s3://b/n",
    "emr wait": "j-1 --region nowhere",
    "emr terminate": "j-1 --region nowhere",
    "emr list": "--region nowhere",
    "show": "t.parquet",
    "sky": "out --galaxies 20 --lenses 2 --workers 1",
    "doctor": "--url http://127.0.0.1:PORT",
}
"""Of each command a line that works, or ends early."""
FIRST = {"emr submit": " --wheel toy.whl"}
"""Given before the option that is tried: building a wheel takes longer than all else."""
NEEDS = {"cutout": " answer.fits fz", "train": " s.zarr", "score": " s.zarr", "search": " fz"}
OF_NUMBERS, OF_TEXTS = ("inf",), ("",)
MORE_NUMBERS, MORE_TEXTS = ("-1", "nan", "0", "1e308", str(10**30), ""), ("x", "-1", "nan", "=", "1e308=1e308")
"""Values of all tests, and those of the long ones."""
FREE = ("config", "quiet", "help", "overwrite", "checkout", "staging", "bucket")
"""Options that take no value, or one that is a place to look at."""


def options() -> Iterator[Any]:
    """Command, option and value."""
    for name in COMMANDS:
        importlib.import_module(f"lensctl.cli.{name}")
    commands = dict(typer.main.get_command(app).commands)
    for group in ("emr", "selection"):
        commands |= {f"{group} {name}": command for name, command in commands.pop(group).commands.items()}
    for name, command in commands.items():
        for option in command.params:
            if option.param_type_name != "option" or option.name in FREE or getattr(option, "is_flag", False):
                continue
            number = option.type_descriptor.annotation in (int, float)
            usual, more = (OF_NUMBERS, MORE_NUMBERS) if number else (OF_TEXTS, MORE_TEXTS)
            for value in (*usual, *more):
                marks = [pytest.mark.soak] if value in more else []
                yield pytest.param(name, max(option.opts, key=len), value, marks=marks)


def test_every_command_has_a_line():
    assert {option.values[0] for option in options()} == set(LINES)


@pytest.mark.parametrize(("name", "option", "value"), list(options()))
def test_no_value_of_an_option_is_our_fault(warm, name, option, value):
    where = f" {option}={shlex.quote(value)}"
    begun = name + FIRST.get(name, "")
    line = f"{begun}{where} {LINES[name]}" if name in ("emr submit", "emr step") else f"{begun} {LINES[name]}{where}"
    ended = warm.command(line, NEEDS.get(name, ""))
    assert ended.is_ours(), f"lensctl {line}: {ended}"
