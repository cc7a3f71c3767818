"""Hosts of a table as targets: shapes, PSF, dust and centres, checked before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.injection.drawing import Host
from lensctl.injection.injector import Target
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.sampling_rule import order_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

CARRIED = ("healpix_128", "split", "shape_r", "sersic", "z_host", "host_weight")
"""Columns of a host that its injections keep, beside those of every band."""

_SHAPE = ("type", "shape_e1", "shape_e2")


def needed(survey: Survey) -> tuple[str, ...]:
    """Columns that a table of hosts must have."""
    per_band = [f"{name}_{band}" for name in ("psfsize", "flux") for band in survey.bands]
    return ("galaxy_id", "ra", "dec", *_SHAPE, *per_band)


def carried(survey: Survey) -> tuple[str, ...]:
    """Columns of the hosts that a store of injections keeps, where there are such."""
    per_band = [f"{name}_{band}" for name in ("psfsize", "psfdepth", "mw_transmission") for band in survey.bands]
    return (*CARRIED, *per_band, f"mag_{survey.depth_band}")


def checked(hosts: pa.Table, where: str, survey: Survey) -> pa.Table:
    """The hosts, each fit for an injection.

    Raises
    ------
    InputError
        Missing columns, or a psfsize that is missing, 0 or NaN, or a flux that is negative or NaN.
    """
    schema.require(hosts, *needed(survey), where=where, survey=survey)
    schema.refuse_duplicates(hosts, where=where)
    ids = hosts["galaxy_id"].to_pylist()
    for band in survey.bands:
        psfsize, flux = (_numbers(hosts, f"{name}_{band}") for name in ("psfsize", "flux"))
        for name, what, wrong in (
            ("psfsize", "is missing, 0 or NaN", ~(psfsize > 0)),
            ("flux", "is negative or NaN", ~(flux >= 0)),
        ):
            if wrong.any():
                first = ids[int(np.argmax(wrong))]
                raise InputError(
                    f"{where}: {name}_{band} {what} for {int(wrong.sum())} of {len(ids)} hosts, such as {first}",
                    "leave these hosts out",
                )
    return hosts


def order_of(ids: Sequence[str], seed: int) -> list[int]:
    """Rows in the order of `lensctl hosts`, which does not depend on that of the table."""
    return sorted(range(len(ids)), key=lambda row: (order_key(ids[row], seed), ids[row]))


def targets_of(
    hosts: pa.Table,
    offsets_px: NDArray[np.float64],
    survey: Survey,
    seed: int,
    kernels: Mapping[str, NDArray[np.float32]] | None = None,
) -> list[Target]:
    """Targets in the order of a table of checked hosts, their gains still unknown.

    Parameters
    ----------
    offsets_px : (N, 2) float64
        Of each galaxy from the middle pixel's centre, x and y.
    seed : int
        Of the order, in which each host has one that follows it, the last the first.
    kernels : mapping, optional
        PSFs, (B, k, k), by galaxy_id; InputError if one lacks.
    """
    ids = hosts["galaxy_id"].to_pylist()
    if kernels is not None and (lacking := [id for id in ids if id not in kernels]):
        raise InputError(f"{len(lacking)} hosts have no PSF, such as {lacking[0]}", "give one for each galaxy_id")
    bands, scale = survey.bands, survey.pixel_scale_arcsec
    psfsize = np.stack([_numbers(hosts, f"psfsize_{band}") for band in bands], axis=1)
    flux = np.stack([_numbers(hosts, f"flux_{band}") for band in bands], axis=1)
    with np.errstate(divide="ignore"):
        magnitude = np.where(flux > 0, 22.5 - 2.5 * np.log10(np.maximum(flux, 1e-30)), np.nan)
    dust = [
        _numbers(hosts, name) if (name := f"mw_transmission_{band}") in hosts.column_names else np.ones(len(hosts))
        for band in bands
    ]
    q, phi = _shape_of(hosts)
    centres = np.nan_to_num(offsets_px) * scale
    each = [
        Host(id, None if np.isnan(q[i]) else float(q[i]), float(phi[i]), float(centres[i, 0]), float(centres[i, 1]))
        for i, id in enumerate(ids)
    ]
    transmission = np.stack(dust, axis=1)
    order = order_of(ids, seed)
    following = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [
        Target(
            host,
            each[following[i]],
            psfsize[i],
            transmission[i],
            magnitude[i],
            np.full(len(bands), np.nan),
            None if kernels is None else list(kernels[host.id]),
        )
        for i, host in enumerate(each)
    ]


def _shape_of(hosts: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axis ratio and angle of the light: q = (1 - |e|)/(1 + |e|), NaN for round models; the inverse of `sersic`'s."""
    e1, e2 = _numbers(hosts, "shape_e1"), _numbers(hosts, "shape_e2")
    e = np.hypot(e1, e2)
    has_shape = ~np.isin(np.array([str(t).strip() for t in hosts["type"].to_pylist()]), ("REX", "PSF", "DUP"))
    q = np.where(has_shape & np.isfinite(e), (1 - e) / (1 + e), np.nan)
    return q, np.nan_to_num(0.5 * np.arctan2(e2, e1) + np.pi / 2)


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table[name].to_numpy(), np.float64)


def columns_of(hosts: pa.Table, rows: Sequence[int], survey: Survey) -> dict[str, Any]:
    """The carried columns of some hosts."""
    return {name: hosts[name].take(rows) for name in carried(survey) if name in hosts.column_names}
