"""From tables and stores on disk or S3 to the training manifest."""

from __future__ import annotations

from pathlib import Path

from lensctl.io.cutouts.listing import SIDE, SIDES, CutoutListing, listing, refuse_other_bands
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Step, chain_of, common_survey, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.files import read_table, refuse_tables, write_table
from lensctl.manifest.joining import join
from lensctl.manifest.shared_sky import SAME_OBJECT
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.errors import InputError
from lensctl.rules.sampling_rule import SEED
from lensctl.rules.survey import Survey


def manifest(
    output: str | Path,
    *,
    positives: tuple[str | Path, str | Path],
    negatives: tuple[str | Path, str | Path],
    hard: tuple[str | Path, str | Path] | None = None,
    keep_unstratified: bool = False,
    max_empty: float = MAX_EMPTY,
    survey: Survey | str | None = None,
    root: str | Path | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Write the training manifest of positives, negatives and their cutouts.

    Parameters
    ----------
    output : path
        Table to write; `-` is stdout.
    positives, negatives : (table, store)
        Made by `crossmatch` and `sample`, and the store or folder of .npz with their cutouts.
    hard : (table, store), optional
        Further negatives, of `sample --hard`; their column `mined` is carried.
    keep_unstratified : bool
        Keep positives of a stratum without negatives.
    max_empty : float
        Greatest fraction of empty inner pixels in any band of a usable .npz; a store has judged its cutouts.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    root : path, optional
        Folder that `cutout_path` is relative to; default that of the output.

    Returns
    -------
    Receipt
        With rows, positives, negatives, rows left out, those of them that are an object under another id, and cutouts
        that cannot be used.

    Raises
    ------
    InputError
        See `join`; an existing output, no root for an output without a folder, inputs of two surveys, cutouts of other
        bands.
    """
    import pyarrow as pa

    output = str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    if root is None and (output == "-" or is_s3(output)):
        raise InputError("a manifest on stdout or S3 has no folder for relative paths", "add --root FOLDER")
    folder = root or Path(output).absolute().parent
    tables, listings, chains, inputs = [], [], [], []
    pairs = {"positives": positives, "negatives": negatives, **({} if hard is None else {"hard": hard})}
    for role, pair in pairs.items():
        table_path, store_path = map(str, pair)
        table = read_table(table_path)
        cutouts = listing(store_path, folder, max_empty)
        tables.append(table)
        listings.append(cutouts)
        chain = chain_of(table, table_path)
        chains += [chain, cutouts.chain]
        inputs.append(step_input(role, table_path, digests.of_table(table), chain))
        inputs.append(step_input(f"{role} cutouts", store_path, cutouts.digest, cutouts.chain))
    of = common_survey(survey, *chains)
    for cutouts, (_, store) in zip(listings, pairs.values(), strict=True):
        refuse_other_bands(cutouts.bands, store, of)
        if not cutouts.knows_empty:
            report.say(
                f"warning: {store} does not say which cutouts are half empty, as an earlier version made it: "
                "`lensctl gate pixels` measures them"
            )
    sizes = [_sizes(cutouts) for cutouts in listings]
    if len(set(sizes)) > 1:
        said = ", ".join(f"{role} at {size}" for role, size in zip(pairs, sizes, strict=True))
        said = said.replace(" at ", " were cut at ", 1)
        report.say(f"warning: {said}: a network can tell them apart by that, and `lensctl gate homogeneity` fails")
    sides = (listings[0].side_arcsec(of), max(each.side_arcsec(of) for each in listings[1:]))
    joined = join(
        tables[0],
        listings[0].rows,
        pa.concat_tables(tables[1:], promote_options="permissive"),
        pa.concat_tables([each.rows for each in listings[1:]], promote_options="permissive"),
        survey=of,
        keep_unstratified=keep_unstratified,
        sizes_arcsec=sides,
        seed=_sampling_seed(chains[2]),
    )
    for reason, count in sorted(joined.left_out.items()):
        report.say(f"left out: {count:,} {reason}")
    by_class = {"positives": round(sides[0], 6), "negatives": round(sides[1], 6)}
    judged = {"keep_unstratified": keep_unstratified, "max_empty": max_empty}
    parameters = {**judged, SIDE: max(by_class.values()), SIDES: by_class}
    step = Step("manifest", parameters, tuple(inputs), survey=of)
    write_table(stamp(joined.rows, extend(step, *chains)), output, overwrite=overwrite, format=format)
    labels = joined.rows["label"].to_pylist()
    return {
        "command": "manifest",
        "output": output,
        "rows": len(labels),
        "positives": sum(labels),
        "negatives": len(labels) - sum(labels),
        "left_out": sum(joined.left_out.values()),
        "same_object": sum(count for reason, count in joined.left_out.items() if reason.endswith(SAME_OBJECT)),
        "cutouts_not_ok": joined.rows["cutout_ok"].to_pylist().count(False),
    }


def _sampling_seed(chain: Chain) -> int:
    """The seed by which negatives were drawn; the usual one if that is not recorded."""
    seeds = [step.parameters.get("seed") for step in chain if step.command == "sample"]
    return next((seed for seed in reversed(seeds) if isinstance(seed, int)), SEED)


def _sizes(cutouts: CutoutListing) -> str:
    """Sides and pixel scales, for people; cutouts that failed have no scale."""
    known = [(px, f"{scale:g}") for px, scale in cutouts.sizes if scale]
    known = known or [(px, "unknown") for px, _ in cutouts.sizes]
    return ", ".join(f"{px} px of {scale} arcsec" for px, scale in sorted(known))
