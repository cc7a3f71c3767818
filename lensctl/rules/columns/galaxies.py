"""Columns of tables of galaxies: from the catalogue, and what is derived of it."""

from __future__ import annotations

from lensctl.rules.columns.column import Column

IDENTITY = (
    Column("galaxy_id", "string", "brickname_objid, unique in a release"),
    Column("brickname", "string", "Legacy Survey brick that owns the object"),
    Column("objid", "int32", "Object number within its brick"),
    Column("ra", "double", "Right ascension, ICRS, J2000", "deg"),
    Column("dec", "double", "Declination, ICRS, J2000", "deg"),
    Column("type", "string", "Tractor model: PSF, REX, EXP, DEV, SER or DUP"),
)
MEASURED = (
    Column("nobs_{band}", "int16", "Exposures that cover the object in {band}"),
    Column("flux_{band}", "float", "Model flux in {band}", "nanomaggy"),
    Column("flux_w1", "float", "Model flux in WISE W1", "nanomaggy"),
    Column("psfsize_{band}", "float", "FWHM of the Gaussian with the PSF's noise-equivalent area in {band}", "arcsec"),
    Column("psfdepth_{band}", "float", "Inverse variance of a point source in {band}", "1/nanomaggy^2"),
    Column("galdepth_{band}", "float", "Inverse variance of a small galaxy in {band}", "1/nanomaggy^2"),
    Column("ebv", "float", "Galactic reddening E(B-V)", "mag"),
    Column("maskbits", "int32", "Bits of the coadd maskbits map the object touches"),
    Column("fitbits", "int16", "Bits that describe the fit"),
    Column("mw_transmission_{band}", "float", "Galactic transmission in {band}"),
    Column("shape_r", "float", "Half-light radius", "arcsec"),
    Column("shape_e1", "float", "Ellipticity component 1"),
    Column("shape_e2", "float", "Ellipticity component 2"),
    Column("sersic", "float", "Sersic index"),
    Column("z_phot", "float", "Photometric redshift"),
)
DERIVED = (
    Column("mag_{band}", "float", "Observed AB magnitude in {band}, null where flux <= 0", "mag"),
    Column("{bluer}_minus_{redder}", "float", "Observed colour mag_{bluer} - mag_{redder}", "mag"),
    Column("{depth}_minus_w1", "float", "Observed colour mag_{depth} - mag_w1", "mag"),
    Column("nobs_{depth}_bin", "string", "Bin of nobs_{depth}: 1-2, 3-5, 6-10, 11+"),
    Column("type_bin", "string", "Tractor type as a stratum"),
    Column("healpix_64", "int64", "HEALPix pixel, nside 64, nested"),
    Column("healpix_128", "int64", "HEALPix pixel, nside 128, nested; decides the split"),
    Column("split", "string", "train, val or test"),
    Column("pool", "string", "N2 (hard confusers) or N1 (everything else)"),
    Column("confuser_category", "string", "Hard-confuser class of an N2 row"),
    Column("sweep_file", "string", "File the row was read from"),
    Column("row_index", "int64", "Row within that file, from 0"),
    Column("pipeline_version", "string", "lensctl version that made the row"),
    Column("sampling_weight", "double", "Number of pool rows that a sampled row stands for"),
    Column("mined", "string", "Round that added a negative: hard 1, control 1, and so on; null for other draws"),
)
POSITIVE = (
    Column("lens_ra", "double", "Right ascension in the lens catalogue", "deg"),
    Column("lens_dec", "double", "Declination in the lens catalogue", "deg"),
    Column("sep_arcsec", "double", "Distance of the matched object from the catalogue position", "arcsec"),
    Column("names", "string", "Names of the lens, joined by |"),
    Column("ref", "string", "Discovery catalogue or paper"),
    Column("grading", "string", "Grade in the lens catalogue"),
    Column("tier", "string", "A or B for lenses, N1 or N2 for negatives, N0 for those of a uniform draw"),
    Column("sample_weight", "double", "Weight of the row in the loss"),
    Column("unstratified", "bool", "Type or bin of exposures without negatives"),
)
HOST = (
    Column("host_weight", "double", "Weight that makes hosts resemble the train and val lenses, mean 1"),
    Column("z_host", "float", "Redshift of a host"),
    Column("z_source", "string", "Where z_host is from: z_phot or colour"),
)
