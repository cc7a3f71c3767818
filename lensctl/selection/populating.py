"""`lensctl selection population`: lenses as nature has them, with the conditions and galaxies of the hosts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.injection import targets
from lensctl.injection.design import Design, read_design
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.tables.files import read_table, refuse_tables, write_table
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.selection.arcs import Arcs, arcs_of
from lensctl.selection.sie_vdf import Assumptions, Hosts, Lenses, assumptions_of, lenses_of
from lensctl.stats.effective import effective_number

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.injection.injector import Target
    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]

SIE_VDF = "sie-vdf"
MODELS = (SIE_VDF,)
DRAWN_AT_ONCE = 20_000
FAR_Z, MOST_FAR = 0.05, 0.05
FAR = f"host_farther_than_{FAR_Z:g}_in_z"
"""A host that lends its galaxy should be next to the lens in redshift; above this share of the weight it is said."""


def population(
    output: str | Path,
    *,
    hosts: str | Path,
    model: str = SIE_VDF,
    count: int = 200_000,
    seed: int = 42,
    design: str | Path | None = None,
    assumptions: Sequence[str] = (),
    survey: Survey | str | None = None,
    workers: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Make a table of lenses as a model of nature has them, each with the weight it stands for.

    Parameters
    ----------
    output, hosts : path
        Table to write, and the hosts made by `hosts`, whose galaxies and conditions the lenses have; `-` is stdout and
        stdin.
    model : str
        One of MODELS.
    count : int
        Rows; those of a smaller table are the first of a larger one.
    design : path, optional
        Of the injections: shapes and colours are drawn from it, Einstein radii lie in its range.
    assumptions : sequence of str
        `sie_vdf.Assumptions` to change, such as `sigma_star_km_s=165`.

    Returns
    -------
    Receipt
        With rows, effective number, hosts without a redshift, all assumptions, and shares of the weight: fainter than
        the design, brighter than it, and (of all lenses) beyond its range of Einstein radii.

    Raises
    ------
    InputError
        No such model; hosts without redshift, magnitude, size, psfsize or psfdepth; no lens of the design's radii.
    """
    output, hosts = str(output), str(hosts)
    refuse_tables(output, overwrite=overwrite, format=format)
    if model not in MODELS:
        raise InputError(f"--model '{model}' does not exist", f"use {', '.join(MODELS)}")
    if count < 1:
        raise InputError(f"count is {count}", "ask for 1 lens or more")
    given, drawn_from = assumptions_of(assumptions), read_design(design)
    table = read_table(hosts, format=format if hosts == "-" else None)
    chain = chain_of(table, hosts)
    of = common_survey(survey, chain)
    where = "stdin" if hosts == "-" else hosts
    known = with_redshift(table, where, of)
    with report.progress("lenses", count) as advance:
        made, lenses = lenses_in(known, count, seed, given, drawn_from, of, workers, advance)
    facts = facts_of(made, lenses, drawn_from, of)
    if facts["share"][FAR] > MOST_FAR:
        report.say(
            f"{100 * facts['share'][FAR]:.0f} % of the weight has a galaxy farther than {FAR_Z:g} in redshift: "
            "there are few hosts, or none at some redshifts"
        )
    named: dict[str, Any] = {**dataclasses.asdict(given), "model": model}
    parameters = {"count": count, "seed": seed, "design": drawn_from.as_dict(), "assumptions": named}
    inputs = (step_input("hosts", hosts, digests.of_table(table), chain),)
    step = Step("selection population", parameters, inputs, survey=of)
    write_table(stamp(made, extend(step, chain)), output, overwrite=overwrite, format=format)
    return {
        "command": "selection",
        "action": "population",
        "output": output,
        "rows": count,
        "hosts": known.num_rows,
        "hosts_without_z": table.num_rows - known.num_rows,
        **facts,
        "design": drawn_from.digest(),
        "assumptions": named,
    }


def with_redshift(hosts: pa.Table, where: str, survey: Survey) -> pa.Table:
    """Hosts whose redshift is known, checked for all that lenses take from them; InputError names what lacks."""
    mag, depth = survey.depth("mag"), f"psfdepth_{survey.detection_band}"
    schema.require(hosts, "z_host", mag, "shape_r", depth, where=where, survey=survey)
    schema.require_numbers(hosts, "z_host", mag, "shape_r", depth, where=where)
    z = np.asarray(hosts["z_host"].to_numpy(), np.float64)
    known = np.isfinite(z) & (z > 0)
    if not known.any():
        raise InputError(
            f"{where}: z_host is null for all {hosts.num_rows} hosts: lenses have no redshift",
            "give the pool a column z_phot, or the survey a colour_redshift, and run `lensctl hosts` again",
        )
    hosts = targets.checked(hosts.filter(known), where, survey)
    for name in (mag, "shape_r", depth, *(f"flux_{band}" for band in survey.colours[0])):
        values = np.asarray(hosts[name].to_numpy(), np.float64)
        wrong = ~np.isfinite(values) if name == mag else ~(np.isfinite(values) & (values > 0))
        if wrong.any():
            first = hosts["galaxy_id"][int(np.argmax(wrong))].as_py()
            raise InputError(
                f"{where}: {name} is unknown for {int(wrong.sum())} of {hosts.num_rows} hosts, such as {first}",
                "leave these hosts out",
            )
    return hosts


