"""The tutorial shows the demo: its commands, and what they print."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, script

tutorial = script("tutorial.py")
PAGE = (DOCS / "tutorial.md").read_text()
BLOCKS = [(found[1], found[5]) for found in tutorial.BLOCK.finditer(PAGE)]
STABLE = (
    "sky",
    "crossmatch",
    "pool",
    "sample",
    "cutout demo/positives",
    "cutout demo/negatives",
    "export",
    "manifest",
    "gate pool",
)
"""Commands whose numbers are the same on every machine; a trained network's are only alike."""
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

LOG = """mkdir
lensctl pool 'a b' demo/pool.parquet --lenses l.csv --overwrite \\
  | tee demo/receipts/3-pool.json
windows: 45, 1/s
Funnel
number
──────
one
two
three
four

all said
{"command": "pool", "digest": "sha256:%s", "seconds": 1.5}
lensctl gate pool demo/pool.parquet > demo/gates/pool.jsonl
training: epoch 1 of 8, batch 13 of 23, 22 cutouts/s, 0:08:13 left
11 checks: 11 passed
make[1]: Nothing to be done
lensctl gate pool demo/pool.parquet > demo/gates/pool.jsonl
12 checks: 12 passed
Outputs in demo/         
│ pool │
Result on mock lenses
│ report to open │ /a/place/of/mine/demo/evaluation/report.html │
"""


def test_a_transcript_is_read_command_by_command_and_the_last_run_counts():
    of = tutorial.transcript(LOG % ("0123456789ab" + 52 * "c"))
    pool, gate, end = of
    assert pool == "lensctl pool 'a b' demo/pool.parquet --lenses l.csv"
    assert "windows" not in of[pool]
    assert of[gate] == "12 checks: 12 passed"
    assert end == tutorial.SUMMARY
    assert tutorial.block(of, "pool", 2).splitlines() == [
        "$ lensctl pool 'a b' demo/pool.parquet --lenses l.csv",
        *("Funnel", "number", "──────", "one", "two", "…", "", "all said"),
        '{"command": "pool", "digest": "sha256:0123456789ab…", "seconds": 1.5}',
    ]
    assert tutorial.block(of, "pool", lines=(1, 1)).splitlines()[1:3] == ["Funnel", "…"]
    assert (
        tutorial.block(of, "summary").splitlines()[1] == f"│ report to open │ …/demo/evaluation/report.html{15 * ' '} │"
    )
    with pytest.raises(SystemExit, match="the demo has 0 commands that begin with 'sky'"):
        tutorial.block(of, "sky")


def test_a_long_command_is_folded_before_an_option():
    line = "lensctl freeze run frozen --evaluation evaluation --manifest node/manifest.parquet --gates pool.jsonl"
    assert tutorial.shown(f"{line} --gates manifest.jsonl --overwrite | tee x.json").splitlines() == [
        "lensctl freeze run frozen --evaluation evaluation --manifest node/manifest.parquet --gates pool.jsonl \\",
        "    --gates manifest.jsonl",
    ]


def test_blocks_are_made_anew_and_the_words_between_them_stay():
    of = tutorial.transcript(LOG % (64 * "0"))
    page = "# A\n<!-- demo: gate pool -->\n```\nold\n```\n<!-- end -->\nwords\n"
    made = tutorial.filled(page, of)
    assert made == page.replace(
        "old", "$ lensctl gate pool demo/pool.parquet > demo/gates/pool.jsonl\n12 checks: 12 passed"
    )
    assert tutorial.filled(made, of) == made


@needs_make
def test_the_commands_of_the_tutorial_are_those_of_the_demo():
    line = ["make", "-n", "-B", "-f", "examples/Makefile", "WORK=demo", "CONFIGS=examples/configs"]
    printed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    demo = {command for command in tutorial.transcript(printed) if command.startswith("lensctl")}
    shown = [
        "\n".join(re.findall(r"\A\$ ((?:.*\\\n)*.*)", text)) for words, text in BLOCKS if words != tutorial.SUMMARY
    ]
    assert len(shown) > 25
    assert [command for command in shown if command not in demo] == []
    verb = re.compile(r"lensctl (selection \w+|\w+)")
    assert {verb.match(command)[0] for command in shown} == {verb.match(command)[0] for command in demo}


def test_every_block_of_the_tutorial_has_output():
    assert len(BLOCKS) == PAGE.count("<!-- demo: ") == PAGE.count("<!-- end -->")
    assert [words for words, text in BLOCKS if len(text.splitlines()) < 2] == []


def timeless(block: str) -> str:
    """A block without what differs from run to run."""
    return re.sub(r'"seconds": [\d.]+', '"seconds": #', block)


def shape(block: str) -> list[object]:
    """What a block has on every machine: the command, the columns of tables, the keys of the receipt."""
    lines = block.splitlines()
    heads = [re.findall(r"[\w.,%]+", head) for head, line in pairwise(lines) if tutorial.RULE.match(line)]
    keys = [sorted(json.loads(line)) for line in lines if line.startswith("{")]
    return [[line for line in lines if line.startswith(("$ ", "    --"))], heads, keys]


@needs_make
@pytest.mark.soak
def test_the_tutorial_shows_what_the_demo_prints(tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "demo").mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    line = ["make", "-f", "examples/Makefile", "WORK=demo", "CONFIGS=examples/configs"]
    done = subprocess.run(
        line,
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    made = tutorial.filled(PAGE, tutorial.transcript(done.stdout))
    for (words, old), (_, new) in zip(BLOCKS, [(f[1], f[5]) for f in tutorial.BLOCK.finditer(made)], strict=True):
        assert shape(new) == shape(old), words
        if words.startswith(STABLE):
            assert timeless(new) == timeless(old), words
