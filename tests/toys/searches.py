"""A small survey to search: bricks of coadds with gaps, a table of objects with all their faults, known lenses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lensctl.io.tables.files import read_table, write_table
from tests.toys import coadds

BRICKS = ("1500p020", "1502p020", "0000m005")
MISSING = "1505p020"
ROWS = 70
PROGRAM = """
import os
import sys
from lensctl.cli.main import main
if __name__ == "__main__":
    from lensctl.io.imaging import streaming
    from tests.toys.frozen import tiny_network
    streaming.BLOCK_BYTES = int(os.environ.get("LENSCTL_TEST_BLOCK_BYTES", streaming.BLOCK_BYTES))
    with tiny_network():
        sys.exit(main(sys.argv[1:]))
"""


def make_coadds(folder: Path) -> None:
    """Three bricks below a folder: one whole, one without r, one at right ascension 0 with a gap in g."""
    for name in BRICKS:
        coadds.make_brick(folder, name, bands="gz" if name == "1502p020" else "grz")
    file = next(folder.rglob("*0000m005-image-g*"))
    pixels, header = fitsio.read(str(file), header=True)
    pixels[:, 150:190] = 0.0
    file.unlink()
    plain = file.with_name(file.name.removesuffix(".fz"))
    fitsio.write(str(plain), pixels, header=fitsio.FITSHDR([r for r in header.records() if r["name"] in WANTED]))


WANTED = {"CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2", "LSDR"}


def objects(count: int = ROWS, seed: int = 1) -> pa.Table:
    """Objects of the bricks, near and beyond their edges, and some of a brick that is not there; in mixed order."""
    tables = [coadds.objects(name, count, seed=seed, spread_px=280.0) for name in BRICKS]
    lost = coadds.objects("1502p020", 5, seed=seed)
    lost = lost.set_column(0, "galaxy_id", pa.array([f"{MISSING}_{i}" for i in range(5)]))
    table = pa.concat_tables([*tables, lost])
    random = np.random.default_rng(seed)
    flux = pa.array(random.uniform(1, 9, table.num_rows), pa.float32())
    table = table.append_column("flux_r", flux)
    return table.take(pa.array(random.permutation(table.num_rows)))


def make(folder: Path) -> Path:
    """The coadds in sky/, their objects in t.parquet, known lenses in lenses.csv."""
    make_coadds(folder / "sky")
    table = objects()
    pq.write_table(table, folder / "t.parquet")
    at = {row["galaxy_id"]: row for row in table.to_pylist()}
    lines = ["name,ra,dec,grading,ref"]
    for number, (id, grade) in enumerate((("1500p020_3", "A"), ("1500p020_9", "confident"), ("0000m005_2", "B"))):
        lines.append(f"L{number},{at[id]['ra']},{at[id]['dec']},{grade},paper")
    lines += ["L3,150.001,2.30,A,far from all", "L4,150.0,2.0,not,no lens"]
    (folder / "lenses.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_tables(folder: Path, count: int) -> list[str]:
    """The objects of t.parquet divided among `count` files."""
    table = read_table(str(folder / "t.parquet"))
    names = [str(folder / f"part-{k}.parquet") for k in range(count)]
    for k, name in enumerate(names):
        write_table(table.take(pa.array(np.arange(k, table.num_rows, count))), name)
    return names


def scores(folder: Path) -> pa.Table:
    """The scores of a search, by id."""
    files = sorted((folder / "scores" / "dataset").rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]).sort_by(
        [("region", "ascending"), ("galaxy_id", "ascending")]
    )


def summary(folder: Path) -> dict:
    return json.loads((folder / "search.json").read_text())


def command(*args: object, cwd: Path) -> subprocess.Popen[str]:
    """Start `lensctl ARGS...` with the tiny network in a process of its own."""
    line = [sys.executable, str(program(cwd)), *map(str, args)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen(line, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def program(folder: Path) -> Path:
    """A file that runs lensctl with the tiny network; worker processes import it too."""
    path = folder / "lensctl_tiny.py"
    if not path.exists():
        path.write_text(PROGRAM)
    return path
