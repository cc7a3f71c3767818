"""`lensctl sky`: make a whole mock survey in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.provenance.steps import Chain, stamp, to_json
from lensctl.io.tables.files import write_table
from lensctl.io.workers import each
from lensctl.sky import about, catalogs, coadds, lens_catalog
from lensctl.sky.columns import tractor_rows
from lensctl.sky.pointings import Pointing, Size, plan
from lensctl.sky.window import LENS_FACTS, Columns, build

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

LENS_SHARE = 0.031
"""Lenses among galaxies where no number is given: far more than on the real sky."""

GALAXIES_PER_PROCESS = 1000
"""A process takes as long to start as a few hundred galaxies to make."""


@dataclass(frozen=True)
class MockSurvey:
    """What a sky holds."""

    pointings: list[Pointing]
    rows: int
    sweeps: int
    catalogued_lenses: int
    truth: Columns

    def counts(self, *columns: str) -> Counter[tuple[str, ...]]:
        """Number of objects for each combination of some text columns of the truth table."""
        return Counter(zip(*(map(str, self.truth[name].tolist()) for name in columns), strict=True))


def make(
    root: Path,
    size: Size,
    *,
    seed: int,
    workers: int,
    chain: Chain,
    advance: Callable[[int], None] = lambda _: None,
) -> MockSurvey:
    """Write a mock survey into an empty folder.

    Parameters
    ----------
    root : Path
        The folder.
    size : Size
        How many galaxies and lenses, and how large the windows are.
    seed : int
        Everything that is drawn follows from it, whatever the number of workers.
    workers : int
        Processes, at most.
    chain : Chain
        Provenance, for the truth table and provenance.json.
    advance : callable
        Called with 1 for each window made.

    Raises
    ------
    InputError
        A size that cannot be made.
    """
    pointings = plan(seed, size)
    made_of: dict[int, tuple[NDArray[Any], Columns]] = {}
    processes = min(workers, max(1, size.galaxies // GALAXIES_PER_PROCESS))
    for index, catalog, truth in each(partial(_make_window, root, seed), pointings, processes):
        made_of[index] = catalog, truth
        advance(1)
    rows = [made_of[pointing.index][0] for pointing in pointings]
    truths = [made_of[pointing.index][1] for pointing in pointings]
    for pointing, catalog in zip(pointings, rows, strict=True):
        catalogs.write_tractor(root, pointing.brick, catalog)
    sweeps = catalogs.write_sweeps(root, np.concatenate(rows))
    catalogs.write_bricks(root, [pointing.brick for pointing in pointings])
    truth = {name: np.concatenate([part[name] for part in truths]) for name in truths[0]}
    listed = lens_catalog.rows(seed, truth)
    lens_catalog.write(root / "lenses.csv", listed)
    write_table(stamp(_truth_table(truth), chain), str(root / "truth.parquet"))
    (root / "provenance.json").write_text(to_json(chain) + "\n", encoding="utf-8")
    made = MockSurvey(pointings, sum(map(len, rows)), sweeps, len(listed), truth)
    (root / "README.md").write_text(about.text(made.counts, pointings, seed, len(listed)), encoding="utf-8")
    return made


def _make_window(root: Path, seed: int, pointing: Pointing) -> tuple[int, NDArray[Any], Columns]:
    """Make one window, write its coadds, and give its index, Tractor rows and truth."""
    window = build(seed, pointing)
    coadds.write(root, pointing, window.planes)
    return pointing.index, tractor_rows(window.catalog), window.truth


def _truth_table(truth: Columns) -> pa.Table:
    """The truth as a table; what only lenses have is null elsewhere."""
    import pyarrow as pa

    names = zip(truth["brickname"], truth["objid"], strict=True)
    columns: dict[str, Any] = {"galaxy_id": pa.array([f"{brick}_{objid}" for brick, objid in names])}
    for name, values in truth.items():
        columns[name] = pa.array(values, from_pandas=name in LENS_FACTS)
    return pa.table(columns)
