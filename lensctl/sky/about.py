"""README.md of a mock sky: contents, and how everything was drawn."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lensctl.rules import split
from lensctl.sky import catalogs, coadds, dirt, lens_catalog, lenses, measure, places, pointings, window
from lensctl.sky.objects import features, population, spectra

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lensctl.rules.survey import Survey
    from lensctl.sky.objects.styles import Style
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
    parts = (
        _head(windows, seed, listed),
        _contents(counts),
        _drawn(windows),
        _dirt(windows),
        _limits(windows[0].style),
    )
    return "\n\n".join(parts) + "\n"


def _head(windows: Sequence[Pointing], seed: int, listed: int) -> str:
    side, survey = windows[0].size, windows[0].survey
    bands, cutout = ", ".join(survey.bands), survey.cutout_size_px
    coadd = f"`{survey.bricks.folders[-1]}/AAA/BRICK/{survey.bricks.prefix}-BRICK-*.fits.fz`"
    shares = "/".join(f"{100 * fraction:g}" for fraction in survey.split_fractions.values())
    columns = f"the DR10 columns and dtypes, for {', '.join(catalogs.optical_bands(survey))}"
    return f"""# A mock sky

**Nothing here was observed.** `lensctl sky` made these files (seed {seed}) as test data with a known truth.
The survey is {survey.name}: {bands}, pixels of {survey.pixel_scale_arcsec:g} arcsec, cutouts of {cutout} px.
The style is {windows[0].style.name}.
They show that the pipeline works; they say nothing about real lenses. Every FITS header has `MOCK = T`.

The layout is that of the DESI Legacy Imaging Surveys DR10 server:

| path | contents |
|---|---|
| `survey-bricks.fits.gz` | the {len(windows)} bricks used, from the survey's brick scheme |
| `south/tractor/AAA/tractor-BRICK.fits` | catalogue of a brick, with {columns}, and z_phot |
| `south/sweep/10.0/sweep-*.fits` | the same objects in 5 x 5 degree files with the sweep columns |
| {coadd} | image, invvar, nexp, psfsize in {bands}, and maskbits |
| `lenses.csv` | {listed} rows in lenscat's format |
| `truth.parquet` | true parameters of each object, lens and confuser flags |
| `provenance.json` | how this folder was made |

