"""The mock sky: its layout, its truth, its dirt, and that nothing but arcs tells its lenses apart."""

from __future__ import annotations

import csv
import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from lensctl.astro.geometry import groups_within
from lensctl.io.provenance.steps import Chain, Step, chain_of, extend, from_json
from lensctl.io.tables.files import read_table
from lensctl.rules import split
from lensctl.rules.bins import NOBS_Z_BINS, TYPES, nobs_z_bin
from lensctl.rules.confusers import CONFUSERS, confuser_category
from lensctl.rules.derived import magnitude
from lensctl.rules.errors import InputError
from lensctl.sky import bricks, coadds, columns, dirt, lenses, measure, mock, pointings, population, window
from lensctl.sky.pointings import Size, generator

SEED = 7
SMALL = Size(galaxies=260, lenses=20)


@pytest.fixture(scope="module")
def chain() -> Chain:
    return extend(Step("sky", {"seed": SEED}))


@pytest.fixture(scope="module")
def root(tmp_path_factory, chain) -> Path:
    place = tmp_path_factory.mktemp("sky")
    mock.make(place, SMALL, seed=SEED, workers=1, chain=chain)
    return place


@pytest.fixture(scope="module")
def plan() -> list[pointings.Pointing]:
    return pointings.plan(SEED, SMALL)


@pytest.fixture(scope="module")
def tractor(root) -> np.ndarray:
    rows = np.concatenate([fitsio.read(file) for file in (root / "south" / "tractor").rglob("*.fits")])
    return rows[np.lexsort((rows["objid"], rows["brickid"]))]  # as the truth is


@pytest.fixture(scope="module")
def truth(root) -> pa.Table:
    return read_table(str(root / "truth.parquet"))


def plane(root: Path, pointing: pointings.Pointing, kind: str, band: str = "") -> np.ndarray:
    name = f"legacysurvey-{pointing.brick.name}-{kind}{'-' if band else ''}{band}.fits.fz"
    return fitsio.read(coadds.folder(root, pointing.brick) / name, ext=1)


# --- bricks


def test_the_brick_scheme_has_as_many_bricks_as_the_survey():
    assert bricks.columns_per_row().sum() == 662_174


def test_a_known_brick_has_its_name_number_and_edges():
    brick = bricks.brick_at(95.95, 80.5)
    assert (brick.name, brick.id, brick.q, brick.row, brick.col) == ("0959p805", 657438, 0, 682, 64)
    assert (brick.ra1, brick.ra2) == (pytest.approx(95.20661157, abs=1e-7), pytest.approx(96.69421488, abs=1e-7))
    assert (brick.dec1, brick.dec2) == (80.375, 80.625)


@given(ra=st.floats(0, 359.999999), dec=st.floats(-89.8, 89.8))
def test_a_brick_holds_the_position_it_was_asked_for(ra, dec):
    brick = bricks.brick_at(ra, dec)
    assert brick.ra1 - 1e-9 <= ra <= brick.ra2 + 1e-9
    assert brick.dec1 <= dec <= brick.dec2
    assert bricks.columns_per_row()[brick.row] % 2 == 0


def test_the_brick_scheme_gives_the_rows_of_the_real_table(real_data):
    row = fitsio.read(real_data / "dr6-coadd" / "survey-bricks.fits.gz")[0]
    made = bricks.brick_table([bricks.brick_at(float(row["RA"]), float(row["DEC"]))])[0]
    for name in made.dtype.names:
        if name == "BRICKNAME":
            assert made[name].decode() == row[name].strip()
        else:
            assert float(made[name]) == pytest.approx(float(row[name]), abs=1e-9), name


def test_owned_objects_of_real_catalogues_lie_in_the_brick_they_name(real_data):
    rows = fitsio.read(real_data / "tractor" / "sweep-310m005-320p000.fits")
    for row in rows:
        brick = bricks.brick_at(float(row["RA"]), float(row["DEC"]))
        assert (brick.name, brick.id) == (row["BRICKNAME"].strip(), row["BRICKID"])


# --- columns


