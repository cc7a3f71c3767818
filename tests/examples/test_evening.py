"""The evening: its Makefile, unchanged, against a local service with both routes, which fails now and then."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lensctl.cli.main import main
from lensctl.io.cutouts.store import open_store
from tests.toys.mock_sky_service import MockSky
from tests.toys.viewer_server import serving

EVENING = Path(__file__).resolve().parents[2] / "examples" / "evening"
pytestmark = [
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
    pytest.mark.usefixtures("on_the_path"),
]

SMALL = (
    "SAMPLE=--negatives-per-positive 2",
    "CUTOUT=--rate 1000 --patience 1 --tries 3",
    "GATES=--set pool.min_rows=100 --set pixels.max_failed=0.1 --set shortcut.min_positives=10",
    "TRAIN=--epochs 6 --samples-per-epoch 256 --batch-size 16 --crop 40 --threads 1",
)
"""A small mock sky instead of the real one, and no need to be polite to it."""


def make(work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = ["make", "-f", EVENING / "Makefile", f"WORK={work}", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def sky(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evening") / "sky"
    assert main(["sky", str(folder), "--galaxies", "1000", "--lenses", "100", "--workers", "1"]) == 0
    return folder


def test_an_evening_goes_on_after_an_outage_and_ends_with_a_report(sky, tmp_path):
    work = tmp_path / "evening"
    work.mkdir()
    shutil.copy(sky / "lenses.csv", work / "lenscat.csv")
    with serving() as service:
        service.sky = MockSky(sky)
        service.box_faults = ["503", "", "500", "429"]
        server = f"SERVER={service.url}"

        plan = make(work, server, "plan")
        boxes = (work / "boxes.txt").read_text().splitlines()
        assert f"catalogues{len(boxes):>16,}   2 at a time" in plan.stdout
        assert "estimated" in plan.stdout
        assert service.boxes == []

        service.down_after = 60
        stopped = make(work, server, *SMALL)
        assert stopped.returncode == 2
        assert "the cutout service does not respond" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        asked_before = Counter(service.asked)

        service.down_after = None
        done = make(work, server, *SMALL)
        assert done.returncode == 0, done.stderr[-3000:]

    assert (work / "evaluation/report.html").stat().st_size > 10_000
    rows = {name: pq.read_table(work / f"{name}.parquet") for name in ("positives", "negatives")}
    assert rows["positives"].num_rows > 80
    assert rows["negatives"].num_rows >= 1.5 * rows["positives"].num_rows
    for name, table in rows.items():
        store = open_store(work / f"{name}.zarr")
        assert store.n == table.num_rows
        assert set(store.index["source"].to_pylist()) == {"viewer"}
        assert pc.sum(store.index["cutout_ok"]).as_py() > 0.8 * store.n
    lines = [json.loads(line) for line in (work / "gates/manifest.jsonl").read_text().splitlines()]
    assert {line["gate"] for line in lines} >= {"homogeneity", "pixels", "shortcut", "splits", "overlap", "weights"}
    assert all(line["passed"] for line in lines)

    assert len(service.boxes) == len(boxes) + 3, "each box is fetched once, and again only after a fault"
    assert service.most_boxes_at_once <= 2
    assert service.most_at_once <= 4
    assert {agent.partition("/")[0] for agent in service.agents} == {"lensctl"}
    assert asked_before.total() > 0


def test_boxes_hold_their_lenses_and_do_not_touch(sky, tmp_path):
    done = subprocess.run(
        [sys.executable, EVENING / "boxes.py", sky / "lenses.csv", "--server", "http://x/viewer", "--lenses", "7"],
        capture_output=True,
        text=True,
        check=True,
    )
    boxes = [dict(part.split("=") for part in line.split("?")[1].split("&")) for line in done.stdout.splitlines()]
    assert len(boxes) == 7
    edges = [tuple(float(box[name]) for name in ("ralo", "rahi", "declo", "dechi")) for box in boxes]
    for i, (ralo, rahi, declo, dechi) in enumerate(edges):
        assert dechi - declo == pytest.approx(0.2, abs=1e-4)
        assert declo > -18.2
        assert dechi < 32.2
        for other in edges[:i]:
            assert ralo > other[1] or rahi < other[0] or declo > other[3] or dechi < other[2]
    nothing = tmp_path / "none.csv"
    nothing.write_text("name,ra,dec,grading\nDESI-1,10,60,confident\n")
    failed = subprocess.run(
        [sys.executable, EVENING / "boxes.py", nothing], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert "no graded lens" in failed.stderr