""" + _paragraphs(
        f"Coadds are windows of {side} x {side} px of their brick, in the brick's tangent plane (with CRPIX shifted)."
        " `bx`, `by` are pixels of these files. Objects are catalogued at least"
        f" {pointings.margin_px(survey)} px from the edge of a window; galaxies nearer the edge are drawn but not"
        " listed. Each window lies in one HEALPix pixel (nside"
        f" {split.NSIDE}), away from its border, and no two windows share a pixel, so no cutout reaches into another"
        f" split. Splits ({shares}) and {survey.depth('nobs')} bins are assigned to the windows in proportion."
    )


def _contents(counts: Counts) -> str:
    kinds = counts("kind", "split")
    splits = split.SPLITS
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
    survey, style = windows[0].survey, windows[0].style
    scale, imaging = survey.pixel_scale_arcsec, [survey.imaging[band] for band in survey.bands]
    bands = ", ".join(survey.bands)
    blue = " or ".join(survey.bands[i] for i in spectra.bluest(survey)[:2])
    rays = lenses.oversample(survey)
    area_deg2 = sum(((w.size - 2 * pointings.margin_px(survey)) * scale / 3600) ** 2 for w in windows)
    galaxies = sum(w.galaxies for w in windows)
    lens_share = sum(w.confident + w.probable for w in windows) / max(galaxies, 1)
    shares = ", ".join(f"{kind} {share:g}" for kind, share in style.kinds.items())
    slopes = ", ".join(
        f"{kind} {population.SLOPE[kind]:g} ({_range(limits)})" for kind, limits in population.MAG_Z_RANGE.items()
    )
    tiers = "; ".join(
        f"`{name}` has a median Einstein radius of {style.einstein_arcsec[name]:g} arcsec (log-normal, 0.24), a peak"
        f" signal-to-noise ratio of {_range(t.peak_snr)} per pixel in {blue}, a contrast to the galaxy of at least"
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
        f" passive galaxies at redshift 0.06-0.92.{_spectra(survey)}{_profiles(style)} Spirals, rings, edge-on"
        " discs, clumpy galaxies and early types with blue companions (pair) resemble lenses; the confuser rules of the"
        " pool classify them as"
        f" {', '.join(survey.confusers) or 'nothing, as the survey has none'}."
        f" Stars: {population.STARS_PER_GALAXY:g} per galaxy.",
        f"**Groups.** {population.MEMBER_SHARE:.0%} of the early types lie in the group of a brighter one, at its"
        f" redshift and {places.SEPARATION_ARCSEC:g}-{places.GROUP_ARCSEC:g} arcsec from it, any distance as likely:"
        f" within {places.GROUP_ARCSEC:g} arcsec early types, lenses or not, have {places.COMPANIONS:g} more catalogued"
        " neighbours than other galaxies.",
        "**Lenses.** A lens is an ordinary early-type galaxy"
        f" (z {_range(population.HOST_MAG_Z_RANGE)}, drawn with weight flux^0.25) with a source ray-traced"
        f" ({rays} x {rays} rays per pixel) through a"
        " singular isothermal ellipsoid (Kormann, Schneider & Bartelmann 1994) with external shear (|N(0, 0.05)|) and"
        f" Einstein radius {_range(lenses.EINSTEIN_RANGE_ARCSEC)} arcsec. Sources are Sersic, index 0.7-1.6, half-light"
        f" radius {_range(lenses.SOURCE_R_HALF_RANGE_ARCSEC)} arcsec (median {style.source_r_half_arcsec:g}), g-r ="
        f" N({_list(style.source_colours[0])}), r-z = N({_list(style.source_colours[1])}),{_knots(style)} r ="
        f" {_range(lenses.SOURCE_MAG_R_RANGE)} before lensing with slope {lenses.SOURCE_SLOPE:g}, kept if the arcs are"
        f" clear enough for the grade: {tiers}. {pointings.CONFIDENT_SHARE:.0%} of the lenses are confident, compared"
        " with 8.5 % of lenscat's DESI rows, so that a small test split has some.",
        f"**PSF and noise.** Moffat PSFs of beta {style.psf_beta:g} (scatter {window.PSF_BETA_SCATTER:g} between bands"
        f" and windows), ellipticity {window.PSF_ELLIPTICITY:g}, and psfsize {_range(pointings.psfsize_limits(survey))}"
        f" arcsec, medians {_list(i.psf_fwhm_arcsec for i in imaging)} in {bands}, drawn for each window and band."
        " psfsize is the FWHM of the Gaussian with the noise-equivalent area of the PSF on pixels; the PSF falls to"
        " half its peak at about three quarters of it. The sky has"
        f" {_list(round(i.sky_nanomaggy, 3) for i in imaging)} nanomaggies a pixel in {bands} (scatter"
        f" {pointings.SKY_SCATTER:g}), the gain of an exposure is"
        f" {_list(i.electrons_per_nanomaggy for i in imaging)} electrons per nanomaggy"
        f" (scatter {pointings.GAIN_SCATTER:g}), so the noise of a pixel is"
        f" {_list(i.noise_nanomaggy for i in imaging)} nanomaggies. It is that of the electrons of sky and sources,"
        f" Gaussian, and {_correlation(style)}. invvar = exposures x gain / (sky + image): 1/invvar grows with"
        " brightness, with the slope that the gain gives. psfdepth is the invvar of blank sky over the PSF's"
        " noise-equivalent area, galdepth that over the area of a round exponential galaxy of"
        f" {measure.DEPTH_GALAXY_ARCSEC:g} arcsec."
        f" {survey.depth('nobs')} bins of the windows:"
        f" {', '.join(f'{name} {share:g}' for name, share, _ in pointings.NOBS)}.",
        "**Catalogue.** Rows are mock measurements: true values with errors that follow from depth, PSF, size and the"
        " photons of the object;"
        " position errors are 0.02 arcsec and 0.45 FWHM/SNR in quadrature. The galaxy absorbs part of the arcs:"
        f" {lenses.ABSORBED_SHARE:g} of one least-squares step of a fit to galaxy and arcs with the galaxy's shape"
        " fixed and its position and flux in each band free, so the fluxes of lenses include some of the arcs' light"
        " and their positions are shifted towards it. Sizes and types are those of the galaxy. Of early types, lenses"
        f" or not, {mistyped}. z_phot is the redshift with a scatter of {measure.Z_PHOT_SCATTER:g} (1 + z), and"
        f" {measure.Z_PHOT_OUTLIERS:.0%} drawn anywhere in {_range(measure.Z_PHOT_RANGE)}; NaN for stars. DR10 has"
        f" it in files of its own. {_without(survey)}Columns that are not simulated are 0.",
        "**Sources.** Brick scheme, file layout, columns, mask radii (1630 arcsec x 1.396^-G), extinction coefficients"
        f" and the quantisation of images ({coadds.COARSEST_STEP_NANOMAGGY:g} nanomaggies, or 1/{coadds.STEPS_IN_NOISE}"
        " of an exposure's noise if that is less) are those of the Legacy Surveys. Seeing, noise, gain and saturation"
        f" are those of survey {survey.name}. Counts, sizes and colours are round numbers chosen to resemble DR10.",
    )


def _profiles(style: Style) -> str:
    """What the README says of the light of plain galaxies."""
    if not style.envelope:
        return " Early types and discs are Sersic profiles."
    return (
        f" Early types and discs have {style.envelope:.0%} of their light in an exponential envelope of"
        f" {features.ENVELOPE:g} half-light radii, around a Sersic core of {features.CORE:g}."
    )


def _knots(style: Style) -> str:
    """What the README says of the knots of sources."""
    return f" half of the light in {style.source_knots[0]}-{style.source_knots[1]} knots," * any(style.source_knots)


def _correlation(style: Style) -> str:
    """What the README says of the noise of neighbouring pixels."""
    if not style.noise_spread:
        return "independent between pixels (in real coadds, neighbours are correlated)"
    return (
        f"spread over neighbouring pixels by ({style.noise_spread:g}, {1 - 2 * style.noise_spread:g},"
        f" {style.noise_spread:g}) along each axis, which invvar does not know: noise x sqrt(invvar) ="
        f" {style.noise_factor:.3f}"
    )


def _spectra(survey: Survey) -> str:
    """What the README says of fluxes in bands other than g, r and z."""
    others = [band for band in survey.bands if survey.imaging[band].wavelength_um not in spectra.ANCHORS_UM]
    if not others:
        return ""
    return (
        f" Fluxes in {', '.join(others)} follow from those in g, r and z: log flux is linear in log wavelength between"
        " these, with half the slope beyond them."
    )


def _without(survey: Survey) -> str:
    """What the README says of bands that have columns but no images."""
    absent = [band for band in catalogs.optical_bands(survey) if band not in survey.bands]
    return f"There is no {' or '.join(absent)} band. " if absent else ""


def _dirt(windows: Sequence[Pointing]) -> str:
    survey = windows[0].survey
    missing = sum(bool(w.dirt.missing_band) for w in windows)
    unexposed = sum(bool(w.dirt.unexposed_band) for w in windows)
    bright = sum(w.dirt.bright_star for w in windows)
    near, far = (limit * (survey.cutout_size_px // 2) * survey.pixel_scale_arcsec for limit in dirt.HOLE_RANGE)
    saturation = survey.imaging[survey.detection_band].saturation_nanomaggy
    centres, edges = sum(w.dirt.nan_centres for w in windows), sum(w.dirt.nan_edges for w in windows)
    return _paragraphs(
        "## Data flaws",
        f"The same for lenses and all other objects: {missing} bricks without files for one band; {unexposed} windows"
        f" with a strip where one band has no exposure (nexp 0, image exactly 0, invvar 0); {centres} patches of NaN"
        f" on objects and {edges} at {near:.1f}-{far:.1f} arcsec from them; {bright} stars of"
        f" r {_range(population.BRIGHT_STAR_MAG_R_RANGE)},"
        f" saturated (at {saturation:g} nanomaggies per pixel in {survey.detection_band}), bleeding and masked.",
        f"In lenses.csv: {lens_catalog.OUTSIDE_SHARE:.1%} of rows outside the footprint,"
        f" {lens_catalog.DUPLICATE_SHARE:.0%} of lenses listed twice within 3 arcsec under another name,"
        f" {lens_catalog.TWO_NAMES_SHARE:.0%} under two names in one row, {lens_catalog.UNNAMED_SHARE:.1%} without"
        " `DESI-`; at least one of each.",
    )


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g}-{limits[1]:g}"


def _list(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(textwrap.fill(text, 118, break_on_hyphens=False) for text in texts)


def _limits(style: Style) -> str:
    return _paragraphs(
        "## Limitations",
        f"No clustering but in groups, {'' if style.noise_spread else 'no correlated noise, '}one PSF in all exposures"
        " of a window, no ghosts, satellites or sky residuals, no group or cluster lenses, no quasars, no dust, one"
        " source per lens, arcs never catalogued as separate objects. A network that does well here has learnt to find"
        " blue arcs around red galaxies in clean data.",
    )
