"""Print what is in the files that lensctl reads and writes: columns, arrays, keys, folders.

python docs/reference/files.py > docs/reference/files.md
"""

import sys
from collections.abc import Iterable

from lensctl.frozen.layout import SIGNATURE, SUMS, expected_files
from lensctl.io.cutouts.layout import ALIGNED, PIXELS
from lensctl.io.cutouts.npz import PROVENANCE, REQUIRED
from lensctl.io.cutouts.npz_metadata import KEYS, WRITTEN, carried
from lensctl.rules import schema
from lensctl.rules.checks import Check
from lensctl.rules.quality import STATUSES
from lensctl.rules.survey import LS_DR10

HEAD = """# Files and columns

Made from the code by `python docs/reference/files.py > docs/reference/files.md`; a test compares it. `lensctl show FILE`
describes any of these files, with the unit and meaning of each column.

A column has one name, type and unit wherever it occurs. `{band}` stands for each band of the survey (g, r, z of ls-dr10),
`{depth}` for the band that strata are made of (z), `{bluer}`, `{redder}` for the two of a colour (g, r and r, z), `{bluest}`,
`{second}` for those of the first colour. Columns that a table brings and lensctl does not know are carried through. Types are
Arrow's; in FITS and VOTable they are the nearest there are. Every input is cast to these types; 3.0 and "3" are integers,
and null, NaN, infinity and empty text are unknown."""

GROUPS = (
    ("Identity", "Every table of galaxies.", schema.IDENTITY),
    (
        "From the catalogue",
        "`crossmatch` and `pool` take these from Tractor files or sweeps, by their names and units there.",
        schema.MEASURED,
    ),
    ("Derived", "Added by `pool` and `crossmatch`; the last two by `sample`.", schema.DERIVED),
    ("Positives", "Added by `crossmatch`; `tier` and `sample_weight` by `sample` to negatives too.", schema.POSITIVE),
    ("Hosts", "Added by `hosts`.", schema.HOST),
    ("Cutouts", "`index.parquet` of a store; the manifest has `status` and `cutout_ok`.", schema.CUTOUT),
    ("Manifest", "Added by `manifest`, beside the columns above.", schema.MANIFEST),
    (
        "Scores",
        "Added by `score`, which carries every column of its input; `logit_0`, `logit_1`, … are the members of an "
        "ensemble, and `embedding` a list of fixed length, what enters the last layer.",
        schema.SCORED,
    ),
    ("Search", "`candidates.parquet` and `scores/` of a search, beside the columns of its tables.", schema.SEARCHED),
    ("What is seen of arcs", "Added by `selection observe` and `selection measure`.", schema.OBSERVED),
)