def lenses_in(
    hosts: pa.Table,
    count: int,
    seed: int,
    given: Assumptions,
    design: Design,
    survey: Survey,
    workers: int | None = None,
    advance: Any = lambda rows: None,
) -> tuple[pa.Table, Lenses]:
    """A population in front of hosts that were checked, as a table, and what its rows were drawn from."""
    aims = targets.targets_of(hosts, np.zeros((hosts.num_rows, 2)), survey, seed)
    lend = lent_by(hosts, aims, survey)
    starts = range(0, count, DRAWN_AT_ONCE)
    parts = [lenses_of(s, min(s + DRAWN_AT_ONCE, count), seed, lend, design, given) for s in starts]
    lenses = Lenses(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(Lenses)))
    q = np.array([np.nan if aim.host.q is None else aim.host.q for aim in aims])
    phi = np.array([aim.host.phi for aim in aims])
    arcs = arcs_of(
        lenses.theta_e,
        q[lenses.host],
        phi[lenses.host],
        seed=seed,
        design=design,
        survey=survey,
        processes=workers,
        advance=advance,
    )
    return table_of(lenses, arcs, hosts, aims, survey), lenses


def lent_by(hosts: pa.Table, aims: Sequence[Target], survey: Survey) -> Hosts:
    """Redshifts of hosts, and their magnitudes without extinction."""
    band = survey.bands.index(survey.depth_band)
    dust = np.array([aim.transmission[band] for aim in aims])
    mag = np.asarray(hosts[survey.depth("mag")].to_numpy(), np.float64)
    return Hosts(np.asarray(hosts["z_host"].to_numpy(), np.float64), mag + 2.5 * np.log10(dust))


def table_of(lenses: Lenses, arcs: Arcs, hosts: pa.Table, aims: Sequence[Target], survey: Survey) -> pa.Table:
    """One row a lens. The galaxy is one host's, dimmed by the dust in front of the other, which lends the sky."""
    import pyarrow as pa

    bands, detection = survey.bands, survey.bands.index(survey.detection_band)
    dust = np.stack([aim.transmission for aim in aims])
    dimmer = -2.5 * np.log10(dust[lenses.sky])  # (N, B) mag
    host_mag = np.stack([aim.magnitude for aim in aims])[lenses.host] + 2.5 * np.log10(dust[lenses.host]) + dimmer
    source_mag = lenses.source_mag[:, None] + arcs.relative
    lensed_mag = source_mag - 2.5 * np.log10(arcs.magnification)
    arc_mag = lensed_mag + dimmer
    bluer, redder = (bands.index(band) for band in survey.colours[0])
    colour, _ = survey.colour_columns
    lend = lent_by(hosts, aims, survey)
    depth = bands.index(survey.depth_band)
    columns: dict[str, Any] = {
        "galaxy_id": pa.array([f"{SIE_VDF}#{row}" for row in range(len(lenses.weight))]),
        "host_id": hosts["galaxy_id"].take(lenses.host),
        "sky_host_id": hosts["galaxy_id"].take(lenses.sky),
        **({"healpix_128": hosts["healpix_128"].take(lenses.sky)} if "healpix_128" in hosts.column_names else {}),
        "weight": lenses.weight * arcs.area,
        "z_lens": lenses.z_lens,
        "z_host": lend.z[lenses.host],
        "source_z": lenses.z_source,
        "sigma_km_s": lenses.sigma_km_s,
        "theta_e": lenses.theta_e,
        **{name: values for name, values in arcs.numbers.items() if name != "n_images"},
        "source_model": pa.array(arcs.model),
        "n_images": arcs.numbers["n_images"].astype(np.int64),
        "magnification": arcs.magnification[:, detection],
    }
    for name, values in {"source_mag": source_mag, "lensed_mag": lensed_mag, "arc_mag": arc_mag}.items():
        columns |= {f"{name}_{band}": values[:, b] for b, band in enumerate(bands)}
    columns[f"source_{colour}"] = source_mag[:, bluer] - source_mag[:, redder]
    columns[f"delta_{colour}"] = arc_mag[:, bluer] - arc_mag[:, redder] - (host_mag[:, bluer] - host_mag[:, redder])
    for name in ("psfsize", "psfdepth"):
        there = [f"{name}_{band}" for band in bands if f"{name}_{band}" in hosts.column_names]
        columns |= {each: hosts[each].take(lenses.sky) for each in there}
    columns |= {f"mw_transmission_{band}": dust[lenses.sky, b] for b, band in enumerate(bands)}
    columns[survey.depth("mag")] = lend.mag[lenses.host] + dimmer[:, depth]
    columns["shape_r"] = hosts["shape_r"].take(lenses.host)
    return pa.table(columns)


def facts_of(made: pa.Table, lenses: Lenses, design: Design, survey: Survey) -> dict[str, Any]:
    """What the receipt says of a population: numbers of rows and shares of weight."""
    weight = np.asarray(made["weight"].to_numpy())
    lensed = np.asarray(made[f"lensed_mag_{survey.detection_band}"].to_numpy())
    whole = weight.sum()
    bright, faint = design.lensed_mag
    far = np.abs(lenses.z_lens - np.asarray(made["z_host"].to_numpy())) > FAR_Z
    shares = {
        "fainter_than_design": weight[lensed > faint].sum() / whole,
        "brighter_than_design": weight[lensed < bright].sum() / whole,
        "other_einstein_radius": lenses.left_out.sum() / (lenses.left_out.sum() + lenses.weight.sum()),
        FAR: weight[far].sum() / whole,
    }
    inside = weight * ((lensed >= bright) & (lensed <= faint))
    return {
        "n_eff": round(effective_number(weight), 1),
        "n_eff_within_design": round(effective_number(inside), 1),
        "lenses_per_sr": float(f"{weight.mean():.4g}"),
        "z_lens": [round(float(lenses.z_lens.min()), 4), round(float(lenses.z_lens.max()), 4)],
        "share": {name: round(float(value), 5) for name, value in shares.items()},
    }
