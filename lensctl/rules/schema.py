"""All table columns, declared once: name, type, unit, meaning."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column: Arrow type name, unit and meaning."""

    name: str
    type: str
    meaning: str
    unit: str = ""


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
CUTOUT = (
    Column("status", "string", "ok, or why the cutout cannot be used"),
    Column("cutout_ok", "bool", "All bands present, no NaN in the central fifth, inner pixels not empty"),
    Column("has_nan", "bool", "Any NaN pixel"),
    Column("nan_pixel_count", "int32", "NaN pixels in all bands"),
    Column("bad_pixel_frac", "float", "Fraction of pixels that are NaN or infinite"),
    *(
        Column(f"{statistic}_{{band}}", "float", f"{statistic} of the finite {{band}} pixels", "nanomaggy")
        for statistic in ("mean", "std", "p01", "p50", "p99")
    ),
    Column("zero_pixel_frac_{band}", "float", "Fraction of the inner {band} pixels that are 0, NaN or infinite"),
    Column("source", "string", "viewer, coadd or npz"),
    Column("release", "string", "Survey and version the pixels come from"),
    Column("layer", "string", "Layer of the cutout service, or its equivalent"),
    Column("pixel_scale_arcsec", "double", "Pixel scale", "arcsec"),
    Column("url_or_brick", "string", "Where the pixels came from; relative to a disk root"),
    Column("offset_x_px", "float", "Object minus centre of the central pixel, along x", "pixel"),
    Column("offset_y_px", "float", "Object minus centre of the central pixel, along y", "pixel"),
    Column("http_status", "int16", "Last HTTP status"),
    Column("attempts", "int16", "Requests made"),
    Column("seconds", "float", "Time taken", "s"),
    Column("downloaded_at", "string", "Time of download, UTC"),
    Column("error", "string", "Error message"),
    Column("cutout_sha256", "string", "SHA-256 of the float32 little-endian pixels"),
)
MANIFEST = (
    Column("cutout_path", "string", "Store or .npz, relative to the manifest's folder"),
    Column("cutout_index", "int64", "Row in the store; null for an .npz"),
    Column("label", "int8", "1 lens, 0 not a lens"),
)
SCORED = (
    Column("logit", "double", "Model output; mean over the members of an ensemble"),
    Column("p", "double", "Logistic function of logit"),
    Column("role", "string", "What the model took the row for: its split, or calibrate (val kept for thresholds)"),
)
EMBEDDING = "embedding"
"""Column of `score --embedding`: what enters a model's last layer, a list of fixed length."""

SEARCHED = (
    Column("region", "string", "north or south, where a survey has two; empty elsewhere"),
    Column("_healpix_29", "int64", "HEALPix pixel, order 29, nested"),
    Column("seen_in_training", "string", "Why the model may know the row: train, val, its box reaches them, manifest"),
    Column("rank", "int64", "Place in the list of candidates, from 1"),
    Column("members", "string", "Candidates of one system, the leading one first, joined by |"),
    Column("n_members", "int32", "Number of candidates of the system"),
    Column("known_lens", "string", "Names of the known lens at this place, joined by |"),
    Column("known_tier", "string", "Tier of the known lens"),
    Column("known_ref", "string", "Where the known lens was published"),
    Column("known_sep_arcsec", "double", "Distance of the known lens", "arcsec"),
    Column("q_random", "double", "Expected false share of the list down to the row, if all searched were random"),
    Column("q_lookalike", "double", "The same, if all searched were look-alikes of lenses"),
    Column("q_classes", "double", "The same, by the confuser classes of what was searched"),
)

OBSERVED = (
    Column("obs_theta", "double", "Radius of the annulus where arcs stand out most", "arcsec"),
    Column("obs_snr_{bluest}", "double", "Score of the arcs there: sum over scatter of the sky, in {bluest}"),
    Column(
        "obs_contrast", "double", "Mean brightness of the arcs there over that of the lens's core, of the bluest band"
    ),
    Column("obs_delta_{bluest}_minus_{second}", "double", "Colour there less that of the lens's core", "mag"),
    Column("obs_asymmetry", "double", "How unlike the arcs are to themselves turned by 180 degrees, 0 to 2"),
    Column("obs_mag_{band}", "double", "Magnitude within 1.5 arcsec in {band}, of the cutout", "mag"),
    Column("art_noise_{band}", "double", "Scatter of blank {band} pixels", "nanomaggy"),
    Column("art_sharpness_{depth}", "double", "{depth} flux within 0.4 arcsec over that within 0.8"),
    Column("art_nan_frac", "double", "Fraction of pixels that are NaN or infinite"),
    Column("art_zero_frac", "double", "Fraction of pixels that are exactly 0"),
    Column("art_offset_px", "double", "Distance of the {depth} light's centre from the middle", "pixel"),
)

_TEMPLATES = (*IDENTITY, *MEASURED, *DERIVED, *POSITIVE, *HOST, *CUTOUT, *MANIFEST, *SCORED, *SEARCHED, *OBSERVED)


@functools.lru_cache(maxsize=8)
def columns(survey: Survey = LS_DR10) -> Mapping[str, Column]:
    """All columns of a survey by name, in the order in which tables have them."""
    return {
        column.name: column
        for template in _TEMPLATES
        for column in (_filled(template, v) for v in _roles(template, survey))
    }


