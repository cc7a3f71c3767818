"""Tractor catalogues, sweeps and the table of bricks of a mock: their columns, and the FITS files.

Names, dtypes, units and order are from the DR10 file descriptions. Sweep names are upper-case in the files; Tractor
names are lower-case, but for the names of bands. Beyond them there is z_phot, which DR10 has in files of its own.
"""

from __future__ import annotations

import functools
import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.fits.new_files import new_fits
from lensctl.io.temporary import temporary_folder
from lensctl.rules.survey import LS_DR10, Survey
from lensctl.sky.bricks import Brick, brick_table
from lensctl.sky.coadds import mock_cards

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

_TRACTOR = """
release:i2 brickid:i4 brickname:S8 objid:i4 brick_primary:b1 maskbits:i4 fitbits:i2 type:S3 ra:f8 dec:f8
ra_ivar:f4 dec_ivar:f4 bx:f4 by:f4 dchisq:5f4 ebv:f4 mjd_min:f8 mjd_max:f8 ref_cat:S2 ref_id:i8 pmra:f4 pmdec:f4
parallax:f4 pmra_ivar:f4 pmdec_ivar:f4 parallax_ivar:f4 ref_epoch:f4 gaia_phot_g_mean_mag:f4
gaia_phot_g_mean_flux_over_error:f4 gaia_phot_g_n_obs:i2 gaia_phot_bp_mean_mag:f4
gaia_phot_bp_mean_flux_over_error:f4 gaia_phot_bp_n_obs:i2 gaia_phot_rp_mean_mag:f4
gaia_phot_rp_mean_flux_over_error:f4 gaia_phot_rp_n_obs:i2 gaia_phot_variable_flag:b1
gaia_astrometric_excess_noise:f4 gaia_astrometric_excess_noise_sig:f4 gaia_astrometric_n_obs_al:i2
gaia_astrometric_n_good_obs_al:i2 gaia_astrometric_weight_al:f4 gaia_duplicated_source:b1 gaia_a_g_val:f4
gaia_e_bp_min_rp_val:f4 gaia_phot_bp_rp_excess_factor:f4 gaia_astrometric_sigma5d_max:f4
gaia_astrometric_params_solved:u1 flux_g:f4 flux_r:f4 flux_i:f4 flux_z:f4 flux_w1:f4 flux_w2:f4 flux_w3:f4
flux_w4:f4 flux_ivar_g:f4 flux_ivar_r:f4 flux_ivar_i:f4 flux_ivar_z:f4 flux_ivar_w1:f4 flux_ivar_w2:f4
flux_ivar_w3:f4 flux_ivar_w4:f4 fiberflux_g:f4 fiberflux_r:f4 fiberflux_i:f4 fiberflux_z:f4 fibertotflux_g:f4
fibertotflux_r:f4 fibertotflux_i:f4 fibertotflux_z:f4 apflux_g:8f4 apflux_r:8f4 apflux_i:8f4 apflux_z:8f4
apflux_resid_g:8f4 apflux_resid_r:8f4 apflux_resid_i:8f4 apflux_resid_z:8f4 apflux_blobresid_g:8f4
apflux_blobresid_r:8f4 apflux_blobresid_i:8f4 apflux_blobresid_z:8f4 apflux_ivar_g:8f4 apflux_ivar_r:8f4
apflux_ivar_i:8f4 apflux_ivar_z:8f4 apflux_masked_g:8f4 apflux_masked_r:8f4 apflux_masked_i:8f4
apflux_masked_z:8f4 apflux_w1:5f4 apflux_w2:5f4 apflux_w3:5f4 apflux_w4:5f4 apflux_resid_w1:5f4
apflux_resid_w2:5f4 apflux_resid_w3:5f4 apflux_resid_w4:5f4 apflux_ivar_w1:5f4 apflux_ivar_w2:5f4
apflux_ivar_w3:5f4 apflux_ivar_w4:5f4 mw_transmission_g:f4 mw_transmission_r:f4 mw_transmission_i:f4
mw_transmission_z:f4 mw_transmission_w1:f4 mw_transmission_w2:f4 mw_transmission_w3:f4 mw_transmission_w4:f4
nobs_g:i2 nobs_r:i2 nobs_i:i2 nobs_z:i2 nobs_w1:i2 nobs_w2:i2 nobs_w3:i2 nobs_w4:i2 rchisq_g:f4 rchisq_r:f4
rchisq_i:f4 rchisq_z:f4 rchisq_w1:f4 rchisq_w2:f4 rchisq_w3:f4 rchisq_w4:f4 fracflux_g:f4 fracflux_r:f4
fracflux_i:f4 fracflux_z:f4 fracflux_w1:f4 fracflux_w2:f4 fracflux_w3:f4 fracflux_w4:f4 fracmasked_g:f4
fracmasked_r:f4 fracmasked_i:f4 fracmasked_z:f4 fracin_g:f4 fracin_r:f4 fracin_i:f4 fracin_z:f4 ngood_g:i2
ngood_r:i2 ngood_i:i2 ngood_z:i2 anymask_g:i2 anymask_r:i2 anymask_i:i2 anymask_z:i2 allmask_g:i2 allmask_r:i2
allmask_i:i2 allmask_z:i2 wisemask_w1:u1 wisemask_w2:u1 psfsize_g:f4 psfsize_r:f4 psfsize_i:f4 psfsize_z:f4
psfdepth_g:f4 psfdepth_r:f4 psfdepth_i:f4 psfdepth_z:f4 galdepth_g:f4 galdepth_r:f4 galdepth_i:f4 galdepth_z:f4
nea_g:f4 nea_r:f4 nea_i:f4 nea_z:f4 blob_nea_g:f4 blob_nea_r:f4 blob_nea_i:f4 blob_nea_z:f4 psfdepth_w1:f4
psfdepth_w2:f4 psfdepth_w3:f4 psfdepth_w4:f4 wise_coadd_id:S8 wise_x:f4 wise_y:f4 lc_flux_w1:17f4
lc_flux_w2:17f4 lc_flux_ivar_w1:17f4 lc_flux_ivar_w2:17f4 lc_nobs_w1:17i2 lc_nobs_w2:17i2 lc_fracflux_w1:17f4
lc_fracflux_w2:17f4 lc_rchisq_w1:17f4 lc_rchisq_w2:17f4 lc_mjd_w1:17f8 lc_mjd_w2:17f8 lc_epoch_index_w1:17i2
lc_epoch_index_w2:17i2 sersic:f4 sersic_ivar:f4 shape_r:f4 shape_r_ivar:f4 shape_e1:f4 shape_e1_ivar:f4
shape_e2:f4 shape_e2_ivar:f4
"""

