"""README.md of a mock sky: that it is one, what is in it, and how everything was drawn."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lensctl.sky import dirt, lens_catalog, lenses, measure, pointings, population

if TYPE_CHECKING:
    from lensctl.sky.pointings import Pointing

Counts = Callable[..., "Counter[tuple[str, ...]]"]


def text(counts: Counts, windows: Sequence[Pointing], seed: int, listed: int) -> str:
    """The README of a sky.

    Parameters
    ----------
    counts : callable
        Number of objects for each combination of named text columns of the truth table.
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

**Nothing here was observed.** `lensctl sky` made these files (seed {seed}) so that every other command has
something to work on whose truth is known. They show that the machinery works; they say nothing about real lenses.
Every FITS header has `MOCK = T`.

Laid out like the server of the DESI Legacy Imaging Surveys DR10:

| path | what |
|---|---|
| `survey-bricks.fits.gz` | the {len(windows)} bricks used, of the survey's own brick scheme |
| `south/tractor/AAA/tractor-BRICK.fits` | catalogue of a brick: DR10's columns and dtypes |
| `south/sweep/10.0/sweep-*.fits` | the same objects in 5 x 5 degree files with the sweeps' columns |
| `south/coadd/AAA/BRICK/legacysurvey-BRICK-*.fits.fz` | image, invvar, nexp in g, r, z, and maskbits |
| `lenses.csv` | {listed} rows in lenscat's format |
| `truth.parquet` | true parameters of each object, lens and confuser flags |
| `provenance.json` | how this folder was made |