@pytest.mark.parametrize("kind", ["tractor", "sweep"])
def test_columns_are_those_of_the_dr10_file_pages(real_data, kind):
    with (real_data / "schema" / f"dr10_{kind}_schema.csv").open() as file:
        rows = list(csv.DictReader(file))
    if kind == "sweep":  # the page lists MW_TRANSMISSION_R twice where it means R and I
        doubled = [i for i, row in enumerate(rows) if row["name"] == "MW_TRANSMISSION_R"]
        rows[doubled[1]]["name"] = "MW_TRANSMISSION_I"
    names = columns.TRACTOR_DTYPE.names if kind == "tractor" else columns.SWEEP_COLUMNS
    assert list(names) == [row["name"].lower() for row in rows]
    for row in rows:
        dtype = columns.TRACTOR_DTYPE[row["name"].lower()]
        word = row["dtype"].replace("boolean", "bool").replace("char", "S").replace("[", "").rstrip("]")
        base, shape = dtype.subdtype or (dtype, ())
        said = base.name if base.kind != "S" else f"S{base.itemsize}"
        assert word == said + "".join(map(str, shape)), row["name"]
        assert columns.unit(row["name"].lower()) == row["unit"], row["name"]


def test_files_have_these_columns_in_their_case(root):
    tractor = fitsio.FITS(next((root / "south" / "tractor").rglob("*.fits")))[1]
    assert tractor.get_colnames() == list(columns.TRACTOR_DTYPE.names)
    sweep = fitsio.FITS(next((root / "south" / "sweep" / "10.0").glob("*.fits")))[1]
    assert sweep.get_colnames() == [name.upper() for name in columns.SWEEP_COLUMNS]
    assert sweep.read_header()["TUNIT7"].strip() == "deg"


# --- layout


def test_every_file_says_that_it_is_a_mock(root):
    files = [*root.rglob("*.fits"), *root.rglob("*.fits.fz")]
    assert len(files) > 20 * 10
    for file in [*files, root / "survey-bricks.fits.gz"]:
        with fitsio.FITS(str(file)) as hdus:
            for hdu in hdus:
                assert hdu.read_header()["MOCK"] is True, file.name
    assert "Nothing here was observed" in (root / "README.md").read_text()


def test_coadds_are_compressed_as_the_survey_compresses_them(root, plan):
    p = next(p for p in plan if not p.dirt.missing_band)
    file = coadds.folder(root, p.brick) / f"legacysurvey-{p.brick.name}-image-r.fits.fz"
    raw = fits.open(file, disable_image_compression=True)[1].header
    assert (raw["ZCMPTYPE"], raw["ZTILE1"], raw["ZTILE2"]) == ("RICE_1", 100, 100)
    assert raw["ZQUANTIZ"] == "SUBTRACTIVE_DITHER_2"
    header = fits.open(file)[1].header
    assert (header["BUNIT"], header["LSDR"], header["BRICKNAM"]) == ("nanomaggy", "DR10", p.brick.name)
    assert (header["CRPIX1"], header["CRPIX2"]) == (1800.5 - p.x0, 1800.5 - p.y0)
    assert header["CRVAL1"] == pytest.approx(p.brick.ra, abs=1e-9)
    assert header["CD2_2"] == -header["CD1_1"] == pytest.approx(0.262 / 3600)


def test_catalogue_positions_fall_on_their_pixels(root, plan, tractor):
    for p in plan[:4]:
        band = next(band for band in "grz" if band != p.dirt.missing_band)
        file = coadds.folder(root, p.brick) / f"legacysurvey-{p.brick.name}-image-{band}.fits.fz"
        wcs = WCS(fits.open(file)[1].header)
        rows = tractor[tractor["brickid"] == p.brick.id]
        x, y = wcs.all_world2pix(rows["ra"], rows["dec"], 0)
        assert np.abs(x - rows["bx"]).max() < 1e-3
        assert np.abs(y - rows["by"]).max() < 1e-3


def test_every_object_has_room_for_a_cutout_and_lies_in_its_brick(plan, tractor):
    side = {p.brick.id: p.size for p in plan}
    edge = np.array([side[i] for i in tractor["brickid"]]) - 1
    for name in ("bx", "by"):
        assert tractor[name].min() > 50.5
        assert (tractor[name] < edge - 50.5).all()
    for ra, dec, name in zip(tractor["ra"], tractor["dec"], tractor["brickname"], strict=True):
        assert bricks.brick_at(ra, dec).name == name
    assert tractor["brick_primary"].all()