_SWEEP = """
release brickid brickname objid type ra dec ra_ivar dec_ivar dchisq ebv flux_g flux_r flux_i flux_z flux_w1
flux_w2 flux_w3 flux_w4 flux_ivar_g flux_ivar_r flux_ivar_i flux_ivar_z flux_ivar_w1 flux_ivar_w2 flux_ivar_w3
flux_ivar_w4 mw_transmission_g mw_transmission_r mw_transmission_i mw_transmission_z mw_transmission_w1
mw_transmission_w2 mw_transmission_w3 mw_transmission_w4 nobs_g nobs_r nobs_i nobs_z nobs_w1 nobs_w2 nobs_w3
nobs_w4 rchisq_g rchisq_r rchisq_i rchisq_z rchisq_w1 rchisq_w2 rchisq_w3 rchisq_w4 fracflux_g fracflux_r
fracflux_i fracflux_z fracflux_w1 fracflux_w2 fracflux_w3 fracflux_w4 fracmasked_g fracmasked_r fracmasked_i
fracmasked_z fracin_g fracin_r fracin_i fracin_z anymask_g anymask_r anymask_i anymask_z allmask_g allmask_r
allmask_i allmask_z wisemask_w1 wisemask_w2 psfsize_g psfsize_r psfsize_i psfsize_z psfdepth_g psfdepth_r
psfdepth_i psfdepth_z galdepth_g galdepth_r galdepth_i galdepth_z psfdepth_w1 psfdepth_w2 wise_coadd_id shape_r
shape_r_ivar shape_e1 shape_e1_ivar shape_e2 shape_e2_ivar fiberflux_g fiberflux_r fiberflux_i fiberflux_z
fibertotflux_g fibertotflux_r fibertotflux_i fibertotflux_z ref_cat ref_id ref_epoch gaia_phot_g_mean_mag
gaia_phot_g_mean_flux_over_error gaia_phot_bp_mean_mag gaia_phot_bp_mean_flux_over_error gaia_phot_rp_mean_mag
gaia_phot_rp_mean_flux_over_error gaia_astrometric_excess_noise gaia_duplicated_source
gaia_phot_bp_rp_excess_factor gaia_astrometric_sigma5d_max gaia_astrometric_params_solved parallax parallax_ivar
pmra pmra_ivar pmdec pmdec_ivar maskbits fitbits sersic sersic_ivar
"""