INJECTED = (
    schema.Column("host_id", "string", "galaxy_id of the host; galaxy_id is host_id#k"),
    schema.Column("k", "int64", "Number of the injection into this host, from 0"),
    schema.Column("control", "string", "Control (`--control`); empty for an injection"),
    schema.Column("vary", "string", "Assumption that was varied (`--vary`); empty for the standard"),
    schema.Column("theta_e", "double", "Einstein radius, by area", "arcsec"),
    schema.Column("lens_q", "double", "Axis ratio of the mass, minor over major"),
    schema.Column("lens_phi", "double", "Angle of its major axis, from +x (west) towards +y (north)", "rad"),
    schema.Column("gamma1", "double", "External shear along the axes"),
    schema.Column("gamma2", "double", "External shear at 45 degrees to them"),
    schema.Column("source_x", "double", "Position of the source, to the right (west)", "arcsec"),
    schema.Column("source_y", "double", "Position of the source, up (north)", "arcsec"),
    schema.Column("source_r_half", "double", "Half-light radius of the source along its major axis", "arcsec"),
    schema.Column("source_n", "double", "Sersic index of the source"),
    schema.Column("source_q", "double", "Axis ratio of the source, minor over major"),
    schema.Column("source_phi", "double", "Angle of its major axis, as lens_phi", "rad"),
    schema.Column("source_model", "string", "sersic, clumpy or stamps"),
    schema.Column("n_images", "int64", "Number of images of the source's centre"),
    schema.Column("psf_beta", "double", "Exponent of the Moffat that the arcs were convolved with"),
    schema.Column("gain_{band}", "double", "Gain of the host's coadd in {band}", "electron/nanomaggy"),
    schema.Column("source_mag_{band}", "double", "Magnitude of the unlensed source in {band}", "mag"),
    schema.Column("lensed_mag_{band}", "double", "Magnitude of all images in {band}, before extinction", "mag"),
    schema.Column("arc_mag_{band}", "double", "The same as observed, with extinction", "mag"),
    schema.Column("arc_snr_{band}", "double", "Signal-to-noise of the arcs, sqrt(sum light^2 invvar), in {band}"),
    schema.Column("arc_peak_{band}", "double", "Brightest pixel of the arcs in {band}", "nanomaggy"),
    schema.Column("arc_contrast_{band}", "double", "The same over the host in that pixel"),
    schema.Column("magnification", "double", "Flux of all images over that of the source, in the detection band"),
    schema.Column("source_{bluer}_minus_{redder}", "double", "First colour of the source", "mag"),
    schema.Column("delta_{bluer}_minus_{redder}", "double", "First colour of the arcs less that of the host", "mag"),
    schema.Column("gain_source", "string", "Where the gain is from, band by band: measured, or nominal"),
    schema.Column("design_digest", "string", "Digest of the design that was drawn from"),
)
"""What `inject` adds to the index; tests/docs/test_made_pages.py holds it to an injected store."""

STORE = """
## Cutout store

A Zarr v3 group; zarr, xarray and tensorstore read it without lensctl. N is the number of cutouts, S the pixels of a side,
B the bands. The order of the rows is that of `index.parquet` beside the arrays, which has the text and quality columns. A
row that failed is there, flagged by its `status`, and NaN. The attributes hold the bands, the pixel scale, the survey and the
provenance."""

FOLDERS = """
## Folders

| folder | made by | what is in it |
|---|---|---|
| mock survey | `sky` | `lenses.csv`, `truth.parquet`, `README.md`, `provenance.json`, `survey-bricks.fits.gz`, and `south/` with Tractor catalogues, sweeps and coadds |
| run | `train` | `best.safetensors`, `last.safetensors` (for `--resume`), `run.json`, `metrics.jsonl`, `metrics.csv`, \
`golden.npz` (inputs that a frozen model is verified with), `val_scores.parquet` (the rows of val that thresholds come from); of \
an ensemble in `member-0/`, `member-1/`, … |
| evaluation | `evaluate` | `metrics.json`, `report.html`, `tables/` (parquet and CSV), `plots/` (PNG and PDF) |
| frozen model | `freeze` | {frozen}; of an ensemble the weights in `member-0/`, …; `CITATION.cff` and `LICENSE` where given; `{signature}` where signed; `{sums}` |
| search | `search` | `candidates.parquet`, `.fits`, `.vot`, `.reg`; `candidates.zarr`; `scores/` by HEALPix pixel, or a HATS catalogue; \
`searched.moc.fits`, `lost.moc.fits`; `known_lenses.parquet`; `search.json`; `report.html` |
| selection function | `selection fit` | `selection.json`, `report.html`, `tables/`, `plots/` with maps as FITS too, `evaluate.py` \
and `golden.csv`, which need numpy alone |
| attachment | `selection attach` | `attachment.json`, `selection/`, `gates.jsonl`, `{sums}` |

Where a run has fewer than 100 lenses in val, `val_scores.parquet` has all of val; otherwise the half that stopped no training.

## Time and luck

The columns and keys {luck}
differ from run to run. Digests leave them out; no other column, and no file, holds a clock, a host name or an absolute path."""


def columns(of: Iterable[schema.Column]) -> list[str]:
    """A table of columns."""
    rows = (f"| `{each.name}` | {each.type} | {each.unit} | {each.meaning} |" for each in of)
    return ["", "| column | type | unit | meaning |", "|---|---|---|---|", *rows]