def test_ids_are_unique_and_contiguous_within_a_brick(tractor):
    for brick in np.unique(tractor["brickid"]):
        ids = tractor["objid"][tractor["brickid"] == brick]
        assert ids.tolist() == list(range(len(ids)))


def test_sweeps_hold_the_tractor_rows_under_the_name_of_their_corners(root, tractor):
    total = 0
    for file in (root / "south" / "sweep" / "10.0").glob("*.fits"):
        rows = fitsio.read(file)
        total += len(rows)
        own = {(row["brickid"], row["objid"]): row["flux_r"] for row in tractor}
        assert [own[row["BRICKID"], row["OBJID"]] for row in rows] == rows["FLUX_R"].tolist()
        low, high = file.stem.split("-")[1:]
        assert float(low[:3]) <= rows["RA"].min() <= rows["RA"].max() < float(high[:3])
        signed = [(-1 if c[3] == "m" else 1) * float(c[4:]) for c in (low, high)]
        assert signed[0] <= rows["DEC"].min() <= rows["DEC"].max() < signed[1]
    assert total == len(tractor)


def test_the_brick_table_lists_the_bricks_used(root, plan):
    rows = fitsio.read(root / "survey-bricks.fits.gz")
    assert [name.strip() for name in rows["BRICKNAME"]] == [p.brick.name for p in plan]
    assert (rows["BRICKID"] == [p.brick.id for p in plan]).all()


def test_the_brick_table_has_no_time_in_its_gzip_header(root):
    packed = (root / "survey-bricks.fits.gz").read_bytes()
    assert packed[4:8] == bytes(4)
    assert gzip.decompress(packed)[:6] == b"SIMPLE"


def test_the_provenance_is_in_the_folder_and_in_the_truth(root, truth, chain):
    assert from_json((root / "provenance.json").read_text(), "provenance.json") == chain
    assert chain_of(truth) == chain


# --- splits


def test_windows_lie_in_one_healpix_pixel_each_and_split_70_15_15(plan):
    assert [sum(p.split == name for p in plan) for name in split.SPLITS] == [14, 3, 3]
    assert len({p.healpix for p in plan}) == len({p.brick.id for p in plan}) == len(plan)
    for p in plan:
        assert split.split_of(p.healpix) == p.split
        far = p.size + 100  # 26 arcsec around: half a cutout and more
        x, y = np.meshgrid(np.linspace(-100, far, 30), np.linspace(-100, far, 30))
        ra, dec = p.wcs().all_pix2world(x.ravel(), y.ravel(), 0)
        assert (split.healpix(ra % 360, dec) == p.healpix).all()


def test_objects_are_in_the_split_that_the_rule_gives(tractor, truth):
    pixels = split.healpix(tractor["ra"], tractor["dec"])
    assert (split.splits_of(pixels) == truth["split"].to_numpy(zero_copy_only=False).astype("U5")).all()
    assert -18 < tractor["dec"].min() <= tractor["dec"].max() < 32


# --- pixels


def test_noise_is_what_invvar_says(root, plan):
    p = next(p for p in plan if not p.dirt.missing_band and not p.dirt.bright_star)
    for band in "grz":
        image, invvar = plane(root, p, "image", band), plane(root, p, "invvar", band)
        good = (invvar[1:] > 0) & (invvar[:-1] > 0)  # no holes
        step = np.diff(image, axis=0)[good]  # of neighbours: free of the light that varies slowly
        sigma = 1.4826 * np.median(np.abs(step - np.median(step))) / np.sqrt(2)
        assert sigma == pytest.approx(float(np.median(1 / np.sqrt(invvar[invvar > 0]))), rel=0.12)


def test_noise_in_the_catalogue_is_that_of_the_pixels(root, plan, tractor):
    p = next(p for p in plan if not p.dirt.missing_band)
    row = tractor[tractor["brickid"] == p.brick.id][0]
    sigma = 1 / np.sqrt(float(plane(root, p, "invvar", "r")[round(row["by"]), round(row["bx"])]))
    gaussian = 4 * np.pi * (row["psfsize_r"] / 2.3548 / 0.262) ** 2
    assert 1 / np.sqrt(row["psfdepth_r"]) == pytest.approx(sigma * np.sqrt(gaussian), rel=0.25)
    assert row["galdepth_r"] < row["psfdepth_r"]