""" + _paragraphs(
        f"Coadds are windows of {side} x {side} px of their brick, with the brick's own tangent plane (CRPIX"
        " moved). `bx`,"
        f" `by` are pixels of these files. Objects are catalogued {pointings.MARGIN_PX} px or more from the edge of a"
        " window; beyond, galaxies are drawn but not listed. A window lies in one HEALPix pixel (nside 128),"
        " clear of its"
        " border, and windows in different pixels: no cutout reaches into another split. Splits (70/15/15) and nobs_z"
        " bins were dealt to the windows in proportion."
    )


def _contents(counts: Counts) -> str:
    kinds = counts("kind", "split")
    splits = ("train", "val", "test")
    lines = ["## What is in it", "", "| kind | " + " | ".join(splits) + " | all |", "|---|" + "---|" * 4]
    for kind in (*population.KINDS, "star"):
        row = [kinds[kind, split] for split in splits]
        lines.append(f"| {kind} | " + " | ".join(map(str, row)) + f" | {sum(row)} |")
    graded = counts("grade", "split")
    for grade in lenses.TIERS:
        row = [graded[grade, split] for split in splits]
        lines.append(f"| *of these, lenses, {grade}* | " + " | ".join(map(str, row)) + f" | {sum(row)} |")
    types = counts("type")
    lines += ["", "Types as fitted: " + ", ".join(f"{name[0]} {n}" for name, n in sorted(types.items())) + "."]
    return "\n".join(lines)


def _drawn(windows: Sequence[Pointing]) -> str:
    area_deg2 = sum(((w.size - 2 * pointings.MARGIN_PX) * 0.262 / 3600) ** 2 for w in windows)
    galaxies = sum(w.galaxies for w in windows)
    lens_share = sum(w.confident + w.probable for w in windows) / max(galaxies, 1)
    shares = ", ".join(f"{kind} {share:g}" for kind, share in population.KINDS.items())
    slopes = ", ".join(
        f"{kind} {population.SLOPE[kind]:g} ({_range(limits)})" for kind, limits in population.MAG_Z_RANGE.items()
    )
    tiers = "; ".join(
        f"`{name}` is a median Einstein radius of {t.einstein_median_arcsec:g} arcsec (log-normal, 0.24), a peak signal"
        f" to noise of {_range(t.peak_snr)} per pixel in g or r, a contrast to the galaxy of at least"
        f" {t.contrast:g} and"
        f" a source within {t.reach:g} Einstein radii of the lens"
        for name, t in lenses.TIERS.items()
    )
    mistyped = ", ".join(f"{share:.1%} are typed {name}" for name, share in measure.MISTYPED_EARLY.items())
    return _paragraphs(
        "## How it was drawn",
        f"**Galaxies.** Kinds and shares: {shares}. z magnitudes by counts growing as 10^(slope m), slope and range:"
        f" {slopes}. The catalogue ends at z = {population.FAINTEST_MAG_Z:g}; fainter galaxies"
        f" ({population.FAINT_PER_SQ_ARCMIN:g} per square arcmin, r {_range(population.FAINT_MAG_R_RANGE)}) are in the"
        f" images alone. There are {galaxies / area_deg2:,.0f} catalogued galaxies per square degree, some three times"
        f" the real sky's to that limit, so that windows can be small, and {lens_share:.1%} are lenses, far"
        " too many. Early galaxies (types DEV, SER of index 1.6-6, REX) have the g-r and r-z of"
        " passive galaxies at"
        " redshift 0.06-0.92. Spirals, rings, edge-on discs, clumpy galaxies and early galaxies with blue companions"
        " (pair) look like lenses in some way; the pool's own rules find them in ring_proxy, edge_on_proxy, blue_clumpy"
        f" and large_galaxy. Stars: {population.STARS_PER_GALAXY:g} per galaxy.",
        f"**Lenses.** A lens is an early galaxy like the others (z {_range(population.HOST_MAG_Z_RANGE)}, taken with a"
        f" weight flux^0.45) with a source ray-traced ({lenses.OVERSAMPLE} x {lenses.OVERSAMPLE} rays a"
        " pixel) through a"
        " singular isothermal ellipsoid (Kormann, Schneider & Bartelmann 1994) with external shear (|N(0, 0.05)|),"
        f" Einstein radius {_range(lenses.EINSTEIN_RANGE_ARCSEC)} arcsec. Sources are Sersic, index 0.7-1.6, half-light"
        f" radius {_range(lenses.SOURCE_R_HALF_RANGE_ARCSEC)} arcsec, g-r = N(0.18, 0.15), r-z = N(0.22, 0.16), r ="
        f" {_range(lenses.SOURCE_MAG_R_RANGE)} before lensing with slope {lenses.SOURCE_SLOPE:g}, kept where"
        " the arcs are"
        f" as clear as the grade asks: {tiers}. {pointings.CONFIDENT_SHARE:.0%} of the lenses are confident, where"
        " lenscat has 8.5 % of its DESI rows: a small test split needs some.",
        "**Seeing and noise.** Moffat PSFs (beta 2.8-4, ellipticity a few per cent) of FWHM"
        f" {_range(pointings.SEEING_RANGE_ARCSEC)} arcsec, medians {_three(pointings.SEEING_MEDIAN_ARCSEC)} in g, r, z,"
        " another for each window and band. Noise is Gaussian and independent between pixels (real coadds have"
        f" neighbours correlated): {_three(pointings.NOISE_ONE_EXPOSURE)} nanomaggies per pixel and exposure"
        " in g, r, z,"
        " scattered by 8 %, over the root of the number of exposures, and photon noise. nobs_z bins of the windows:"
        f" {', '.join(f'{name} {share:g}' for name, share, _ in pointings.NOBS_Z)}.",
        "**Catalogue.** Rows are mock measurements: true values with errors that follow from depth, PSF and size;"
        " positions with an error of 0.02 arcsec and 0.45 FWHM/SNR in quadrature. What the galaxy's row takes in of"
        f" arcs: {lenses.ABSORBED_SHARE:g} of one least-squares step of a fit to galaxy and arcs with the"
        " galaxy's shape"
        " fixed and its flux in each band and its position free, so that fluxes of lenses hold part of the arcs' light"
        " and positions lean towards it. Sizes and types are the galaxy's own. Of early galaxies, lenses or not,"
        f" {mistyped}. There is no i band. Columns that nothing here measures are 0.",
        "**Sources.** Brick scheme, file layout, columns, mask radii (1630 arcsec x 1.396^-G), extinction coefficients"
        " and the quantisation of images (1e-4 nanomaggies) are the Legacy Surveys' own. Noise per exposure"
        " is near that"
        " of DR10 cutouts. Counts, sizes and colours are round numbers chosen to look like DR10's.",
    )


def _dirt(windows: Sequence[Pointing]) -> str:
    missing = sum(bool(w.dirt.missing_band) for w in windows)
    unexposed = sum(bool(w.dirt.unexposed_band) for w in windows)
    bright = sum(w.dirt.bright_star for w in windows)
    centres, edges = sum(w.dirt.nan_centres for w in windows), sum(w.dirt.nan_edges for w in windows)
    return _paragraphs(
        "## Its dirt",
        f"The same for lenses and all others: {missing} bricks without files for one band; {unexposed} windows with a"
        f" strip where one band has no exposure (nexp 0, image exactly 0, invvar 0); {centres} patches of NaN"
        " on objects"
        f" and {edges} some 10 arcsec beside them; {bright} stars of r {_range(population.BRIGHT_STAR_MAG_R_RANGE)},"
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
        "## What it leaves out",
        "No clustering, no correlated noise, no ghosts, satellites or sky residuals, no lens in a group or cluster, no"
        " quasars, no dust, one source per lens, arcs never catalogued as objects of their own. A network"
        " that does well"
        " here has learnt to see blue arcs around red galaxies in clean data.",
    )