def store() -> list[str]:
    """The arrays of a store."""
    units = {"images": "nanomaggy", "invvar": "1/nanomaggy^2", "psfsize": "arcsec", "arcs": "nanomaggy"}
    meanings = {
        "images": "the cutouts",
        "invvar": "inverse variance (`--planes invvar`)",
        "maskbits": "bits of the coadd (`--planes maskbits`); all bits set: no plane",
        "psfsize": "FWHM of the Gaussian with the PSF's noise-equivalent area (`--planes psfsize`)",
        "arcs": "the light that `inject` added, of some rows",
    }
    lines = [STORE, "", "| array | shape | type | unit | what |", "|---|---|---|---|---|"]
    for name, of in PIXELS.items():
        shape = "(N, S, S, B)" if of.per_band else "(N, S, S)"
        lines.append(f"| `{name}` | {shape} | {of.data_type} | {units.get(name, '')} | {meanings[name]} |")
    lines += [f"| `{name}` | (N,) | {kind} | {'deg' if kind == 'float64' else ''} | as in the index |"
              for name, (kind, _) in ALIGNED.items()]  # fmt: skip
    return [*lines, "", f"`status` is one of: {', '.join(STATUSES)}."]


def npz() -> list[str]:
    """The members of an .npz."""
    keys = {**{keys[0]: name for name, keys in KEYS.items()}, **{key: name for name, key in WRITTEN.items()}}
    also = ", ".join(f"`meta_{name}`" for name in carried(LS_DR10))
    rows = [f"| `{key}` | as column `{name}` |" for key, name in sorted(keys.items())]
    return [
        "",
        "## .npz",
        "",
        f"One cutout, as `export` writes and `pack` reads it; never pickled. Needed are {', '.join(map('`{}`'.format, REQUIRED))}.",
        "",
        "| member | what |",
        "|---|---|",
        "| `cutout` | (S, S, B) float32, nanomaggies |",
        "| `meta_galaxy_id`, `meta_ra`, `meta_dec` | id; position in degrees, ICRS |",
        *rows,
        f"| {also} | of the galaxy's row |",
        f"| `{PROVENANCE}` | the steps that made it, JSON |",
        "",
        "Other `meta_*` are carried through.",
    ]


def gate_lines() -> list[str]:
    """The keys of one line of a gate."""
    text = (Check.__doc__ or "").split("----------\n")[1]
    lines = [
        "",
        "## Lines of a gate",
        "",
        "`gate` and `verify` print one JSON object a line.",
        "",
        "| key | type | what |",
    ]
    lines.append("|---|---|---|")
    for line in text.splitlines():
        if line.startswith("    ") and not line.startswith("     ") and " : " in line:
            name, kind = line.strip().split(" : ")
            lines.append(f"| {', '.join(f'`{each}`' for each in name.split(', '))} | {kind} | |")
        elif line.strip():
            lines[-1] = lines[-1].removesuffix(" |") + f" {line.strip()} |"
    return [*lines, "| `gate_version` | int | version of what gates judge; `freeze` refuses an older one |"]


def page() -> list[str]:
    """All lines of the page."""
    lines = [HEAD]
    for title, says, of in GROUPS:
        lines += ["", f"## {title}", "", says, *columns(of)]
    says = "`index.parquet` of a store of `inject`, and `selection measure`; `selection population` has those that it draws."
    lines += ["", "## Injections", "", says, *columns(INJECTED)]
    lines += [*store(), *npz(), *gate_lines()]
    frozen, luck = (
        ", ".join(f"`{name}`" for name in expected_files(1)),
        ", ".join(f"`{n}`" for n in schema.NONDETERMINISTIC),
    )
    return [*lines, FOLDERS.format(frozen=frozen, signature=SIGNATURE, sums=SUMS, luck=luck)]


if __name__ == "__main__":
    sys.stdout.write("\n".join((*page(), "")))