def test_where_there_is_no_exposure_image_and_invvar_are_exactly_zero(root, plan, tractor):
    p = next(p for p in plan if p.dirt.unexposed_band)
    band = p.dirt.unexposed_band
    bare = plane(root, p, "nexp", band) == 0
    assert 0.1 < bare.mean() < 0.3
    assert (plane(root, p, "image", band)[bare] == 0).all()
    assert (plane(root, p, "invvar", band)[bare] == 0).all()
    assert (plane(root, p, "image", band)[~bare] != 0).mean() > 0.99


def test_catalogue_counts_exposures_as_the_maps_do(root, plan, tractor):
    for p in plan:
        rows = tractor[tractor["brickid"] == p.brick.id]
        for band in set("grz") - {p.dirt.missing_band}:
            nexp = plane(root, p, "nexp", band)
            near = [nexp[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2] for x, y in rows[["bx", "by"]]]
            for count, around in zip(rows[f"nobs_{band}"], near, strict=True):
                assert count in around
        bare = rows[f"nobs_{p.dirt.unexposed_band or 'g'}"] == 0
        assert (rows[f"flux_{p.dirt.unexposed_band or 'g'}"][bare] == 0).all()


def test_a_brick_with_a_missing_band_has_no_file_of_it_and_no_flux(root, plan, tractor):
    p = next(p for p in plan if p.dirt.missing_band)
    band = p.dirt.missing_band
    there = sorted(file.name for file in coadds.folder(root, p.brick).iterdir())
    assert len(there) == 7
    assert not [name for name in there if f"-{band}.fits" in name]
    rows = tractor[tractor["brickid"] == p.brick.id]
    assert len(rows)
    for name in (f"nobs_{band}", f"flux_{band}", f"psfdepth_{band}"):
        assert (rows[name] == 0).all()


def test_nan_pixels_are_in_the_centre_of_some_objects_and_beside_others(root, plan, tractor):
    central = beside = 0
    for p in plan:
        holes = np.zeros((p.size, p.size), bool)
        for band in set("grz") - {p.dirt.missing_band}:
            image = plane(root, p, "image", band)
            holes |= np.isnan(image)
            assert (plane(root, p, "invvar", band)[np.isnan(image)] == 0).all()
        for x, y in tractor[tractor["brickid"] == p.brick.id][["bx", "by"]]:
            cutout = holes[round(y) - 50 : round(y) + 51, round(x) - 50 : round(x) + 51]
            central += cutout[40:61, 40:61].any()
            beside += cutout.any() and not cutout[18:82, 18:82].any()
    assert central >= 1
    assert beside >= 1


def test_bright_stars_are_saturated_and_masked(root, plan, tractor):
    p = next(p for p in plan if p.dirt.bright_star and not p.dirt.missing_band)
    bits = plane(root, p, "maskbits")
    medium = (bits & (1 << dirt.BIT_MEDIUM)) > 0
    assert 0.005 < medium.mean() < 0.4
    saturated = (bits & (1 << dirt.BITS_SATURATED[1])) > 0
    assert saturated.any()
    assert (plane(root, p, "invvar", "r")[saturated] == 0).all()
    assert np.nanmax(plane(root, p, "image", "r")) < 1.2 * dirt.SATURATION_NANOMAGGY[1]


def test_objects_carry_the_maskbits_of_their_pixel(root, plan, tractor):
    p = next(p for p in plan if p.dirt.bright_star)
    bits = plane(root, p, "maskbits")
    for row in tractor[tractor["brickid"] == p.brick.id]:
        y, x = round(row["by"]), round(row["bx"])
        assert row["maskbits"] in bits[y - 1 : y + 2, x - 1 : x + 2]


# --- lenses


