"""`lensctl crossmatch`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Output, Overwrite, Survey, Workers


@command("crossmatch", TABLES)
def crossmatch(
    catalog: Annotated[str, typer.Argument(metavar="CATALOG", help="lenscat's CSV, or a table with ra, dec, grading.")],
    tractor: Annotated[list[str], typer.Argument(metavar="TRACTOR...", help="Tractor or sweep files.")],
    output: Output,
    survey: Survey = None,
    radius_arcsec: Annotated[
        float | None, typer.Option(min=0, help="Match radius; default the survey's (5).", show_default=False)
    ] = None,
    merge_arcsec: Annotated[
        float | None,
        typer.Option(min=0, help="Merge candidates within this radius; default the survey's (3).", show_default=False),
    ] = None,
    name_contains: Annotated[str, typer.Option(help="Only rows whose name contains this; '' selects all.")] = "DESI-",
    tier_b_weight: Annotated[float, typer.Option(help="Sample weight of tier B, 0.3 to 0.6.")] = 0.5,
    unmatched: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also write candidates without a match or stratum here, with the reason.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Match a lens catalogue to the survey: positives with tiers.

    Duplicates of a lens are merged. Every positive is centred on the nearest Tractor object, like the negatives.

    Example: lensctl crossmatch sky/lenses.csv 'sky/south/tractor/*/*.fits' positives.parquet
    """
    from lensctl.crossmatch import crossmatch, select, summary
    from lensctl.io.provenance import digests
    from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
    from lensctl.io.storage.atomic import refuse_existing
    from lensctl.io.tables import lens_catalogs, sweeps
    from lensctl.io.tables.files import write_table

    for path in (output, unmatched):
        if path:
            refuse_existing(path, overwrite)
    listed = lens_catalogs.read_lens_catalog(catalog)
    chain = chain_of(listed, catalog)
    of = common_survey(survey, chain)
    radius_arcsec = of.match_arcsec if radius_arcsec is None else radius_arcsec
    merge_arcsec = of.merge_arcsec if merge_arcsec is None else merge_arcsec
    lenses = select(listed, name_contains=name_contains, merge_arcsec=merge_arcsec)
    report.say(
        f"{catalog}: {listed.num_rows:,} rows, {lenses.selected:,} selected, {lenses.ungraded:,} without tier A or B, "
        f"{lenses.merged:,} merged as duplicates, {lenses.rows.num_rows:,} lenses"
    )
    files = sweeps.catalog_files(tractor)
    with report.progress("catalogue files", len(files)) as advance:
        matched = crossmatch(
            lenses.rows,
            files,
            survey=of,
            radius_arcsec=radius_arcsec,
            tier_b_weight=tier_b_weight,
            count=workers,
            advance=advance,
        )
    counts = summary(matched.positives, of)
    rows = [(*key, count) for key, count in sorted(counts.items(), key=lambda item: tuple(map(str, item[0])))]
    report.table("Positives", ("tier", "type", f"{of.depth('nobs')} bin", "positives"), rows)
    unstratified = matched.positives["unstratified"].to_pylist().count(True)
    without_match = matched.unmatched["galaxy_id"].null_count
    report.say(
        f"{without_match:,} lenses have no match; {matched.shared:,} share an object with another; "
        f"{unstratified:,} positives have a type or bin of exposures without negatives (column unstratified)"
    )
    parameters = {
        "radius_arcsec": radius_arcsec,
        "merge_arcsec": merge_arcsec,
        "name_contains": name_contains,
        "tier_b_weight": tier_b_weight,
    }
    inputs = (
        step_input("lenses", catalog, digests.of_table(listed), chain),
        sweeps.catalog_input(files, matched.digests),
    )
    whole = extend(Step("crossmatch", parameters, inputs, survey=of), chain)
    write_table(stamp(matched.positives, whole), output, overwrite=overwrite, format=format)
    if unmatched:
        write_table(stamp(matched.unmatched, whole), unmatched, overwrite=overwrite)
    report.receipt(
        "crossmatch",
        output,
        selected=lenses.selected,
        merged=lenses.merged,
        rows=matched.positives.num_rows,
        unmatched=without_match,
        unstratified=unstratified,
    )
