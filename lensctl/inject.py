"""`lensctl inject`: lensed sources into the cutouts of hosts, with the noise, PSF and gain that the pixels have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.injection.preparing import Options, prepare
from lensctl.io.imaging.making import make, part_of
from lensctl.io.provenance.steps import Step, extend
from lensctl.io.reporter import SILENT, Receipt, Reporter

if TYPE_CHECKING:
    from lensctl.rules.survey import Survey


def inject(
    hosts: str | Path,
    store: str | Path,
    output: str | Path,
    *,
    per_host: int = 5,
    control: str | None = None,
    vary: str | None = None,
    seed: int = 42,
    psf: str = "moffat",
    psf_beta: float = 2.5,
    noise: str = "resampled",
    gain: str = "measured",
    source_model: str = "mixed",
    stamps: str | Path | None = None,
    design: str | Path | None = None,
    survey: Survey | str | None = None,
    shard_rows: int = 512,
    part: str | None = None,
    finish: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Add lensed sources to the cutouts of galaxies that could be lenses.

    Parameters
    ----------
    hosts, store, output : path
        Table of the hosts, `-` is stdin; the store of their cutouts, best with invvar; the store to make.
    per_host : int
        Injections of each host, rows `{galaxy_id}#{k}`.
    control, vary : str, optional
        One of `variations.CONTROLS`, and of `variations.VARIATIONS`.
    psf : str
        moffat, of the hosts' psfsize; planes, of the store's psfsize; or an .npz file with galaxy_id and psf.
    psf_beta : float
        Of the Moffat.
    noise : str
        One of `injector.NOISES`: photon noise of the arcs, shared by neighbours as in the store, independent, or none.
    gain : str
        measured, nominal, or a YAML file with electrons per nanomaggy of each band.
    source_model : str
        One of `drawing.MODELS`; `stamps` needs images.
    design : path, optional
        YAML file of the design, as far as it differs from the default.
    shard_rows, part, finish, workers
        As of `cutout`.
    dry_run : bool
        Make nothing; the receipt has rows, bytes and hours.

    Returns
    -------
    Receipt
        With rows, hosts, their statuses, gain and its source in each band, and the digest of the design.

    Raises
    ------
    InputError
        Bad options; hosts without psfsize or fluxes, or missing in the store; cutouts of several sources, or smaller
        than 64 px; no gain; a store of another job.
    """
    hosts, store, output = str(hosts), str(store), str(output)
    of_part = None if part is None else part_of(part)
    options = Options(
        per_host, control, vary, seed, psf, psf_beta, noise, gain, source_model, stamps=stamps, design=design
    )
    ready = prepare(hosts, store, options, survey=survey, workers=workers, format=format)
    for remark in ready.source.calibration.remarks:
        report.say(f"gain in {remark}")
    layout = ready.layout(shard_rows)
    counts = {"rows": ready.rows.num_rows, "hosts": ready.hosts}
    if dry_run:
        pixels = 2 if "invvar" in layout.planes else 1
        counts["bytes"] = layout.rows * layout.size**2 * len(layout.bands) * 4 * pixels
        report.table("Work to do, on one core", ("", "count"), [*counts.items(), ("hours", round(ready.hours, 2))])
        return {"command": "inject", "output": output, "dry_run": True, **counts, "hours": round(ready.hours, 3)}
    parameters = {**ready.parameters, "shard_rows": shard_rows}
    chain = extend(Step("inject", parameters, ready.inputs, survey=ready.survey), *ready.chains)
    with report.progress("injections", ready.rows.num_rows) as advance:
        made = make(
            ready.rows,
            output,
            ready.source,
            layout,
            chain,
            overwrite=overwrite,
            part=of_part,
            make_shards=not finish,
            advance=lambda statuses: advance(statuses.total()),
        )
    if made.store is None:
        report.say(f"part {part} of {output} is done; when all are, run the command with --finish instead of --part")
    elif made.cut == 0 and not finish:
        report.say(f"{output} is up to date: nothing to do")
    return {
        "command": "inject",
        "output": output,
        **counts,
        "cut": made.cut,
        "status": dict(sorted(made.statuses.items())),
        **ready.facts(),
        **({"part": part} if part else {}),
    }