def test_the_lens_catalogue_is_lenscats_and_has_its_troubles(root, truth, tractor):
    with (root / "lenses.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["name", "RA [deg]", "DEC [deg]", "zlens", "type", "grading", "ref"]
    ra, dec = (np.array([float(row[i]) for row in rows[1:]]) for i in (1, 2))
    names = [row[0] for row in rows[1:]]
    assert {row[5] for row in rows[1:]} == {"confident", "probable"}
    assert len({row[6] for row in rows[1:]}) >= 3
    assert any("DESI-" not in name for name in names)
    assert any(" | DESI-" in name for name in names)
    assert len(np.unique(groups_within(ra, dec, 3.0))) < len(names)
    at = np.concatenate([np.c_[ra, dec], np.c_[tractor["ra"], tractor["dec"]]])
    groups = groups_within(at[:, 0], at[:, 1], 60.0)
    assert (~np.isin(groups[: len(names)], groups[len(names) :])).any(), "none outside the footprint"


def test_every_lens_is_listed_on_its_galaxy(root, truth):
    with (root / "lenses.csv").open() as file:
        listed = np.array([[float(row["RA [deg]"]), float(row["DEC [deg]"])] for row in csv.DictReader(file)])
    lens = truth.filter(truth["is_lens"])
    assert lens.num_rows == SMALL.lenses
    for ra, dec in zip(lens["ra"].to_pylist(), lens["dec"].to_pylist(), strict=True):
        away = np.hypot((listed[:, 0] - ra) * np.cos(np.radians(dec)), listed[:, 1] - dec) * 3600
        assert away.min() < 0.5


def test_only_lenses_have_lens_parameters(truth):
    for name in window.LENS_FACTS:
        known = truth[name].is_valid().to_numpy(zero_copy_only=False)
        assert (known == truth["is_lens"].to_numpy(zero_copy_only=False)).all()
    theta_e = truth["theta_e"].drop_null().to_numpy()
    assert lenses.EINSTEIN_RANGE_ARCSEC[0] <= theta_e.min() <= theta_e.max() <= lenses.EINSTEIN_RANGE_ARCSEC[1]


@pytest.mark.parametrize("grade", list(lenses.TIERS))
def test_arcs_are_as_clear_as_their_grade_asks_and_bluer_than_the_galaxy(plan, grade):
    tier, rng = lenses.TIERS[grade], generator(3)
    host = {"flux_g": 1.6, "flux_r": 6.0, "flux_z": 14.0, "r_half": 1.1, "n": 4.0, "q": 0.8, "phi": 0.4}
    psfs = window.psfs_of(rng, plan[0])
    sigma = np.array([0.003, 0.004, 0.01])
    for _ in range(5):
        arcs, model = lenses.draw(rng, host, tier, psfs, sigma, (0.2, -0.3))
        assert tier.peak_snr[0] - 0.1 <= arcs.facts["arc_peak_snr"] <= tier.peak_snr[1] + 0.1
        assert arcs.facts["arc_contrast"] >= tier.contrast - 0.01
        seen = max(arcs.seen[0].max() / sigma[0], arcs.seen[1].max() / sigma[1])
        assert seen == pytest.approx(arcs.facts["arc_peak_snr"], rel=1e-3)
        assert arcs.image[1].sum() == pytest.approx(arcs.facts["magnification"] * arcs.facts["source_flux_r"], rel=1e-3)
        assert arcs.image[0].sum() / arcs.image[1].sum() > host["flux_g"] / host["flux_r"]
        assert model[0].sum() == pytest.approx(1.0, abs=0.15)


def test_light_like_the_galaxy_is_absorbed_by_the_stated_share_and_moves_nothing(plan):
    psfs = window.psfs_of(generator(1), plan[0])
    model = np.stack([psf.kernel(41) for psf in psfs]).astype(float)
    flux, sigma = np.array([2.0, 6.0, 12.0]), np.array([0.003, 0.004, 0.01])
    added, shift = lenses.absorbed(0.5 * model, model, flux, sigma)
    assert added == pytest.approx(lenses.ABSORBED_SHARE * 0.5)
    assert shift == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))


def test_light_to_the_right_pulls_the_position_to_the_right(plan):
    psfs = window.psfs_of(generator(1), plan[0])
    model = np.stack([psf.kernel(41) for psf in psfs]).astype(float)
    arcs = 0.1 * np.roll(model, 3, axis=2)
    _, (dx, dy) = lenses.absorbed(arcs, model, np.array([2.0, 6.0, 12.0]), np.array([0.003, 0.004, 0.01]))
    assert dx > 0.01
    assert abs(dy) < 0.2 * dx


def test_a_position_pulled_by_light_like_the_galaxys_goes_where_least_squares_puts_it(plan):
    """A small copy of the galaxy one pixel off, of relative flux f, moves the fit by about f pixels."""
    psfs = window.psfs_of(generator(1), plan[0])
    model = np.stack([psf.kernel(41) for psf in psfs]).astype(float)
    flux = np.array([2.0, 6.0, 12.0])
    arcs = 0.02 * flux[:, None, None] * np.roll(model, 1, axis=1)
    _, (_, dy) = lenses.absorbed(arcs, model, flux, np.array([0.003, 0.004, 0.01]))
    assert dy == pytest.approx(lenses.ABSORBED_SHARE * 0.02, rel=0.1)