def _roles(template: Column, survey: Survey) -> Iterator[dict[str, str]]:
    """What the roles in a column's name stand for, once for each column it makes."""
    if "{band}" in template.name:
        yield from ({"band": band} for band in survey.bands)
    elif "{bluest}" in template.name:
        bluest, second = survey.colours[0]
        yield {"bluest": bluest, "second": second}
    elif "{bluer}" in template.name:
        yield from ({"bluer": bluer, "redder": redder} for bluer, redder in survey.colours)
    else:
        yield {"depth": survey.depth_band}


def _filled(template: Column, roles: Mapping[str, str]) -> Column:
    return Column(template.name.format(**roles), template.type, template.meaning.format(**roles), template.unit)


NONDETERMINISTIC = ("downloaded_at", "attempts", "seconds", "meta_download_timestamp")
"""The only columns and keys that differ from run to run; digests leave them out."""


def arrow_type(name: str, survey: Survey = LS_DR10) -> pa.DataType:
    """Declared Arrow type of a column."""
    import pyarrow as pa

    return pa.type_for_alias(columns(survey)[name].type)


def folded(names: Iterable[str], where: str = "") -> dict[str, str]:
    """Names by what they are to lensctl and to SQL: without blanks around them, in lower case.

    Raises InputError for two names that are one.
    """
    found: dict[str, str] = {}
    for name in names:
        key = name.strip().lower()
        if key in found:
            same = found[key] == name
            one = f"column '{name}' occurs more than once" if same else f"columns '{found[key]}' and '{name}' are one"
            raise InputError(f"{_at(where)}{one}", "keep one of them")
        found[key] = name
    return found


def require(table: pa.Table | pa.Schema, *names: str, where: str = "", survey: Survey = LS_DR10) -> None:
    """Raise InputError naming the missing columns, the columns found, and the type expected."""
    found = _names(table)
    missing = [name for name in names if name not in found]
    if not missing:
        return
    shown = ", ".join(found[:12]) + (", …" if len(found) > 12 else "")
    plural, are = ("s", "are") if len(missing) > 1 else ("", "is")
    listed = ", ".join(f"'{name}'" for name in missing)
    first = columns(survey).get(missing[0])
    what = f" as {first.type}: {first.meaning}" if first else ""
    raise InputError(
        f"{_at(where)}column{plural} {listed} {are} missing{nearest(missing[0], found)} (found: {shown})",
        f"add {missing[0]}{what}",
    )


def refuse_nulls(table: pa.Table, *names: str, where: str = "") -> None:
    """Raise InputError naming the first column with a null or NaN, how many, and the first such row."""
    import pyarrow.compute as pc

    for name in names:
        bad = pc.is_null(table[name], nan_is_null=True)
        count = pc.sum(bad).as_py() or 0
        if count:
            first = pc.index(bad, True).as_py()
            raise InputError(
                f"{_at(where)}column '{name}' is null or NaN in {count} rows, first in row {first}",
                "repair or drop those rows",
            )


def require_numbers(table: pa.Table, *names: str, where: str = "") -> None:
    """Raise InputError for a column that is not numeric."""
    import pyarrow as pa

    for name in names:
        kind = table.schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise InputError(f"{_at(where)}column '{name}' is {kind}, not a number", "it must be numeric")


def refuse_bad_positions(table: pa.Table, where: str = "") -> None:
    """Raise InputError for a null, NaN or out-of-range `ra`, `dec` (degrees), naming the first such row."""
    import pyarrow.compute as pc

    refuse_nulls(table, "ra", "dec", where=where)
    require_numbers(table, "ra", "dec", where=where)
    for name, low, high in (("ra", 0, 360), ("dec", -90, 90)):
        bad = pc.or_(pc.less(table[name], low), pc.greater(table[name], high))
        count = pc.sum(bad).as_py() or 0
        if count:
            row = pc.index(bad, True).as_py()
            raise InputError(
                f"{_at(where)}{name} = {table[name][row].as_py()} in row {row} is outside {low} to {high} degrees",
                f"give {name} in degrees, ICRS",
            )


def refuse_duplicates(table: pa.Table, name: str = "galaxy_id", where: str = "") -> None:
    """Raise InputError naming some values that occur in more than one row."""
    import pyarrow.compute as pc

    counts = pc.value_counts(table[name])
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").sort()
    if len(twice):
        some = ", ".join(str(value) for value in twice[:3].to_pylist())
        raise InputError(
            f"{_at(where)}{len(twice)} values of '{name}' occur in more than one row: {some}", "keep one of each"
        )


def _names(table: pa.Table | pa.Schema) -> list[str]:
    return list(table.column_names if hasattr(table, "column_names") else table.names)


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def describe(names: Iterable[str], survey: Survey = LS_DR10) -> list[tuple[str, str, str, str]]:
    """Name, type, unit and meaning of columns, for people; empty for unknown columns."""
    unknown = Column("", "", "")
    return [(name, (c := columns(survey).get(name, unknown)).type, c.unit, c.meaning) for name in names]
