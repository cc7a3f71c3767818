"""The made sky as a whole: it says that it is a mock, its files agree, and nothing but its seed decides its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lensctl.io.provenance.steps import chain_of, from_json, survey_of
from lensctl.rules import split
from lensctl.sky import coadds, mock
from tests.toys.small_sky import SEED, SMALL


def digests(place: Path) -> dict[str, str]:
    files = sorted(file for file in place.rglob("*") if file.is_file())
    return {str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_every_file_says_that_it_is_a_mock(root):
    files = [*root.rglob("*.fits"), *root.rglob("*.fits.fz")]
    assert len(files) > 20 * 10
    for file in [*files, root / "survey-bricks.fits.gz"]:
        with fitsio.FITS(str(file)) as hdus:
            for hdu in hdus:
                assert hdu.read_header()["MOCK"] is True, file.name
    assert "Nothing here was observed" in (root / "README.md").read_text()


def test_catalogue_positions_fall_on_their_pixels(root, plan, tractor):
    for p in plan[:4]:
        band = next(band for band in "grz" if band != p.dirt.missing_band)
        file = coadds.folder(root, p) / coadds.file_name(p, "image", band)
        wcs = WCS(fits.open(file)[1].header)
        rows = tractor[tractor["brickid"] == p.brick.id]
        x, y = wcs.all_world2pix(rows["ra"], rows["dec"], 0)
        assert np.abs(x - rows["bx"]).max() < 1e-3
        assert np.abs(y - rows["by"]).max() < 1e-3


def test_the_provenance_is_in_the_folder_and_in_the_truth(root, truth, chain):
    assert from_json((root / "provenance.json").read_text(), "provenance.json") == chain
    assert chain_of(truth) == chain


def test_objects_are_in_the_split_that_the_rule_gives(tractor, truth):
    pixels = split.healpix(tractor["ra"], tractor["dec"])
    assert (split.splits_of(pixels) == truth["split"].to_numpy(zero_copy_only=False).astype("U5")).all()
    assert -18 < tractor["dec"].min() <= tractor["dec"].max() < 32


def test_a_brick_with_a_missing_band_has_no_file_of_it_and_no_flux(root, plan, tractor):
    p = next(p for p in plan if p.dirt.missing_band)
    band = p.dirt.missing_band
    there = sorted(file.name for file in coadds.folder(root, p).iterdir())
    assert len(there) == 9
    assert not [name for name in there if f"-{band}.fits" in name]
    rows = tractor[tractor["brickid"] == p.brick.id]
    assert len(rows)
    for name in (f"nobs_{band}", f"flux_{band}", f"psfdepth_{band}"):
        assert (rows[name] == 0).all()


def test_a_sky_of_another_survey_names_it_and_follows_its_split(other):
    chain = from_json((other.root / "provenance.json").read_text(), "provenance.json")
    assert survey_of(chain) == survey_of(chain_of(other.truth)) == other.survey
    tractor, truth, survey = other.tractor, other.truth, other.survey
    pixels = split.healpix(tractor["ra"], tractor["dec"])
    by_rule = split.splits_of(pixels, survey.split_seed, survey.split_edges)
    assert (by_rule == truth["split"].to_numpy(zero_copy_only=False).astype("U5")).all()
    shares = {name: sum(p.split == name for p in other.plan) / len(other.plan) for name in split.SPLITS}
    assert shares == pytest.approx(dict(survey.split_fractions), abs=1e-9)


def test_catalogue_positions_of_another_survey_fall_on_their_pixels(other):
    tractor = other.tractor
    for p in other.plan[:4]:
        band = next(band for band in other.survey.bands if band != p.dirt.missing_band)
        wcs = WCS(fits.open(coadds.folder(other.root, p) / coadds.file_name(p, "image", band))[1].header)
        rows = tractor[tractor["brickid"] == p.brick.id]
        x, y = wcs.all_world2pix(rows["ra"], rows["dec"], 0)
        assert np.abs(x - rows["bx"]).max() < 1e-3
        assert np.abs(y - rows["by"]).max() < 1e-3


def test_the_number_of_workers_changes_no_byte(root, tmp_path, monkeypatch, chain):
    monkeypatch.setattr(mock, "PIXELS_PER_PROCESS", 100_000)
    mock.make(tmp_path, SMALL, seed=SEED, workers=2, chain=chain)
    assert digests(tmp_path) == digests(root)