_DR10_BANDS = ("g", "r", "i", "z")
WISE_BANDS = ("w1", "w2", "w3", "w4")
BEYOND_DR10 = {"z_phot": "f4"}
SWEEP_DEG = 5

_UNITS = (
    (r"(ra|dec)", "deg"),
    (r"(ra|dec)_ivar", "1/deg^2"),
    (r"(bx|by|wise_x|wise_y)", "pix"),
    (r"(ebv|gaia_phot_.*_mag)", "mag"),
    (r"(gaia_a_g_val|gaia_e_bp_min_rp_val)", "magnitudes"),
    (r"mjd_(min|max)", "days"),
    (r"(pmra|pmdec)", "mas/yr"),
    (r"(pmra|pmdec)_ivar", "1/(mas/yr)^2"),
    (r"(parallax|gaia_astrometric_sigma5d_max)", "mas"),
    (r"parallax_ivar", "1/mas^2"),
    (r"ref_epoch", "yr"),
    (r"(flux_ivar|apflux_ivar|psfdepth|galdepth|lc_flux_ivar)_.*", "1/nanomaggy^2"),
    (r"apflux_masked_.*", ""),
    (r"(flux|fiberflux|fibertotflux|apflux|lc_flux)_.*", "nanomaggy"),
    (r"(psfsize_.*|shape_r)", "arcsec"),
    (r"(nea|blob_nea)_.*", "arcsec^2"),
    (r"shape_r_ivar", "1/arcsec^2"),
)


def optical_bands(survey: Survey = LS_DR10) -> tuple[str, ...]:
    """Bands with columns in the catalogues: DR10's have i too, which is 0 where a survey of DR10 leaves it out."""
    return _DR10_BANDS if survey == LS_DR10 else survey.bands


def infrared_bands(survey: Survey) -> tuple[str, ...]:
    """WISE bands with columns of their own: those that are not the survey's."""
    return tuple(band for band in WISE_BANDS if band not in {ours.lower() for ours in survey.bands})


@functools.lru_cache(maxsize=8)
def tractor_dtype(survey: Survey = LS_DR10) -> np.dtype[Any]:
    """Columns of a Tractor catalogue: those of DR10, with the survey's bands in place of g, r, i, z; BEYOND_DR10."""
    codes = dict(word.split(":") for word in _TRACTOR.split())
    return np.dtype([*((name, codes[theirs]) for name, theirs in _in_bands(codes, survey)), *BEYOND_DR10.items()])


@functools.lru_cache(maxsize=8)
def sweep_columns(survey: Survey = LS_DR10) -> tuple[str, ...]:
    """Tractor columns that a sweep has, in its order; BEYOND_DR10."""
    return (*(name for name, _ in _in_bands(_SWEEP.split(), survey)), *BEYOND_DR10)


