"""README.md of a mock sky: contents, and how everything was drawn."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lensctl.rules.survey import LS_DR10
from lensctl.sky import dirt, lens_catalog, lenses, measure, pointings, population

if TYPE_CHECKING:
    from lensctl.sky.pointings import Pointing

Counts = Callable[..., "Counter[tuple[str, ...]]"]


def text(counts: Counts, windows: Sequence[Pointing], seed: int, listed: int) -> str:
    """The README of a sky.

    Parameters
    ----------
    counts : callable
        Number of objects for each combination of values of the named truth-table columns.
    windows : sequence of Pointing
    seed : int
    listed : int
        Rows of lenses.csv.
    """
    parts = (_head(windows, seed, listed), _contents(counts), _drawn(windows), _dirt(windows), _limits())
    return "\n\n".join(parts) + "\n"


def _head(windows: Sequence[Pointing], seed: int, listed: int) -> str:
    side = windows[0].size
    return f"""# A mock sky

**Nothing here was observed.** `lensctl sky` made these files (seed {seed}) as test data with a known truth.
They show that the pipeline works; they say nothing about real lenses. Every FITS header has `MOCK = T`.

The layout is that of the DESI Legacy Imaging Surveys DR10 server:

| path | contents |
|---|---|
| `survey-bricks.fits.gz` | the {len(windows)} bricks used, from the survey's brick scheme |
| `south/tractor/AAA/tractor-BRICK.fits` | catalogue of a brick, with the DR10 columns and dtypes |
| `south/sweep/10.0/sweep-*.fits` | the same objects in 5 x 5 degree files with the sweep columns |
| `south/coadd/AAA/BRICK/legacysurvey-BRICK-*.fits.fz` | image, invvar, nexp in g, r, z, and maskbits |
| `lenses.csv` | {listed} rows in lenscat's format |
| `truth.parquet` | true parameters of each object, lens and confuser flags |
| `provenance.json` | how this folder was made |

