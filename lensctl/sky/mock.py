"""`lensctl sky`: make a complete mock survey in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.provenance.steps import Chain, Step, common_survey, extend, stamp, survey_of, to_json
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.resumable import whole_folder
from lensctl.io.tables.files import write_table
from lensctl.io.workers import cores, each
from lensctl.rules.errors import InputError
from lensctl.rules.split import SPLITS
from lensctl.sky import about, catalogs, coadds, lens_catalog
from lensctl.sky.lenses import TIERS
from lensctl.sky.objects.styles import DEFAULT, Style, style_of
from lensctl.sky.pointings import Pointing, Size, plan
from lensctl.sky.window import Columns, build, lens_facts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

LENS_SHARE = 0.021
"""Default fraction of lenses among galaxies: far higher than on the real sky."""

PIXELS_PER_PROCESS = 5_000_000
"""Starting a process takes as long as making windows of a million pixels or two."""


@dataclass(frozen=True)
class MockSurvey:
    """A mock survey and its truth table."""

    pointings: list[Pointing]
    rows: int
    sweeps: int
    catalogued_lenses: int
    truth: Columns

    def counts(self, *columns: str) -> Counter[tuple[str, ...]]:
        """Number of objects for each combination of values of some truth-table columns."""
        return Counter(zip(*(map(str, self.truth[name].tolist()) for name in columns), strict=True))


def make(
    root: Path,
    size: Size,
    *,
    seed: int,
    workers: int,
    chain: Chain,
    style: Style = DEFAULT,
    advance: Callable[[int], None] = lambda _: None,
) -> MockSurvey:
    """Write a mock survey into an empty folder.

    Parameters
    ----------
    root : Path
        The folder.
    size : Size
        Number of galaxies and lenses, and size of the windows.
    seed : int
        Determines all random numbers, whatever the number of workers.
    workers : int
        Maximum number of processes.
    chain : Chain
        Provenance, for the truth table and provenance.json; its last step says of which survey the sky is.
    style : Style
        Profiles, PSF wings, noise, colours and sources.
    advance : callable
        Called with 1 for each window made.

    Raises
    ------
    InputError
        An impossible size, or a survey without imaging.
    """
    survey = survey_of(chain)
    pointings = plan(seed, size, survey, style)
    windows: dict[int, tuple[NDArray[Any], Columns]] = {}
    processes = min(workers, max(1, sum(pointing.size**2 for pointing in pointings) // PIXELS_PER_PROCESS))
    for index, catalog, truth in each(partial(_make_window, root, seed), pointings, processes):
        windows[index] = catalog, truth
        advance(1)
    rows = [windows[pointing.index][0] for pointing in pointings]
    truths = [windows[pointing.index][1] for pointing in pointings]
    for pointing, catalog in zip(pointings, rows, strict=True):
        catalogs.write_tractor(root, pointing.brick, catalog)
    sweeps = catalogs.write_sweeps(root, np.concatenate(rows), survey)
    catalogs.write_bricks(root, [pointing.brick for pointing in pointings])
    truth = {name: np.concatenate([part[name] for part in truths]) for name in truths[0]}
    listed = lens_catalog.rows(seed, truth)
    lens_catalog.write(root / "lenses.csv", listed)
    write_table(stamp(_truth_table(truth, survey), chain), str(root / "truth.parquet"))
    (root / "provenance.json").write_text(to_json(chain) + "\n", encoding="utf-8")
    made = MockSurvey(pointings, sum(map(len, rows)), sweeps, len(listed), truth)
    (root / "README.md").write_text(about.text(made.counts, pointings, seed, len(listed)), encoding="utf-8")
    return made


def _totals(made: MockSurvey) -> list[tuple[Any, ...]]:
    """Objects of each kind and lenses of each grade, by split and in all, each group with its sum."""

    def row(name: str, counts: Sequence[int]) -> tuple[Any, ...]:
        return (name, *counts, sum(counts))

    def group(column: str, wanted: Sequence[str], before: str, whole: str) -> list[tuple[Any, ...]]:
        found = made.counts(column, "split")
        counts = {value: [found[value, split] for split in SPLITS] for value in wanted}
        sums = [sum(column) for column in zip(*counts.values(), strict=True)]
        return [*(row(f"{before}{value}", each) for value, each in counts.items()), row(whole, sums)]

    kinds = sorted({kind for (kind,) in made.counts("kind")})
    return group("kind", kinds, "", "all objects") + group("grade", [*TIERS], "lenses, ", "all lenses")


def _make_window(root: Path, seed: int, pointing: Pointing) -> tuple[int, NDArray[Any], Columns]:
    """Make one window and write its coadds; returns its index, Tractor rows and truth."""
    window = build(seed, pointing)
    coadds.write(root, pointing, window.planes)
    return pointing.index, catalogs.tractor_rows(window.catalog, pointing.survey), window.truth


def _truth_table(truth: Columns, survey: Survey) -> pa.Table:
    """The truth as a table; lens parameters are null for other objects."""
    import pyarrow as pa

    names = zip(truth["brickname"], truth["objid"], strict=True)
    columns: dict[str, Any] = {"galaxy_id": pa.array([f"{brick}_{objid}" for brick, objid in names])}
    only_of_lenses = lens_facts(survey)
    for name, values in truth.items():
        columns[name] = pa.array(values, from_pandas=name in only_of_lenses)
    return pa.table(columns)


def sky(
    out_dir: str | Path,
    *,
    galaxies: int = 18_000,
    lenses: int | None = None,
    window_px: int | None = None,
    full_bricks: bool = False,
    survey: Survey | str | None = None,
    style: str = DEFAULT.name,
    seed: int = 42,
    workers: int | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Make a mock survey with known lenses, laid out like the Legacy Surveys.

    Parameters
    ----------
    out_dir : path
        Folder to create.
    galaxies, lenses : int
        In the catalogue; lenses are 2.1 % of the galaxies by default.
    window_px, full_bricks
        Side of the coadd windows, default as needed; or full bricks.
    survey : Survey or str, optional
        The survey, its name or its YAML file; default ls-dr10.
    style : str
        default, or other: a deliberately different sky, to test what was chosen on the default.
    seed : int
        The same seed and size give identical files.
    workers : int, optional
        Processes; default one per core.

    Returns
    -------
    Receipt
        With bricks, sweeps, rows, lenses, and rows of the lens catalogue.

    Raises
    ------
    InputError
        See `pointings.plan`; an unknown style; an existing folder.
    """
    if full_bricks and window_px is not None:
        raise InputError("--full-bricks and --window-px exclude each other", "use only one of them")
    drawn = style_of(style)
    size = Size(galaxies, round(LENS_SHARE * galaxies) if lenses is None else lenses, window_px, full_bricks)
    chain = extend(Step("sky", {**vars(size), "style": style, "seed": seed}, survey=common_survey(survey)))
    with whole_folder(out_dir, "sky", overwrite) as part, report.progress("windows", None) as advance:
        made = make(part, size, seed=seed, workers=workers or cores(), chain=chain, style=drawn, advance=advance)
    report.table(f"{out_dir}: a mock sky, nothing in it is real", ("kind", *SPLITS, "all"), _totals(made))
    report.say(
        f"{made.rows:,} objects in {len(made.pointings):,} bricks, {size.lenses:,} of them lenses; the lens catalogue "
        f"has {made.catalogued_lenses:,} rows"
    )
    return {
        "command": "sky",
        "output": str(out_dir),
        "bricks": len(made.pointings),
        "sweeps": made.sweeps,
        "rows": made.rows,
        "lenses": size.lenses,
        "lens_catalog_rows": made.catalogued_lenses,
    }