def _in_bands(names: Iterable[str], survey: Survey) -> list[tuple[str, str]]:
    """DR10's columns with those of each quantity per optical band replaced: (name, the DR10 column it stands for)."""
    listed = list(names)
    per_band = {name.removesuffix("_g") for name in listed if name.endswith("_g")}
    found = []
    for name in listed:
        quantity, _, band = name.rpartition("_")
        if quantity in per_band and band == "g":
            found += [(f"{quantity}_{ours}", name) for ours in optical_bands(survey)]
        elif quantity not in per_band or band in infrared_bands(survey):
            found.append((name, name))
    return found


def unit(name: str) -> str:
    """Unit of a column; empty if it has none."""
    return next((unit for pattern, unit in _UNITS if re.fullmatch(pattern, name.lower())), "")


def tractor_rows(columns: dict[str, NDArray[Any]], survey: Survey) -> NDArray[Any]:
    """Columns as records of the Tractor dtype; missing columns are zero, or -1 for unused WISE epochs."""
    count = len(next(iter(columns.values())))
    rows = np.zeros(count, tractor_dtype(survey))
    rows["lc_epoch_index_w1"] = rows["lc_epoch_index_w2"] = -1
    for name, values in columns.items():
        rows[name] = values
    return rows


def sweep_rows(tractor: NDArray[Any], survey: Survey) -> NDArray[Any]:
    """The sweep columns of Tractor rows, with upper-case names."""
    names = sweep_columns(survey)
    rows = np.empty(len(tractor), [(name.upper(), tractor.dtype[name]) for name in names])
    for name in names:
        rows[name.upper()] = tractor[name]
    return rows


def write_tractor(root: Path, brick: Brick, rows: NDArray[Any]) -> None:
    """Write south/tractor/AAA/tractor-BRICK.fits."""
    path = root / "south" / "tractor" / brick.folder / f"tractor-{brick.name}.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_table(path, rows)


def write_sweeps(root: Path, rows: NDArray[Any], survey: Survey) -> int:
    """Write all Tractor rows to south/sweep/10.0/sweep-*.fits of 5 x 5 degrees; returns the number of files."""
    folder = root / "south" / "sweep" / "10.0"
    folder.mkdir(parents=True, exist_ok=True)
    names = sweep_names(rows["ra"], rows["dec"])
    for name in np.unique(names):
        _write_table(folder / str(name), sweep_rows(rows[names == name], survey))
    return len(np.unique(names))


def sweep_names(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.str_]:
    """Sweep file of each position (degrees): sweep-RRRsDDD-RRRsDDD.fits, lower and upper corner, s is p or m."""
    low_ra, low_dec = (np.floor(v / SWEEP_DEG).astype(int) * SWEEP_DEG for v in (ra, dec))
    corners = [
        [f"{r:03d}{'m' if d < 0 else 'p'}{abs(d):03d}" for r, d in zip(low_ra + step, low_dec + step, strict=True)]
        for step in (0, SWEEP_DEG)
    ]
    return np.array([f"sweep-{low}-{high}.fits" for low, high in zip(*corners, strict=True)])


def write_bricks(root: Path, bricks: Sequence[Brick]) -> None:
    """Write survey-bricks.fits.gz with the bricks of the mock."""
    with temporary_folder("sky") as folder:
        plain = folder / "survey-bricks.fits"
        _write_table(plain, brick_table(list(bricks)))
        packed = gzip.compress(plain.read_bytes(), mtime=0)
    (root / "survey-bricks.fits.gz").write_bytes(packed)


def _write_table(path: Path, rows: NDArray[Any]) -> None:
    names = rows.dtype.names or ()
    with new_fits(path) as file:
        file.write_table(rows, units=[unit(name) for name in names], header=mock_cards())
        file[0].write_keys(mock_cards(), clean=False)
