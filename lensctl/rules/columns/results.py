"""Columns of what is made of galaxies: cutouts, manifest, scores, candidates, what is seen of arcs."""

from __future__ import annotations

from lensctl.rules.columns.column import Column

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
    Column("obs_arc_x_px", "double", "Mean position of the arcs' bright pixels, columns from the middle", "pixel"),
    Column("obs_arc_y_px", "double", "Mean position of the arcs' bright pixels, rows from the middle", "pixel"),
    Column("obs_mag_{band}", "double", "Magnitude within 1.5 arcsec in {band}, of the cutout", "mag"),
    Column("art_noise_{band}", "double", "Scatter of blank {band} pixels", "nanomaggy"),
    Column("art_sharpness_{depth}", "double", "{depth} flux within 0.4 arcsec over that within 0.8"),
    Column("art_nan_frac", "double", "Fraction of pixels that are NaN or infinite"),
    Column("art_zero_frac", "double", "Fraction of pixels that are exactly 0"),
    Column("art_offset_px", "double", "How far off the middle the {depth} light within 0.4 arcsec is centred", "pixel"),
)
