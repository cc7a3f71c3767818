"""From a lens catalogue and the survey's catalogues to a table of positives."""

from __future__ import annotations

from pathlib import Path

from lensctl.astro import geometry
from lensctl.crossmatch.candidates import select
from lensctl.crossmatch.matching import match, summary
from lensctl.io.paths import Paths, listed
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage import web
from lensctl.io.tables import lens_catalogs, sweeps
from lensctl.io.tables.files import refuse_tables, table_beside, write_table
from lensctl.rules.survey import Survey


def crossmatch(
    catalog: str | Path,
    tractor: Paths,
    output: str | Path,
    *,
    survey: Survey | str | None = None,
    radius_arcsec: float | None = None,
    merge_arcsec: float | None = None,
    name_contains: str = "DESI-",
    tier_b_weight: float = 0.5,
    unmatched: str | Path | None = None,
    downloads: str | Path | None = None,
    workers: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Match a lens catalogue to the survey's catalogues, and write the positives with their tiers.

    Parameters
    ----------
    catalog : path
        lenscat's CSV, or a table with ra, dec, grading.
    tractor : path or paths
        Tractor or sweep files, on disk, S3 or a web server; globs are allowed but there.
    output : path
        Table to write; `-` is stdout.
    survey : Survey or str, optional
        The survey, its name or its YAML file; default ls-dr10.
    radius_arcsec, merge_arcsec : float, optional
        Radius to match, and to merge candidates; default the survey's.
    name_contains : str
        Only candidates whose name contains this; empty selects all.
    tier_b_weight : float
        `sample_weight` of tier B, 0.3 to 0.6.
    unmatched : path, optional
        Also write candidates without a match or stratum here, with the reason.
    downloads : path, optional
        Folder that keeps files from web servers, for the next command or run.
    workers : int, optional
        Processes; default one per core.

    Returns
    -------
    Receipt
        With rows, candidates selected, merged, unmatched and unstratified.

    Raises
    ------
    InputError
        See `candidates.select` and `matching.match`; an existing output.
    """
    catalog, output = str(catalog), str(output)
    refuse_tables(output, unmatched, overwrite=overwrite, format=format)
    catalogued = lens_catalogs.read_lens_catalog(catalog)
    chain = chain_of(catalogued, catalog)
    of = common_survey(survey, chain)
    radius_arcsec = of.match_arcsec if radius_arcsec is None else radius_arcsec
    merge_arcsec = of.merge_arcsec if merge_arcsec is None else merge_arcsec
    geometry.refuse_wide("radius_arcsec", radius_arcsec)
    geometry.refuse_wide("merge_arcsec", merge_arcsec)
    lenses = select(catalogued, name_contains=name_contains, merge_arcsec=merge_arcsec)
    report.say(
        f"{catalog}: {catalogued.num_rows:,} rows, {lenses.selected:,} selected, "
        f"{lenses.ungraded:,} without tier A or B, {lenses.merged:,} merged as duplicates, "
        f"{lenses.rows.num_rows:,} lenses"
    )
    files = sweeps.catalog_files(listed(tractor), downloads, report)
    with report.progress("catalogue files", len(files)) as advance:
        matched = match(
            lenses.rows,
            files,
            survey=of,
            radius_arcsec=radius_arcsec,
            tier_b_weight=tier_b_weight,
            count=web.processes(files, workers),
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
        step_input("lenses", catalog, digests.of_table(catalogued), chain),
        sweeps.catalog_input(files, matched.digests),
    )
    whole = extend(Step("crossmatch", parameters, inputs, survey=of), chain)
    with table_beside(stamp(matched.unmatched, whole), unmatched, overwrite):
        write_table(stamp(matched.positives, whole), output, overwrite=overwrite, format=format)
    return {
        "command": "crossmatch",
        "output": output,
        "selected": lenses.selected,
        "merged": lenses.merged,
        "rows": matched.positives.num_rows,
        "unmatched": without_match,
        "unstratified": unstratified,
    }