""" + _paragraphs(
        f"Coadds are windows of {side} x {side} px of their brick, in the brick's tangent plane (with CRPIX shifted)."
        " `bx`, `by`"
        f" are pixels of these files. Objects are catalogued at least {pointings.MARGIN_PX} px from the edge of a"
        " window; galaxies nearer the edge are drawn but not listed. Each window lies in one HEALPix pixel (nside 128),"
        " away from its border, and no two windows share a pixel, so no cutout reaches into another split. Splits"
        " (70/15/15) and nobs_z bins are assigned to the windows in proportion."
    )


def _contents(counts: Counts) -> str:
    kinds = counts("kind", "split")
    splits = ("train", "val", "test")
    lines = ["## Contents", "", "| kind | " + " | ".join(splits) + " | all |", "|---|" + "---|" * 4]
    for kind in (*population.KINDS, "star"):
        row = [kinds[kind, split] for split in splits]
        lines.append(f"| {kind} | " + " | ".join(map(str, row)) + f" | {sum(row)} |")
    graded = counts("grade", "split")
    for grade in lenses.TIERS:
        row = [graded[grade, split] for split in splits]
        lines.append(f"| *of these, lenses, {grade}* | " + " | ".join(map(str, row)) + f" | {sum(row)} |")
    types = counts("type")
    lines += ["", "Fitted types: " + ", ".join(f"{name[0]} {n}" for name, n in sorted(types.items())) + "."]
    return "\n".join(lines)


def _drawn(windows: Sequence[Pointing]) -> str:
    area_deg2 = sum(((w.size - 2 * pointings.MARGIN_PX) * LS_DR10.pixel_scale_arcsec / 3600) ** 2 for w in windows)
    galaxies = sum(w.galaxies for w in windows)
    lens_share = sum(w.confident + w.probable for w in windows) / max(galaxies, 1)
    shares = ", ".join(f"{kind} {share:g}" for kind, share in population.KINDS.items())
    slopes = ", ".join(
        f"{kind} {population.SLOPE[kind]:g} ({_range(limits)})" for kind, limits in population.MAG_Z_RANGE.items()
    )
    tiers = "; ".join(
        f"`{name}` has a median Einstein radius of {t.einstein_median_arcsec:g} arcsec (log-normal, 0.24), a peak"
        f" signal-to-noise ratio of {_range(t.peak_snr)} per pixel in g or r, a contrast to the galaxy of at least"
        f" {t.contrast:g}, and a source within {t.reach:g} Einstein radii of the lens"
        for name, t in lenses.TIERS.items()
    )
    mistyped = ", ".join(f"{share:.1%} are typed {name}" for name, share in measure.MISTYPED_EARLY.items())
    return _paragraphs(
        "## How it was drawn",
        f"**Galaxies.** Kinds and fractions: {shares}. z-band number counts grow as 10^(slope m); slope and range:"
        f" {slopes}. The catalogue limit is z = {population.FAINTEST_MAG_Z:g}; fainter galaxies"
        f" ({population.FAINT_PER_SQ_ARCMIN:g} per square arcmin, r {_range(population.FAINT_MAG_R_RANGE)}) are only in"
        f" the images. There are {galaxies / area_deg2:,.0f} catalogued galaxies per square degree, about three times"
        f" the real density to that limit, so that windows can be small, and {lens_share:.1%} are lenses, far more than"
        " in reality. Early-type galaxies (types DEV, SER with index 1.6-6, REX) have the g-r and r-z colours of"
        " passive galaxies at redshift 0.06-0.92. Spirals, rings, edge-on discs, clumpy galaxies and early types with"
        " blue companions (pair) resemble lenses; the confuser rules of the pool classify them as ring_proxy,"
        f" edge_on_proxy, blue_clumpy and large_galaxy. Stars: {population.STARS_PER_GALAXY:g} per galaxy.",
        "**Lenses.** A lens is an ordinary early-type galaxy"
        f" (z {_range(population.HOST_MAG_Z_RANGE)}, drawn with weight flux^0.45) with a source ray-traced"
        f" ({lenses.OVERSAMPLE} x {lenses.OVERSAMPLE} rays per pixel) through a"
        " singular isothermal ellipsoid (Kormann, Schneider & Bartelmann 1994) with external shear (|N(0, 0.05)|) and"
        f" Einstein radius {_range(lenses.EINSTEIN_RANGE_ARCSEC)} arcsec. Sources are Sersic, index 0.7-1.6, half-light"
        f" radius {_range(lenses.SOURCE_R_HALF_RANGE_ARCSEC)} arcsec, g-r = N(0.18, 0.15), r-z = N(0.22, 0.16), r ="
        f" {_range(lenses.SOURCE_MAG_R_RANGE)} before lensing with slope {lenses.SOURCE_SLOPE:g}, kept if the arcs are"
        f" clear enough for the grade: {tiers}. {pointings.CONFIDENT_SHARE:.0%} of the lenses are confident, compared"
        " with 8.5 % of lenscat's DESI rows, so that a small test split has some.",
        "**Seeing and noise.** Moffat PSFs (beta 2.8-4, ellipticity a few per cent) with FWHM"
        f" {_range(pointings.SEEING_RANGE_ARCSEC)} arcsec, medians {_three(pointings.SEEING_MEDIAN_ARCSEC)} in g, r, z,"
        " drawn for each window and band. Noise is Gaussian and independent between pixels (in real coadds,"
        f" neighbours are correlated): {_three(pointings.NOISE_ONE_EXPOSURE)} nanomaggies per pixel and exposure"
        " in g, r, z with 8 % scatter, divided by the square root of the number of exposures, plus photon noise. nobs_z"
        f" bins of the windows: {', '.join(f'{name} {share:g}' for name, share, _ in pointings.NOBS_Z)}.",
        "**Catalogue.** Rows are mock measurements: true values with errors that follow from depth, PSF and size;"
        " position errors are 0.02 arcsec and 0.45 FWHM/SNR in quadrature. The galaxy absorbs part of the arcs:"
        f" {lenses.ABSORBED_SHARE:g} of one least-squares step of a fit to galaxy and arcs with the galaxy's shape"
        " fixed and its position and flux in each band free, so the fluxes of lenses include some of the arcs' light"
        " and their positions are shifted towards it. Sizes and types are those of the galaxy. Of early types, lenses"
        f" or not, {mistyped}. There is no i band. Columns that are not simulated are 0.",
        "**Sources.** Brick scheme, file layout, columns, mask radii (1630 arcsec x 1.396^-G), extinction coefficients"
        " and the quantisation of images (1e-4 nanomaggies) are those of the Legacy Surveys. The noise per exposure is"
        " close to that of DR10 cutouts. Counts, sizes and colours are round numbers chosen to resemble DR10.",
    )


def _dirt(windows: Sequence[Pointing]) -> str:
    missing = sum(bool(w.dirt.missing_band) for w in windows)
    unexposed = sum(bool(w.dirt.unexposed_band) for w in windows)
    bright = sum(w.dirt.bright_star for w in windows)
    centres, edges = sum(w.dirt.nan_centres for w in windows), sum(w.dirt.nan_edges for w in windows)
    return _paragraphs(
        "## Data flaws",
        f"The same for lenses and all other objects: {missing} bricks without files for one band; {unexposed} windows"
        f" with a strip where one band has no exposure (nexp 0, image exactly 0, invvar 0); {centres} patches of NaN"
        f" on objects and {edges} about 10 arcsec from them; {bright} stars of"
        f" r {_range(population.BRIGHT_STAR_MAG_R_RANGE)},"
        f" saturated (at {dirt.SATURATION_NANOMAGGY[1]:g} nanomaggies per pixel in r), bleeding and masked.",
        f"In lenses.csv: {lens_catalog.OUTSIDE_SHARE:.1%} of rows outside the footprint,"
        f" {lens_catalog.DUPLICATE_SHARE:.0%} of lenses listed twice within 3 arcsec under another name,"
        f" {lens_catalog.TWO_NAMES_SHARE:.0%} under two names in one row, {lens_catalog.UNNAMED_SHARE:.1%} without"
        " `DESI-`; at least one of each.",
    )


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g}-{limits[1]:g}"


def _three(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(textwrap.fill(text, 118, break_on_hyphens=False) for text in texts)


def _limits() -> str:
    return _paragraphs(
        "## Limitations",
        "No clustering, no correlated noise, no ghosts, satellites or sky residuals, no group or cluster lenses, no"
        " quasars, no dust, one source per lens, arcs never catalogued as separate objects. A network that does well"
        " here has learnt to find blue arcs around red galaxies in clean data.",
    )