# --- population: the default size, catalogue alone


@pytest.fixture(scope="module")
def catalogue() -> dict[str, np.ndarray]:
    """Catalogue of the default sky, drawn without its pixels (and so without what arcs add to lenses)."""
    parts = []
    for p in pointings.plan(42, Size(12_000, round(mock.LENS_SHARE * 12_000))):
        rng = generator(42, p.index)
        galaxies, kind, types = population.galaxies(rng, p.galaxies, p.host_types)
        x, y = rng.uniform(pointings.MARGIN_PX, p.size - pointings.MARGIN_PX, (2, len(kind)))
        blank = np.zeros((3, p.size, p.size), np.float32)
        planes = dirt.Planes(blank, blank, dirt.exposures(rng, p), np.zeros((p.size, p.size), np.int32))
        fitted = measure.mistype(rng, types, kind)
        columns_ = measure.measure(rng, p, {**galaxies, "x": x, "y": y}, fitted, planes, window.psfs_of(rng, p))
        is_lens = np.arange(len(kind)) < p.confident + p.probable
        more = {"split": np.full(len(kind), p.split), "kind": kind, "is_lens": is_lens}
        parts.append({**{name: v for name, v in columns_.items() if v.ndim == 1}, **more})
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for band in "grz":
        table[f"mag_{band}"] = magnitude(table[f"flux_{band}"])
    table["g_minus_r"], table["r_minus_z"] = table["mag_g"] - table["mag_r"], table["mag_r"] - table["mag_z"]
    table["category"] = confuser_category(table)
    table["bin"] = nobs_z_bin(table["nobs_z"])
    usable = (table["nobs_g"] >= 1) & (table["nobs_r"] >= 1) & (table["nobs_z"] >= 3)
    table["usable"] = usable & np.isin(table["type"], TYPES)
    return table


def test_confusers_are_15_to_25_percent_of_the_pool_in_each_split(catalogue):
    pool = catalogue["usable"] & ~catalogue["is_lens"]
    is_n2 = np.array([category is not None for category in catalogue["category"]])
    for name in split.SPLITS:
        assert 0.16 < is_n2[pool & (catalogue["split"] == name)].mean() < 0.25
    for category in CONFUSERS:
        assert (catalogue["category"][pool] == category).sum() > 100, category


def test_every_class_splits_70_15_15(catalogue):
    for rows in (catalogue["usable"] & ~catalogue["is_lens"], catalogue["usable"] & catalogue["is_lens"]):
        shares = [(catalogue["split"][rows] == name).mean() for name in split.SPLITS]
        assert 0.66 < shares[0] < 0.74
        assert 0.125 < shares[1] < 0.175
        assert 0.125 < shares[2] < 0.175


def test_strata_with_lenses_have_negatives_enough_for_fifteen_each(catalogue):
    pool, lens = catalogue["usable"] & ~catalogue["is_lens"], catalogue["usable"] & catalogue["is_lens"]
    for kind in TYPES:
        for nobs in NOBS_Z_BINS[1:]:
            here = (catalogue["type"] == kind) & (catalogue["bin"] == nobs)
            assert (pool & here).sum() >= 15 * (lens & here).sum(), (kind, nobs)
        assert (lens & (catalogue["type"] == kind)).sum() > 20


def test_exposures_are_in_about_the_plans_proportions_with_a_few_too_shallow(catalogue):
    share = {name: (catalogue["bin"] == name).mean() for name in NOBS_Z_BINS}
    assert 0.02 < share["1-2"] < 0.10
    assert share["3-5"] == pytest.approx(0.65, abs=0.06)
    assert share["6-10"] == pytest.approx(0.235, abs=0.05)
    assert share["11+"] == pytest.approx(0.055, abs=0.03)


