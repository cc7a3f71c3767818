"""`lensctl sky`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Overwrite, Seed, Survey, Workers


@command("sky", TABLES)
def sky(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder to create.", show_default=False)],
    galaxies: Annotated[int, typer.Option(min=20, help="Galaxies in the catalogue, including lenses.")] = 12_000,
    lenses: Annotated[
        int | None, typer.Option(min=0, help="Lenses; default 3.1 % of the galaxies.", show_default=False)
    ] = None,
    window_px: Annotated[
        int | None,
        typer.Option(min=1, help="Side of a coadd window; default as needed.", show_default=False),
    ] = None,
    full_bricks: Annotated[bool, typer.Option("--full-bricks", help="Full bricks, not windows.")] = False,
    survey: Survey = None,
    seed: Seed = 42,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a mock survey, laid out like the Legacy Surveys.

    Coadds, Tractor catalogues, sweeps, a lens catalogue and a truth table, for demos and tests. Nothing in it is
    real, as its README and every FITS header state. The same seed and size give identical files.

    Example: lensctl sky sky --galaxies 2000
    """
    from lensctl.io.provenance.steps import Step, common_survey, extend
    from lensctl.io.storage.atomic import whole_folder
    from lensctl.io.workers import cores
    from lensctl.rules.errors import InputError
    from lensctl.sky.mock import LENS_SHARE, make
    from lensctl.sky.pointings import Size

    if full_bricks and window_px is not None:
        raise InputError("--full-bricks and --window-px exclude each other", "use only one of them")
    size = Size(galaxies, round(LENS_SHARE * galaxies) if lenses is None else lenses, window_px, full_bricks)
    step = Step("sky", {**vars(size), "seed": seed}, survey=common_survey(survey))
    chain = extend(step)
    with whole_folder(out_dir, overwrite) as part, report.progress("windows", None) as advance:
        made = make(part, size, seed=seed, workers=workers or cores(), chain=chain, advance=advance)
    by_kind = made.counts("kind", "split")
    by_grade = made.counts("grade", "split")
    splits = ("train", "val", "test")
    report.table(
        "A mock sky: nothing in it is real",
        ("kind", *splits),
        [(kind, *(by_kind[kind, split] for split in splits)) for kind in sorted({kind for kind, _ in by_kind})]
        + [(f"lenses, {g}", *(by_grade[g, s] for s in splits)) for g in ("confident", "probable")],
    )
    report.receipt(
        "sky",
        str(out_dir),
        bricks=len(made.pointings),
        sweeps=made.sweeps,
        rows=made.rows,
        lenses=size.lenses,
        lens_catalog_rows=made.catalogued_lenses,
    )
