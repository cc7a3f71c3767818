"""The README of a sky is true of its survey."""

from __future__ import annotations

import re


def test_the_readme_names_the_surveys_bands_scale_splits_and_bins(other):
    survey, text = other.survey, re.sub(r"\s+", " ", (other.root / "README.md").read_text())
    bands = ", ".join(survey.bands)
    scale, cutout = survey.pixel_scale_arcsec, survey.cutout_size_px
    assert f"survey is {survey.name}: {bands}, pixels of {scale} arcsec, cutouts of {cutout} px" in text
    assert f"image, invvar, nexp, psfsize in {bands}, and maskbits" in text
    assert {"my-griz": "(70/15/15) and nobs_z bins", "vis-yjh": "(80/10/10) and nobs_H bins"}[survey.name] in text
    assert {"my-griz": "pixel in g or r", "vis-yjh": "pixel in VIS or Y"}[survey.name] in text
    assert {"my-griz": "Fluxes in i follow", "vis-yjh": "Fluxes in VIS, Y, J, H follow"}[survey.name] in text
    assert ", ".join(f"{survey.imaging[band].noise_nanomaggy:g}" for band in survey.bands) in text
    assert ", ".join(f"{survey.imaging[band].psf_fwhm_arcsec:g}" for band in survey.bands) in text
    assert ", ".join(survey.confusers) in text
    assert "There is no" not in text


def test_the_readme_of_the_default_survey_says_that_its_i_band_is_empty(root):
    text = re.sub(r"\s+", " ", (root / "README.md").read_text())
    assert "There is no i band." in text
    assert "Fluxes in" not in text