def test_lenses_of_every_look_have_galaxies_like_them_that_are_none(catalogue):
    names = ("mag_z", "g_minus_r", "r_minus_z")
    unit = np.array([0.3, 0.2, 0.2])
    look = np.stack([catalogue[name] for name in names], axis=1) / unit
    pool, found = catalogue["usable"] & ~catalogue["is_lens"], []
    for i in np.flatnonzero(catalogue["usable"] & catalogue["is_lens"]):
        alike = pool & (catalogue["type"] == catalogue["type"][i]) & (np.abs(look - look[i]) <= 1).all(axis=1)
        found.append(alike.sum())
    assert np.mean(np.array(found) >= 5) > 0.95


def test_seeing_and_depth_are_the_surveys(catalogue):
    for band in "grz":
        seeing = catalogue[f"psfsize_{band}"][catalogue[f"nobs_{band}"] > 0]
        assert 0.95 < seeing.min() < seeing.max() < 1.87
    depth = 22.5 - 2.5 * np.log10(5 / np.sqrt(catalogue["psfdepth_r"][catalogue["nobs_r"] >= 3]))
    assert 23.3 < np.median(depth) < 24.6
    assert catalogue["mag_z"][np.isfinite(catalogue["mag_z"])].max() < 22.3


# --- the whole


def digests(place: Path) -> dict[str, str]:
    files = sorted(file for file in place.rglob("*") if file.is_file())
    return {str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_the_number_of_workers_changes_no_byte(root, tmp_path, monkeypatch, chain):
    monkeypatch.setattr(mock, "GALAXIES_PER_PROCESS", 100)
    mock.make(tmp_path, SMALL, seed=SEED, workers=2, chain=chain)
    assert digests(tmp_path) == digests(root)


def test_another_seed_is_another_sky(plan):
    assert [p.brick.id for p in pointings.plan(SEED + 1, SMALL)] != [p.brick.id for p in plan]


@pytest.mark.parametrize(
    "size", [Size(40, 0), Size(2000, 62), Size(5000, 100, window_px=400), Size(3000, 90, window_px=3400)]
)
def test_a_plan_holds_what_was_asked_for(size):
    plan = pointings.plan(3, size)
    assert sum(p.galaxies for p in plan) == size.galaxies
    assert sum(p.confident + p.probable for p in plan) == size.lenses
    assert all(p.confident >= 0 and p.probable >= 0 for p in plan)
    assert len(plan) % 20 == 0
    assert len({p.healpix for p in plan}) == len({p.brick.name for p in plan}) == len(plan)
    for name, share in pointings.SHARE_OF_SPLIT.items():
        assert sum(p.split == name for p in plan) == round(share * len(plan))
        assert abs(sum(p.confident + p.probable for p in plan if p.split == name) - share * size.lenses) < 1
    assert len({p.dirt.missing_band for p in plan}) > 1
    assert any(p.dirt.unexposed_band for p in plan)
    assert any(p.dirt.nan_centres for p in plan)
    assert any(p.dirt.nan_edges for p in plan)


def test_no_two_windows_of_the_default_sky_share_a_brick():
    """Two HEALPix pixels may meet in one brick; galaxy_id, which names the brick, must stay unique."""
    plan = pointings.plan(42, Size(12_000, 372))
    assert len({p.brick.name for p in plan}) == len(plan) == 120


def test_whole_bricks_are_3600_px_and_lie_in_one_healpix_pixel():
    plan = pointings.plan(3, Size(4000, 60, full_bricks=True))
    assert {(p.size, p.x0, p.y0) for p in plan} == {(3600, 0, 0)}
    assert {p.split for p in plan} == set(split.SPLITS)


def test_more_lenses_than_a_third_of_the_galaxies_is_refused():
    with pytest.raises(InputError, match="do not fit"):
        pointings.plan(1, Size(100, 50))


def test_dirt_does_not_look_whether_an_object_is_a_lens(plan):
    """Holes are punched at objects by their number alone: over many tries lenses get their share."""
    p = replace(plan[0], size=300)
    x = np.linspace(60, 240, 40)
    hits = np.zeros(40)
    for seed in range(300):
        blank = np.ones((3, 300, 300), np.float32)
        planes = dirt.Planes(blank, blank.copy(), np.ones((3, 300, 300), np.int16), np.zeros((300, 300), np.int32))
        dirt.punch_holes(generator(seed), planes, x, np.full(40, 150.0), 1, 0)
        hits += np.isnan(planes.image).any(axis=0)[146:156].any(axis=0)[np.rint(x).astype(int)]
    assert p.size == 300
    assert hits[:20].sum() == pytest.approx(hits[20:].sum(), rel=0.25)
